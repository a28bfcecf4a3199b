import uuid

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.db import transaction
from django.template.loader import render_to_string

from chats.admin.forms import ChangedFieldsForm, ChangedFieldsMixin, IdsField
from chats.admin.lists import LargeTableAdmin, read_uuid
from chats.admin.messages import get_excerpt
from chats.admin.reading import LoggedReadingMixin
from chats.admin.rights import may_view
from chats.models import MAX_PARTICIPANTS, Conversation, Message, User
from chats.services import UnknownUsers, lock_reachable_users

NEWEST_MESSAGES = 20
NAMED_PARTICIPANTS = 5
ADDED = "This conversation was added already. The page was sent twice."


class ParticipantsSelect(AutocompleteSelectMultiple):
    def optgroups(self, name, value, attr=None):
        """Drops values that are not ids: Django would query the database with them."""
        ids = [str(pk) for item in value if (pk := read_uuid(str(item)))]
        return super().optgroups(name, ids, attr)


class ConversationForm(ChangedFieldsForm):
    # The same in a second submission of the page.
    key = forms.UUIDField(required=False, initial=uuid.uuid4, widget=forms.HiddenInput)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        is_new = self.instance._state.adding
        self.shown = [] if is_new else list(self.instance.participants.all())
        if not is_new:
            del self.fields["key"]
        if "participants" in self.fields and not may_view(User, self.request):
            self.fields["participants"].label_from_instance = self.get_name

    def get_name(self, user):
        """Their name if they take part already, and so are on the page. Otherwise their id."""
        return user.get_full_name() if user in self.shown else str(user.pk)

    def clean(self):
        """Locks users before the conversation: see clock.lock()."""
        if "participants" not in self.cleaned_data:
            return
        added = self.get_added("participants")
        if added and not may_view(Message, self.request):
            # Staff could add themselves and read the conversation through the API.
            text = "You need the permission to view messages to add participants."
            raise ValidationError({"participants": text})
        self.refuse_inactive(added)
        super().clean()
        removed = self.get_removed("participants")
        staying = set(self.instance.participants.all()).difference(removed)
        if len(staying.union(added)) > MAX_PARTICIPANTS:
            text = f"A conversation has at most {MAX_PARTICIPANTS} participants."
            self.add_error("participants", text)

    def refuse_inactive(self, users):
        """Locks the users."""
        try:
            lock_reachable_users([user.pk for user in users])
        except UnknownUsers as error:
            label = self.fields["participants"].label_from_instance
            names = ", ".join(sorted(label(user) for user in users if user.pk in error.user_ids))
            text = f"Only active users can be added. Not active: {names}."
            raise ValidationError({"participants": text}) from error


class ConversationList(ChangeList):
    def get_results(self, request):
        """Sets each conversation's `last_message`, for staff who may view messages. One query."""
        super().get_results(request)
        if not may_view(Message, request):
            return
        last = {
            message.conversation_id: message
            for message in Message.objects.last_of(self.result_list)
        }
        for conversation in self.result_list:
            conversation.last_message = last.get(conversation.pk)


@admin.register(Conversation)
class ConversationAdmin(LoggedReadingMixin, ChangedFieldsMixin, LargeTableAdmin):
    form = ConversationForm
    ordering = ["-updated_at"]
    search_fields = ["title", "participants__first_name", "participants__last_name"]
    search_help_text = (
        "A part of the title or of a participant's name, an id or, if you may view users, a part "
        "of an e-mail address."
    )
    id_fields = ["pk", "participants"]
    readonly_fields = ["conversation_id", "created_at", "updated_at", "newest_messages"]

    class Media:
        css = {"all": ["chats/admin.css"]}

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("participants")

    def get_changelist(self, request, **kwargs):
        return ConversationList

    def get_list_display(self, request):
        dates = ["created_at", "updated_at"]
        may_read = may_view(Message, request)
        return ["first_participants", "title", *(["last_message"] if may_read else []), *dates]

    def get_fields(self, request, obj=None):
        if obj is None:
            return ["title", "participants", "key"]
        # A page that cannot be changed shows participants as their e-mail addresses.
        may_see_them = may_view(User, request) or self.has_change_permission(request, obj)
        participants = "participants" if may_see_them else "participant_names"
        fields = ["title", participants, "conversation_id", "created_at", "updated_at"]
        return [*fields, "newest_messages"] if may_view(Message, request) else fields

    def has_delete_permission(self, request, obj=None):
        """Also requires the permission to delete messages, which are deleted with it."""
        messages_admin = self.admin_site.get_model_admin(Message)
        may_delete = super().has_delete_permission(request, obj)
        return may_delete and messages_admin.has_delete_permission(request)

    def save_model(self, request, obj, form, change):
        if not change and (key := form.cleaned_data["key"]):
            participants = sorted(str(user.pk) for user in form.cleaned_data["participants"])
            obj.pk = uuid.uuid5(key, f"{request.user.pk}\n{participants}\n{obj.title}")
        super().save_model(request, obj, form, change)

    def response_conflict(self, request):
        """The page for a new conversation was submitted before."""
        self.message_user(request, ADDED, messages.WARNING)
        return self.response_post_save_add(request, None)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        """Replaces Django's method, which returns no field for a relation with a through model."""
        widget = ParticipantsSelect(db_field, self.admin_site)
        return db_field.formfield(form_class=IdsField, widget=widget, **kwargs)

    def get_search_fields(self, request):
        fields = super().get_search_fields(request)
        return ["participants__email", *fields] if may_view(User, request) else fields

    def get_deleted_objects(self, conversations, request):
        """Does not list the messages, of which there may be a million."""
        name = shorten_participants if self.has_view_permission(request) else str
        names = [f"{name(row)}, with all messages" for row in conversations]
        return names, {"conversations": len(conversations)}, set(), []

    def delete_model(self, request, obj):
        """After the transaction of Django's view, so that others can write in between."""
        transaction.on_commit(obj.delete)

    @admin.display(description="participants")
    def first_participants(self, conversation):
        return shorten_participants(conversation)

    @admin.display(description="participants")
    def participant_names(self, conversation):
        return ", ".join(user.get_full_name() for user in conversation.participants.all())

    @admin.display(description="last message")
    def last_message(self, conversation):
        message = conversation.last_message
        return message and f"{message.sender.get_full_name()}: {get_excerpt(message)}"

    @admin.display(description="messages")
    def newest_messages(self, conversation):
        newest = conversation.messages.select_related("sender").newest_first()
        context = {"conversation": conversation, "messages": newest[:NEWEST_MESSAGES]}
        return render_to_string("admin/chats/conversation/newest_messages.html", context)


def shorten_participants(conversation):
    users = conversation.participants.all()
    names = ", ".join(user.get_full_name() for user in users[:NAMED_PARTICIPANTS])
    more = len(users) - NAMED_PARTICIPANTS
    return f"{names} and {more} more" if more > 0 else names or "Nobody"
