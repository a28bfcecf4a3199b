from django.contrib.admin import forms as admin_forms
from django.contrib.auth import forms as auth_forms


class PasswordNotReplaced(Exception):
    """The user was changed after the form read them."""


class ReplacePasswordMixin:
    """Writes only the password. Django's forms save the whole user, which undoes what others have
    changed in the meantime."""

    def set_password_and_save(self, user, password_field_name="password1", **kwargs):  # noqa: S107
        """Raises PasswordNotReplaced."""
        is_usable = self.cleaned_data.get("set_usable_password", True)
        password = self.cleaned_data[password_field_name] if is_usable else None
        if not user.replace_password(password):
            raise PasswordNotReplaced
        return user


class OwnPasswordForm(ReplacePasswordMixin, admin_forms.AdminPasswordChangeForm):
    """For staff who change their own password in the admin."""


class UserPasswordForm(ReplacePasswordMixin, auth_forms.AdminPasswordChangeForm):
    """For staff who set another user's password in the admin."""

    def clean(self):
        super().clean()
        if not self.user.is_active:
            # The page shows only errors of visible fields, and the password fields may be hidden.
            field = "usable_password" if "usable_password" in self.fields else "password1"
            self.add_error(field, "This user is inactive. Activate them first.")
