"""What differs from Django's user: how accounts are made, and how a password is written."""

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import BaseUserManager
from django.db import transaction


class UserManager(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        """Raises ValidationError for an e-mail address, name or phone number that a form would
        refuse, except for an empty one, and IntegrityError for an address that is taken."""
        user = self.model(email=email, **fields)
        for name in ("email", "first_name", "last_name", "phone_number"):
            user._meta.get_field(name).run_validators(getattr(user, name))
        # Hashed before the transaction: SQLite lets nobody else write during one.
        user.set_password(password)
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        staff = {"role": self.model.Role.ADMIN, "is_staff": True, "is_superuser": True}
        return self.create_user(email, password, **staff, **fields)

    def get_by_natural_key(self, email):
        return self.get(email=email.lower())


class PasswordMixin:
    def check_password(self, raw_password):
        """Upgrades an outdated hash, as Django does, but overwrites no password that was changed in
        the meantime."""
        return check_password(raw_password, self.password, self.replace_password)

    def replace_password(self, new_password):
        """Write a new password and nothing else. None sets an unusable password.

        Returns False, and writes nothing, if the password, `is_staff` or `is_superuser` was changed
        after this user was read, or if the user is no longer active. Hashing is slow: call this
        outside of transactions.
        """
        password = make_password(new_password)
        unchanged = (
            type(self)
            .objects.active()
            .filter(
                pk=self.pk,
                password=self.password,
                is_staff=self.is_staff,
                is_superuser=self.is_superuser,
            )
        )
        with transaction.atomic():
            if not unchanged.update(password=password):
                return False
        self.password = password
        return True

    replace_password.alters_data = True
