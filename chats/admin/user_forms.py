from django import forms
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.forms import UserChangeForm as DjangoUserChangeForm
from django.core.exceptions import ValidationError

from chats.admin.forms import ENDED, ChangedFieldsForm
from chats.admin.rights import is_protected_from
from chats.models import User
from chats.validators import validate_plain_address

ERASED = ENDED.format("user", "erased")


class LowerCaseEmailForm(forms.ModelForm):
    """Puts the e-mail address in lower case before the model's validators check its length, which
    lower case may change."""

    def clean_email(self):
        email = self.cleaned_data["email"]
        validate_plain_address(email)
        return email.lower()


class UserCreationForm(LowerCaseEmailForm, AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email"]
        field_classes = {}

    def set_password_and_save(self, user, commit=True, **kwargs):
        """UserAdmin.save_model() sets the password after its transaction."""
        user.set_unusable_password()
        if commit:
            user.save()
        return user


class UserChangeForm(LowerCaseEmailForm, ChangedFieldsForm, DjangoUserChangeForm):
    class Meta:
        model = User
        fields = "__all__"  # noqa: DJ007 - UserAdmin.fieldsets chooses
        field_classes = {}

    def lock(self):
        super().lock()
        if self.instance.is_erased:
            raise ValidationError(ERASED)
        if is_protected_from(self.instance, self.request.user):
            raise ValidationError("Only superusers can change staff.")
