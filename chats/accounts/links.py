"""The links in e-mails of accounts: what they carry, and which of them work."""

from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core import signing
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from chats.models import User

CHANGE_SALT = "chats.accounts.change_email"


class AddressTokenGenerator(PasswordResetTokenGenerator):
    """Tokens that end when the address, its verification or the password changes."""

    def __init__(self, key_salt: str) -> None:
        super().__init__()
        self.key_salt = key_salt

    def _make_hash_value(self, user, timestamp):
        return f"{user.pk} {user.password} {user.email_verified_at} {timestamp} {user.email}"


verification_tokens = AddressTokenGenerator("chats.accounts.verify_email")
# Of another salt: who receives a link to a new address must not be able to verify the current one.
change_tokens = AddressTokenGenerator(CHANGE_SALT)


class Change(NamedTuple):
    user: User
    new_email: str


def encode_user_id(user: User) -> str:
    return urlsafe_base64_encode(str(user.pk).encode())


def find_user(uid: str) -> User | None:
    """The active user of `encode_user_id()`. One query at most."""
    try:
        user_id = UUID(urlsafe_base64_decode(uid).decode())
    except ValueError:
        return None
    return User.objects.active().filter(pk=user_id).first()


def make_change_token(user: User, new_email: str) -> str:
    values = [encode_user_id(user), new_email, change_tokens.make_token(user)]
    return signing.dumps(values, salt=CHANGE_SALT)


def read_change_token(token: str) -> Change | None:
    """None if the token is not valid, or does not work any more."""
    try:
        uid, new_email, inner_token = signing.loads(token, salt=CHANGE_SALT)
    except signing.BadSignature:
        return None
    user = find_user(uid)
    if user is None or not change_tokens.check_token(user, inner_token):
        return None
    return Change(user, new_email)
