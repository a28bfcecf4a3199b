"""How passwords are normalized, hashed, compared and replaced."""

from typing import Any
from unicodedata import normalize

from django.contrib.auth.hashers import (
    UNUSABLE_PASSWORD_PREFIX,
    check_password,
    make_password,
)
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.module_loading import import_string

# The stored password of an erased user. No password has this hash.
ERASED_PASSWORD = f"{UNUSABLE_PASSWORD_PREFIX}erased"
# A longer one is not normalized: it takes a time that is quadratic in the length.
PASSWORD_MAX_CHARACTERS = 1_000
PASSWORD_AND_RIGHTS = {"password", "is_staff", "is_superuser"}


def get_password_forms(password: str | None) -> list[Any]:
    """The form that is hashed, which is the same on every keyboard (NIST SP 800-63B), and the
    password as typed, which was hashed earlier. Only one if they are equal."""
    if password is None or len(password) > PASSWORD_MAX_CHARACTERS:
        return [password]
    return list(dict.fromkeys([normalize("NFKC", password), password]))


class NormalizedPasswordValidator:
    """Another password validator, for both forms of a password."""

    def __init__(self, name: str) -> None:
        self.validator = import_string(name)()

    def validate(self, password: str, user: Any = None) -> None:
        for form in get_password_forms(password):
            self.validator.validate(form, user)

    def get_help_text(self) -> str:
        return self.validator.get_help_text()


class PasswordMixin:
    """For the model of users."""

    password: str

    def set_password(self, raw_password):
        """Hashes as often as `check_password()`. Django calls this if nobody has the address, so
        that the time does not tell."""
        for form in get_password_forms(raw_password):
            super().set_password(form)

    def check_password(self, raw_password):
        """Upgrades an outdated hash, as Django does, but does not overwrite a password that was
        changed in the meantime."""
        return any(
            check_password(form, self.password, self.replace_password)
            for form in get_password_forms(raw_password)
        )

    def replace_password(self, new_password):
        """Write a new password and nothing else. None sets an unusable password.

        Returns False, and writes nothing, if the password, `is_staff` or `is_superuser` was changed
        after this user was read, or if the user is no longer active. Hashing is slow: call this
        outside of transactions.
        """
        password = make_password(new_password)
        if not self.update_if_unchanged(PASSWORD_AND_RIGHTS, password=password):
            return False
        self.password = password
        return True

    replace_password.alters_data = True

    def reset_password(self, new_password):
        """Like replace_password(), for somebody who has received a link: their address is verified
        from now on. Also returns False if the address was changed."""
        return self.update_if_unchanged(
            {*PASSWORD_AND_RIGHTS, "email"},
            password=make_password(new_password),
            email_verified_at=Coalesce("email_verified_at", timezone.now()),
        )

    reset_password.alters_data = True

    def update_if_unchanged(self, names, **fields):
        """Write these fields and nothing else.

        Returns False, and writes nothing, if a field of `names` was changed after this user was
        read, or if the user is no longer active. Does not change this object.
        """
        active = type(self)._default_manager.active().filter(pk=self.pk)
        unchanged = active.filter(**{name: getattr(self, name) for name in names})
        # Only transactions wait in SQLite's queue of writers.
        with transaction.atomic():
            return unchanged.update(**fields) > 0

    update_if_unchanged.alters_data = True
