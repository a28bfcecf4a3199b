from datetime import UTC, datetime, time
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.forms import UserChangeForm as DjangoUserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Exists, OuterRef, Subquery
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_date
from django.utils.functional import cached_property
from django.utils.text import Truncator
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from chats.models import MAX_PARTICIPANTS, Conversation, Message, User

NEWEST_MESSAGES = 20
NAMED_PARTICIPANTS = 5
FILTER_CONDITIONS = {"exact", "isnull", "gte", "lt"}
# On the list of messages, before staff search or filter.
NEWEST_LISTED = 100
ACTIVE_CONVERSATIONS = 50

# They would show staff everybody's refresh tokens.
admin.site.unregister([BlacklistedToken, OutstandingToken])
admin.site.unregister(Group)


class BoundedPaginator(Paginator):
    """Counts and lists the first rows only; whoever looks for others searches or filters."""

    max_count = 1000

    @cached_property
    def count(self):
        return self.object_list.order_by()[: self.max_count].count()


class LargeTableAdmin(admin.ModelAdmin):
    """For tables of any size. The search box also takes an id, looked up in the `id_fields`."""

    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    id_fields = ["pk"]

    def lookup_allowed(self, lookup, value, request):
        """What the filters beside the list send, and no more: a lookup by a regular expression
        may take for ever, and one through a relation tells what staff may not see."""
        field, _, condition = lookup.partition("__")
        return field in self.get_list_filter(request) and condition in FILTER_CONDITIONS

    def get_search_results(self, request, queryset, search_term):
        if pk := read_uuid(search_term):
            return self.with_id(queryset, pk), False
        return super().get_search_results(request, queryset, search_term)

    def with_id(self, queryset, pk):
        """Those that have it in the first of the `id_fields` in which any has it."""
        matching = (queryset.filter(**{name: pk}) for name in self.id_fields)
        return next(filter(models.QuerySet.exists, matching), queryset.none())


@admin.register(Group)
class GroupAdmin(LargeTableAdmin, DjangoGroupAdmin):
    """For superusers alone: a group's permissions are those of the staff in it."""

    def has_module_permission(self, request):
        return request.user.is_superuser

    has_add_permission = has_module_permission

    def has_change_permission(self, request, obj=None):
        return request.user.is_superuser

    has_view_permission = has_delete_permission = has_change_permission


class LowerCaseEmailForm(forms.ModelForm):
    """In lower case a letter may be two, so that the length is looked at afterwards."""

    def clean_email(self):
        return self.cleaned_data["email"].lower()


