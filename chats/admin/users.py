from functools import partial

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, ProtectedError
from django.http import HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse

from chats.accounts.password_forms import PasswordNotReplaced, UserPasswordForm
from chats.admin.conversations import shorten_participants
from chats.admin.forms import ChangedFieldsMixin
from chats.admin.lists import LargeTableAdmin
from chats.admin.rights import is_protected_from, may_view
from chats.admin.user_actions import UserActionsMixin
from chats.admin.user_forms import ERASED, UserChangeForm, UserCreationForm
from chats.clock import lock
from chats.models import Conversation, Message, User
from chats.services import rename_in_log

NEWEST_CONVERSATIONS = 20
PASSWORD_NOT_SET = "Somebody else has just changed this user. The password was not set."  # noqa: S105


@admin.register(User)
class UserAdmin(UserActionsMixin, ChangedFieldsMixin, LargeTableAdmin, DjangoUserAdmin):
    """Only superusers see and change who is staff and what staff may do."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = UserPasswordForm
    ordering = ["email"]
    search_fields = ["email", "first_name", "last_name"]
    search_help_text = "A part of the name or e-mail address, or an id."
    readonly_fields = [
        *["user_id", "last_login", "created_at", "email_verified_at", "newest_conversations"]
    ]
    fieldsets = [
        (None, {"fields": ["user_id", "email", "password"]}),
        ("Profile", {"fields": ["first_name", "last_name", "phone_number", "role", "is_active"]}),
        ("Dates", {"fields": ["last_login", "created_at", "email_verified_at"]}),
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
                    "phone_number",
                    "role",
                    "usable_password",
                    "password1",
                    "password2",
                ],
            },
        ),
    ]
    superusers_fields = ["is_staff", "is_superuser", "groups", "user_permissions"]

    def get_fieldsets(self, request, obj=None):
        fieldsets = list(super().get_fieldsets(request, obj))
        if obj and may_view(Conversation, request):
            fieldsets.append(("Conversations", {"fields": ["newest_conversations"]}))
        if obj and request.user.is_superuser:
            fieldsets.append(("Permissions", {"fields": self.superusers_fields}))
        return fieldsets

    def get_list_display(self, request):
        fields = ["email", "first_name", "last_name", "role", "is_active"]
        fields += ["created", "last_sign_in"]
        return [*fields, "is_staff"] if request.user.is_superuser else fields

    def get_list_filter(self, request):
        fields = ["role", "is_active"]
        return [*fields, "is_staff"] if request.user.is_superuser else fields

    def has_change_permission(self, request, obj=None):
        """False for an erased user: an old form would restore their data."""
        may_change = super().has_change_permission(request, obj)
        return may_change and not (obj and (obj.is_erased or is_protected_from(obj, request.user)))

    def history_view(self, request, *args, **kwargs):
        """Only for superusers: the history shows who became staff."""
        if not request.user.is_superuser:
            raise PermissionDenied
        return super().history_view(request, *args, **kwargs)

    def has_delete_permission(self, request, obj=None):
        """Also requires view permission, because the page names users."""
        may_delete = super().has_delete_permission(request, obj)
        may_see = self.has_view_permission(request, obj)
        return may_delete and may_see and not (obj and is_protected_from(obj, request.user))

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        context["tools"] = self.get_tools(request, obj) if obj else []
        # A sender cannot be deleted.
        context["show_delete"] = not (obj and obj.sent_messages.exists())
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def change_view(self, request, object_id, *args, **kwargs):
        try:
            return super().change_view(request, object_id, *args, **kwargs)
        except PermissionDenied:
            user = self.get_object(request, unquote(object_id))
            if not (request.method == "POST" and user and user.is_erased):
                raise
            self.message_user(request, ERASED, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        if not change and form.cleaned_data["set_usable_password"]:
            # After the transaction, because hashing is slow and SQLite has one writer at a time.
            password = form.cleaned_data["password1"]
            transaction.on_commit(partial(self.set_first_password, request, obj, password))

    def delete_view(self, request, object_id, *args, **kwargs):
        user = self.get_object(request, unquote(object_id)) if request.method == "POST" else None
        may_delete = user and self.has_delete_permission(request, user)
        if may_delete and not user.sent_messages.exists():
            # Before the transaction of Django's view, so that others can write in between.
            user.leave_conversations()
        try:
            return super().delete_view(request, object_id, *args, **kwargs)
        except ProtectedError:
            text = "This user has just written a message. Erase them instead."
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def delete_model(self, request, obj):
        for user in lock(User.objects.filter(pk=obj.pk)):
            if is_protected_from(user, request.user):
                raise PermissionDenied
        user_id = obj.pk
        super().delete_model(request, obj)
        rename_in_log(user_id, str(user_id))

    def set_first_password(self, request, user, password):
        if not user.replace_password(password):
            self.message_user(request, PASSWORD_NOT_SET, messages.ERROR)

    def user_change_password(self, request, *args, **kwargs):
        try:
            return super().user_change_password(request, *args, **kwargs)
        except PasswordNotReplaced:
            self.message_user(request, PASSWORD_NOT_SET, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:chats_user_changelist"))

    def get_actions(self, request):
        """Removes Django's deletion of selected rows, which would delete staff too."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_deleted_objects(self, users, request):
        """Does not read all their messages, as Django would."""
        wrote = User.objects.filter(
            Exists(Message.objects.filter(sender=OuterRef("pk"))),
            pk__in=[user.pk for user in users],
        )
        protected = [
            f"Messages of {user}. Erase this user instead, on their page" for user in wrote
        ]
        return [str(user) for user in users], {"users": len(users)}, set(), protected

    @admin.display(ordering="created_at")
    def created(self, user):
        return f"{user.created_at:%Y-%m-%d}"

    @admin.display(description="last sign-in", ordering="last_login")
    def last_sign_in(self, user):
        return user.last_login and f"{user.last_login:%Y-%m-%d}"

    @admin.display(description="newest activity first")
    def newest_conversations(self, user):
        newest = user.conversations.latest_activity_first().prefetch_related("participants")
        rows = [(row, shorten_participants(row)) for row in newest[:NEWEST_CONVERSATIONS]]
        context = {"user": user, "rows": rows}
        return render_to_string("admin/chats/user/newest_conversations.html", context)
