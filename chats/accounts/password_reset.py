from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.contrib.auth import forms

from chats.models import User

# A thread sends the mail, so that the response time does not tell whether the address is known. A
# process that exits normally sends the queued mail first.
MAIL = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class PasswordResetForm(forms.PasswordResetForm):
    def get_users(self, email):
        users = User.objects.active().filter(email=email.lower())
        return [user for user in users if user.has_usable_password()]

    def send_mail(self, *args, **kwargs):
        MAIL.submit(super().send_mail, *args, **kwargs)


def mail_reset_link(request, email):
    """Mails a link to the user with this address, if there is one. Returns at once."""
    form = PasswordResetForm({"email": email})
    form.is_valid()
    form.save(
        request=request,
        subject_template_name="chats/password_reset_subject.txt",
        email_template_name="chats/password_reset_email.txt",
        extra_email_context={"page": settings.PASSWORD_RESET_URL},
    )
