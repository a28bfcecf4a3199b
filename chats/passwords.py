"""How passwords are normalized, hashed, compared and replaced."""

from typing import Any
from unicodedata import normalize

from django.contrib.auth.hashers import (
    UNUSABLE_PASSWORD_PREFIX,
    check_password,
    make_password,
)
from django.db import transaction
from django.utils.module_loading import import_string

# The stored password of an erased user. No password has this hash.
ERASED_PASSWORD = f"{UNUSABLE_PASSWORD_PREFIX}erased"
# A longer one is not normalized: it takes a time that is quadratic in the length.
PASSWORD_MAX_CHARACTERS = 1_000


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
        unchanged = (
            type(self)
            ._default_manager.active()
            .filter(
                pk=self.pk,
                password=self.password,
                is_staff=self.is_staff,
                is_superuser=self.is_superuser,
            )
        )
        # Only transactions wait in SQLite's queue of writers.
        with transaction.atomic():
            if not unchanged.update(password=password):
                return False
        self.password = password
        return True

    replace_password.alters_data = True