class UserCreationForm(LowerCaseEmailForm, AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email"]
        field_classes = {}


class UserChangeForm(LowerCaseEmailForm, DjangoUserChangeForm):
    class Meta:
        model = User
        fields = "__all__"  # noqa: DJ007 - UserAdmin.fieldsets chooses
        field_classes = {}


@admin.register(User)
class UserAdmin(LargeTableAdmin, DjangoUserAdmin):
    """Who is staff, and what staff may do, is for superusers alone."""

    form = UserChangeForm
    add_form = UserCreationForm
    actions = ["deactivate", "erase"]
    ordering = ["email"]
    search_fields = ["email", "first_name", "last_name"]
    search_help_text = "A part of the name or e-mail address, or an id."
    readonly_fields = ["user_id", "last_login", "created_at"]
    fieldsets = [
        (None, {"fields": ["user_id", "email", "password"]}),
        ("Person", {"fields": ["first_name", "last_name", "phone_number", "role", "is_active"]}),
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
        fieldsets = super().get_fieldsets(request, obj)
        if obj and request.user.is_superuser:
            return [*fieldsets, ("Permissions", {"fields": self.superusers_fields})]
        return fieldsets

    def get_list_display(self, request):
        fields = ["email", "first_name", "last_name", "role", "is_active"]
        return [*fields, "is_staff"] if request.user.is_superuser else fields

    def get_list_filter(self, request):
        fields = ["role", "is_active"]
        return [*fields, "is_staff"] if request.user.is_superuser else fields

    def has_change_permission(self, request, obj=None):
        """A form that was opened before a person was erased must not bring them back."""
        may_change = super().has_change_permission(request, obj)
        return may_change and not (obj and (obj.is_erased or is_above(obj, request.user)))

    def history_view(self, request, *args, **kwargs):
        """Who became staff is in it."""
        if not request.user.is_superuser:
            raise PermissionDenied
        return super().history_view(request, *args, **kwargs)

    def has_delete_permission(self, request, obj=None):
        may_delete = super().has_delete_permission(request, obj)
        return may_delete and not (obj and is_above(obj, request.user))

    def save_model(self, request, obj, form, change):
        """What was changed alone: the person may be changing their password."""
        if change:
            columns = {field.name for field in obj._meta.concrete_fields}
            obj.save(update_fields=columns.intersection(form.changed_data))
        else:
            obj.save()

    def get_actions(self, request):
        """Without Django's deletion, which would take staff along; people are erased."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_deleted_objects(self, users, request):
        """Without what Django would read to find out that it stays: all that they wrote."""
        wrote = User.objects.filter(
            Exists(Message.objects.filter(sender=OuterRef("pk"))),
            pk__in=[user.pk for user in users],
        )
        protected = [
            f"What {user} wrote: erase them instead, on the list of users" for user in wrote
        ]
        return [str(user) for user in users], {"users": len(users)}, set(), protected

    @admin.action(description="Deactivate selected people", permissions=["change"])
    def deactivate(self, request, users):
        """They cannot sign in, and their tokens are refused from now on."""
        users = self.leave_out(request, users).filter(is_active=True)
        for user in users:
            self.log_change(request, user, "Deactivated.")
        count = User.objects.filter(pk__in=[user.pk for user in users]).update(is_active=False)
        self.message_user(request, f"People deactivated: {count}.", messages.SUCCESS)

    @admin.action(description="Erase selected people for good", permissions=["delete"])
    def erase(self, request, users):
        """Like `DELETE /api/users/me/`, after a page that asks."""
        users = self.leave_out(request, users)
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
        self.message_user(request, f"People erased: {len(users)}.", messages.SUCCESS)
        return None

    def leave_out(self, request, users):
        """The users but for those whom the staff member may not change, and themselves."""
        kept, left_out = [], []
        for user in users:
            may_act = user != request.user and not is_above(user, request.user)
            (kept if may_act else left_out).append(user)
        if left_out:
            text = f"Left as they were: {', '.join(map(str, left_out))}."
            self.message_user(request, text, messages.WARNING)
        return User.objects.filter(pk__in=[user.pk for user in kept])


class ConversationForm(forms.ModelForm):
    def clean_participants(self):
        participants = self.cleaned_data["participants"]
        if len(participants) > MAX_PARTICIPANTS:
            raise ValidationError(f"A conversation has at most {MAX_PARTICIPANTS} participants.")
        return participants


@admin.register(Conversation)
class ConversationAdmin(LargeTableAdmin):
    form = ConversationForm
    ordering = ["-updated_at"]
    list_display = ["people", "created_at", "updated_at"]
    search_fields = ["participants__email", "participants__first_name", "participants__last_name"]
    search_help_text = "A part of a participant's name or e-mail address, or an id."
    id_fields = ["pk", "participants"]
    autocomplete_fields = ["participants"]
    readonly_fields = ["conversation_id", "created_at", "updated_at", "newest_messages"]

    class Media:
        css = {"all": ["chats/admin.css"]}

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("participants")

    def get_fields(self, request, obj=None):
        fields = ["participants", "conversation_id", "created_at", "updated_at"]
        if obj is None:
            return fields[:1]
        return [*fields, "newest_messages"] if may_view_messages(self, request) else fields

    def save_model(self, request, obj, form, change):
        """People are locked before conversations; setting the participants would lock those who
        are added after it has locked the conversation for those who are removed."""
        form.cleaned_data["participants"].lock()
        super().save_model(request, obj, form, change)

    def get_deleted_objects(self, conversations, request):
        """Without the messages, of which there may be a million."""
        needed = set()
        if not self.admin_site.get_model_admin(Message).has_delete_permission(request):
            needed.add(Message._meta.verbose_name)
        names = [f"{self.people(each)}, with all messages" for each in conversations]
        return names, {"conversations": len(conversations)}, needed, []

    @admin.display(description="participants")
    def people(self, conversation):
        users = conversation.participants.all()
        names = ", ".join(user.get_full_name() for user in users[:NAMED_PARTICIPANTS])
        more = len(users) - NAMED_PARTICIPANTS
        return f"{names} and {more} more" if more > 0 else names or "Nobody"

    @admin.display(description="messages")
    def newest_messages(self, conversation):
        newest = conversation.messages.select_related("sender").newest_first()
        context = {"conversation": conversation, "messages": newest[:NEWEST_MESSAGES]}
        return render_to_string("admin/chats/conversation/newest_messages.html", context)


@admin.register(Message)
class MessageAdmin(LargeTableAdmin):
    """Messages are read and deleted here, not written."""

    ordering = ["-sent_at"]
    list_display = ["excerpt", "sender", "sent_at"]
    list_filter = ["sent_at"]
    list_select_related = ["sender"]
    sortable_by = []
    search_fields = ["message_body"]
    search_help_text = (
        "What was written; narrowed by a sender's whole e-mail address, a day such as 2026-01-31, "
        "or the id of a message, a conversation or a sender. Before you search: the newest, in the "
        f"{ACTIVE_CONVERSATIONS} conversations that changed last."
    )
    id_fields = ["pk", "conversation", "sender"]
    fields = ["message_body", "sender", "sent_at", "conversation", "message_id"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def get_search_results(self, request, queryset, search_term):
        """Each word that is an id, a day or somebody's address narrows; the others are text."""
        is_narrowed = search_term or self.get_filters_in_use(request)
        # What was selected on the page is acted upon, though it is no longer among the newest.
        if request.method == "GET" and not is_narrowed:
            return self.newest(queryset), False
        words = []
        for word in search_term.split():
            if pk := read_uuid(word):
                queryset = self.with_id(queryset, pk)
            elif day := read_day(word):
                begin, end = (datetime.combine(day, each, UTC) for each in (time.min, time.max))
                # The clock tells the database in which conversations to look.
                queryset = queryset.filter(
                    conversation__updated_at__gte=begin,
                    sent_at__range=(begin, end),
                )
            elif sender := User.objects.filter(email=word.lower()).first():
                queryset = queryset.filter(sender=sender)
            else:
                words.append(word)
        return super().get_search_results(request, queryset, " ".join(words))

    def get_filters_in_use(self, request):
        return [name for name in request.GET if name.startswith(tuple(self.list_filter))]

    def newest(self, queryset):
        """The newest NEWEST_LISTED and some more, of the conversations that changed last: found
        without sorting the table."""
        active = Conversation.objects.latest_activity_first().values_list("pk", flat=True)
        active = list(active[:ACTIVE_CONVERSATIONS])
        messages = queryset.filter(conversation=OuterRef("pk")).values("sent_at")
        bound = Subquery(messages[NEWEST_LISTED - 1 : NEWEST_LISTED])
        found = Conversation.objects.filter(pk__in=active).annotate(bound=bound)
        bounds = [conversation.bound for conversation in found if conversation.bound]
        newest = queryset.filter(conversation__in=active)
        return newest.filter(sent_at__gte=max(bounds)) if bounds else newest

    def get_deleted_objects(self, objs, request):
        """A message's name is its id: here, to those who may read it, what it says."""
        chosen = objs if isinstance(objs, list) else objs.select_related("sender")
        names = [str(message) for message in chosen]
        if may_view_messages(self, request):
            names = [f"{each.sender}: {self.excerpt(each)}" for each in chosen]
        return names, {"messages": len(names)}, set(), []

    @admin.display(description="message")
    def excerpt(self, message):
        return Truncator(message.message_body).chars(100)


def is_above(user, staff):
    """Staff are the superusers' affair."""
    return user.is_staff and not staff.is_superuser


def may_view_messages(model_admin, request):
    return model_admin.admin_site.get_model_admin(Message).has_view_permission(request)


def read_uuid(text):
    """None if it is not one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def read_day(text):
    """None if it is none."""
    try:
        return parse_date(text)
    except ValueError:
        return None
