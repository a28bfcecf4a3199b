"""The e-mails of accounts. Each function returns at once, so that the response time does not tell
whether the address is known."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from chats.accounts.links import encode_user_id, make_change_token, verification_tokens
from chats.models import User
from chats.validators import to_ascii
from messaging_app.outbox import OUTBOX, fail


def mail_reset_link(email: str) -> bool:
    """To the user with this address. Returns whether there is one who can set a password."""
    user = User.objects.active().filter(email=email).first()
    if user is None or not user.has_usable_password():
        return False
    token = default_token_generator.make_token(user)
    page = settings.PASSWORD_RESET_URL
    queue("password_reset", user.email, page, uid=encode_user_id(user), token=token)
    return True


def resend_verification_link(email: str) -> None:
    """To the user with this address, if there is one and it is not verified."""
    for user in User.objects.active().filter(email=email, email_verified_at=None):
        mail_verification_link(user)


def mail_verification_link(user: User) -> None:
    token = verification_tokens.make_token(user)
    page = settings.VERIFY_EMAIL_URL
    queue("verify_email", user.email, page, uid=encode_user_id(user), token=token)


def mail_change_link(user: User, new_email: str) -> None:
    """To the new address, and a notice to the current one. Nothing depends on whether somebody has
    the new address."""
    token = make_change_token(user, new_email)
    queue("change_email", new_email, settings.VERIFY_EMAIL_URL, token=token)
    queue("email_change_notice", user.email)


def queue(name: str, to_email: str, page: str = "", **values: str) -> None:
    """Queue the e-mail `name`. It has a link to the page with these values, or without a page the
    values themselves."""
    OUTBOX.add(send, name, to_email, page, values)


def send(name: str, to_email: str, page: str, values: dict[str, str]) -> None:
    separator = "&" if "?" in page else "?"
    link = page and f"{page}{separator}{urlencode(values)}"
    subject = render_to_string(f"chats/{name}_subject.txt").strip()
    # In DEBUG also for people with curl: the link leads to the demo client.
    context = {"link": link, "values": values if settings.DEBUG or not link else {}}
    body = render_to_string(f"chats/{name}_email.txt", context)
    try:
        EmailMessage(subject, body, to=[to_ascii(to_email)]).send()
    except OSError as error:
        # Not its text: a mail server may quote the address, or the link that it refuses.
        code = getattr(error, "smtp_code", "") or error.strerror or ""
        fail(f"{type(error).__name__} {code}".strip())
