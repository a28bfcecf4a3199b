from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.contrib.auth import forms

from chats.fields import EmailFormField
from chats.models import User
from chats.validators import to_ascii

# A thread sends the mail, so that the response time does not tell whether the address is known. A
# process that exits normally sends the queued mail first.
MAIL = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class PasswordResetForm(forms.PasswordResetForm):
    email = EmailFormField()

    def get_users(self, email):
        users = User.objects.active().filter(email=email)
        return [user for user in users if user.has_usable_password()]

    def send_mail(self, subject, template, context, from_email, to_email, **kwargs):
        arguments = subject, template, context, from_email, to_ascii(to_email)
        MAIL.submit(super().send_mail, *arguments, **kwargs)


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
