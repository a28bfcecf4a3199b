from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.forms import UserChangeForm as DjangoUserChangeForm
from django.core.exceptions import ValidationError

from chats.admin.forms import ENDED, ChangedFieldsForm
from chats.admin.rights import is_protected_from
from chats.models import User

ERASED = ENDED.format("user", "erased")


class UserCreationForm(AdminUserCreationForm):
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


class UserChangeForm(ChangedFieldsForm, DjangoUserChangeForm):
    class Meta:
        model = User
        fields = "__all__"
        field_classes = {}

    def lock(self):
        super().lock()
        if self.instance.is_erased:
            raise ValidationError(ERASED)
        if is_protected_from(self.instance, self.request.user):
            raise ValidationError("Only superusers can change staff.")
