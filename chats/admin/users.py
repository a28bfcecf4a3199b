from contextlib import suppress
from functools import partial

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Exists, OuterRef, ProtectedError
from django.http import HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse

from chats import services
from chats.accounts.password_forms import PasswordNotReplaced, UserPasswordForm
from chats.admin.conversations import shorten_participants
from chats.admin.forms import ChangedFieldsMixin
from chats.admin.lists import LargeTableAdmin
from chats.admin.rights import is_protected_from, may_view
from chats.admin.user_forms import ERASED, UserChangeForm, UserCreationForm
from chats.clock import lock
from chats.models import Conversation, Message, User

NEWEST_CONVERSATIONS = 20
PASSWORD_NOT_SET = "Somebody else has just changed this user. The password was not set."  # noqa: S105


@admin.register(User)
class UserAdmin(ChangedFieldsMixin, LargeTableAdmin, DjangoUserAdmin):
    """Only superusers see and change who is staff and what staff may do."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = UserPasswordForm
    actions = ["deactivate", "erase"]
    ordering = ["email"]
    search_fields = ["email", "first_name", "last_name"]
    search_help_text = "A part of the name or e-mail address, or an id."
    readonly_fields = ["user_id", "last_login", "created_at", "newest_conversations"]
    fieldsets = [
        (None, {"fields": ["user_id", "email", "password"]}),
        ("Profile", {"fields": ["first_name", "last_name", "phone_number", "role", "is_active"]}),
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

    def get_urls(self):
        erase = self.admin_site.admin_view(self.erase_view)
        return [
            path("<path:object_id>/erase/", erase, name="chats_user_erase"),
            *super().get_urls(),
        ]

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        # A sender cannot be deleted, and others need not be erased.
        wrote = obj is not None and obj.sent_messages.exists()
        context["may_erase"] = wrote and self.may_erase(request, obj)
        context["show_delete"] = not wrote
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
        super().delete_model(request, obj)

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

    @admin.action(description="Deactivate selected users", permissions=["change"])
    def deactivate(self, request, users):
        """They cannot sign in, and their tokens are refused from then on."""
        with transaction.atomic():
            users = lock(self.keep_changeable(request, users).filter(is_active=True))
            User.objects.filter(pk__in=[user.pk for user in users]).update(is_active=False)
            for user in users:
                self.log_change(request, user, "Deactivated.")
        self.message_user(request, f"Users deactivated: {len(users)}.", messages.SUCCESS)

    @admin.action(description="Erase selected users for good", permissions=["delete"])
    def erase(self, request, users):
        """Like `DELETE /api/users/me/`, after a page that asks for confirmation."""
        users = self.keep_changeable(request, users)
        if "confirmed" not in request.POST:
            return self.confirm_erasure(request, users, request.get_full_path())
        erased = 0
        for user in users:
            with suppress(User.DoesNotExist):
                services.erase(user, users)
                self.log_change(request, user, "Erased.")
                erased += 1
        self.message_user(request, f"Users erased: {erased}.", messages.SUCCESS)
        return None

    def erase_view(self, request, object_id):
        """The confirmation page of the `erase` action, for one user."""
        user = self.get_object(request, unquote(object_id))
        if user is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.may_erase(request, user):
            raise PermissionDenied
        form_url = self.response_post_save_change(request, user).url
        return self.confirm_erasure(request, [user], form_url)

    def confirm_erasure(self, request, users, form_url):
        """The page's form runs the action on the list at `form_url`."""
        context = self.admin_site.each_context(request) | {
            "title": "Erase users",
            "users": users,
            "opts": self.opts,
            "form_url": form_url,
            "action_checkbox_name": admin.helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/chats/user/erase.html", context)

    def may_erase(self, request, user):
        may_delete = self.has_delete_permission(request, user)
        return may_delete and self.may_change(request, user)

    def may_change(self, request, user):
        is_ones_own = user == request.user
        return not (is_ones_own or user.is_erased or is_protected_from(user, request.user))

    def keep_changeable(self, request, users):
        """The users whom the staff member may change, without the staff member."""
        kept, left_out = [], []
        for user in users:
            if self.may_change(request, user):
                kept.append(user)
            else:
                left_out.append(user)
        if left_out:
            text = f"Left as they were: {', '.join(map(str, left_out))}."
            self.message_user(request, text, messages.WARNING)
        users = User.objects.filter(pk__in=[user.pk for user in kept])
        if request.user.is_superuser:
            return users
        # The database checks this again when the rows are locked.
        return users.filter(is_staff=False, is_superuser=False)

    @admin.display(description="newest activity first")
    def newest_conversations(self, user):
        newest = user.conversations.latest_activity_first().prefetch_related("participants")
        rows = [(row, shorten_participants(row)) for row in newest[:NEWEST_CONVERSATIONS]]
        context = {"user": user, "rows": rows}
        return render_to_string("admin/chats/user/newest_conversations.html", context)
