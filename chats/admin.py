from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.template.response import TemplateResponse
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from chats.models import Conversation, Message, User

# They would show staff everybody's refresh tokens.
admin.site.unregister([BlacklistedToken, OutstandingToken])


class UserCreationForm(AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email"]
        field_classes = {}


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    add_form = UserCreationForm
    actions = ["erase"]
    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "role", "is_active", "is_staff"]
    list_filter = ["role", "is_active", "is_staff"]
    search_fields = ["email", "first_name", "last_name"]
    readonly_fields = ["user_id", "last_login", "created_at"]
    fieldsets = [
        (None, {"fields": ["user_id", "email", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "phone_number", "role"]}),
        (
            "Permissions",
            {
                "fields": [
                    "is_active",
                    "is_staff",
                    "is_superuser",
                    "groups",
                    "user_permissions",
                ]
            },
        ),
        ("Dates", {"fields": ["last_login", "created_at"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": [
                    "email",
                    "first_name",
                    "last_name",
                    "role",
                    "usable_password",
                    "password1",
                    "password2",
                ],
            },
        ),
    ]

    def has_change_permission(self, request, obj=None):
        """A form that was opened before a person was erased must not bring them back."""
        return super().has_change_permission(request, obj) and not (obj and obj.is_erased)

    def save_model(self, request, obj, form, change):
        """What was changed alone: the person may be changing their password."""
        if change:
            columns = {field.name for field in obj._meta.concrete_fields}
            obj.save(update_fields=columns.intersection(form.changed_data))
        else:
            obj.save()

    @admin.action(description="Erase selected people for good", permissions=["delete"])
    def erase(self, request, users):
        """Like `DELETE /api/users/me/`, after a page that asks."""
        if not request.user.is_superuser:
            users = users.filter(is_superuser=False)
        if "confirmed" not in request.POST:
            context = self.admin_site.each_context(request) | {
                "title": "Erase people",
                "users": users,
                "opts": self.opts,
                "action_checkbox_name": admin.helpers.ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/chats/user/erase.html", context)
        for user in users:
            user.erase()
            self.log_change(request, user, "Erased.")
        return None


@admin.register(Conversation)
class ConversationAdmin(admin.ModelAdmin):
    ordering = ["-updated_at"]
    list_display = ["conversation_id", "created_at", "updated_at"]
    search_fields = ["conversation_id", "participants__email"]
    autocomplete_fields = ["participants"]
    readonly_fields = ["conversation_id", "created_at", "updated_at"]

    def save_model(self, request, obj, form, change):
        """People are locked before conversations; setting the participants would lock those who
        are added after it has locked the conversation for those who are removed."""
        form.cleaned_data["participants"].lock()
        super().save_model(request, obj, form, change)


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """Messages are read and deleted here, not written."""

    ordering = ["-sent_at"]
    list_display = ["message_id", "conversation", "sender", "sent_at"]
    list_select_related = ["conversation", "sender"]
    search_fields = ["message_body", "sender__email"]
    show_full_result_count = False

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False
