from contextlib import suppress
from datetime import UTC, datetime, time

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.utils.dateparse import parse_date
from django.utils.text import Truncator

from chats.admin.links import link_conversation
from chats.admin.lists import LargeTableAdmin, read_uuid
from chats.admin.reading import LoggedReadingMixin
from chats.admin.rights import may_view
from chats.models import Conversation, Message, User
from chats.services import delete_for_staff
from chats.validators import remove_direction_marks

# What the list shows before staff search or filter.
NEWEST_LISTED = 100
ACTIVE_CONVERSATIONS = 50
EXCERPT_CHARACTERS = 100
DELETED = "Deleted"


@admin.register(Message)
class MessageAdmin(LoggedReadingMixin, LargeTableAdmin):
    """Staff read and delete messages here. They cannot write them."""

    ordering = ["-sent_at"]
    list_filter = ["sent_at"]
    list_select_related = ["sender", "conversation"]
    sortable_by = []
    search_fields = ["message_body"]
    search_help_text = (
        "Text of a message. A day (in UTC) such as 2026-01-31, the id of a message, conversation "
        "or sender, or, if you may view users, a sender's whole e-mail address narrows the search. "
        f"Without a search you see the newest messages of the {ACTIVE_CONVERSATIONS} conversations "
        "that changed last."
    )
    id_fields = ["pk", "conversation", "sender"]

    def get_list_display(self, request):
        columns = ["excerpt", self.get_sender_column(request), "sent_at"]
        return [*columns, "conversation_link"] if may_view(Conversation, request) else columns

    def get_fields(self, request, obj=None):
        sender = self.get_sender_column(request)
        return ["text", sender, "sent_at", "updated_at", "conversation", "message_id"]

    def get_sender_column(self, request):
        """The name of the sender's column, which shows an e-mail address or a name."""
        return "sender" if may_view(User, request) else "sender_name"

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        context["show_delete"] = not (obj and obj.is_deleted)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def search(self, request, queryset, search_term):
        """A word that is an id, a day or an address narrows the search. Others are text."""
        is_narrowed = search_term or self.get_filters_in_use(request)
        if not is_narrowed:
            return self.newest(queryset), False
        words, may_view_users = [], may_view(User, request)
        for text in search_term.split():
            word = remove_direction_marks(text)
            if pk := read_uuid(word):
                queryset = self.with_id(queryset, pk)
            elif day := read_day(word):
                begin, end = (datetime.combine(day, hour, UTC) for hour in (time.min, time.max))
                # A conversation that has not changed since has no message of that day.
                queryset = queryset.filter(
                    conversation__updated_at__gte=begin,
                    sent_at__range=(begin, end),
                )
            elif may_view_users and (sender := User.objects.filter(email=word).first()):
                queryset = queryset.filter(sender=sender)
            else:
                words.append(text)
        # A message keeps its direction marks.
        return admin.ModelAdmin.get_search_results(self, request, queryset, " ".join(words))

    def get_filters_in_use(self, request):
        return [name for name in request.GET if name.startswith(tuple(self.list_filter))]

    def newest(self, queryset):
        """At least the newest NEWEST_LISTED messages of the ACTIVE_CONVERSATIONS that changed last,
        without sorting the whole table."""
        active = Conversation.objects.latest_activity_first().values_list("pk", flat=True)
        active = list(active[:ACTIVE_CONVERSATIONS])
        messages = queryset.filter(conversation=OuterRef("pk")).values("sent_at")
        bound = Subquery(messages[NEWEST_LISTED - 1 : NEWEST_LISTED])
        found = Conversation.objects.filter(pk__in=active).annotate(bound=bound)
        bounds = [conversation.bound for conversation in found if conversation.bound]
        newest = queryset.filter(conversation__in=active)
        return newest.filter(sent_at__gte=max(bounds)) if bounds else newest

    def delete_view(self, request, object_id, extra_context=None):
        return self.log_reading(request, super().delete_view(request, object_id, extra_context))

    def delete_model(self, request, obj):
        """Like `DELETE /api/messages/{id}/`: the row stays, without its text."""
        # The conversation, and the message with it, may have been deleted meanwhile.
        with suppress(Message.DoesNotExist):
            delete_for_staff(obj)

    def delete_queryset(self, request, queryset):
        """Deletes one message after the other, so that others can write in between."""
        for message in queryset:
            self.delete_model(request, message)

    def log_deletions(self, request, queryset):
        """Leaves out messages that were deleted before: they do not change."""
        return super().log_deletions(request, [row for row in queryset if not row.is_deleted])

    def get_deleted_objects(self, objs, request):
        """Names messages by their text instead of their id, for staff who may read them."""
        chosen = objs if isinstance(objs, list) else objs.select_related("sender")
        names = [str(message) for message in chosen]
        if may_view(Message, request):
            label = str if may_view(User, request) else User.get_full_name
            names = [f"{label(row.sender)}: {get_excerpt(row)}" for row in chosen]
        return names, {"messages": len(names)}, set(), []

    @admin.display(description="sender")
    def sender_name(self, message):
        return message.sender.get_full_name()

    @admin.display(description="conversation")
    def conversation_link(self, message):
        return link_conversation(message.conversation)

    @admin.display(description="message body")
    def text(self, message):
        return get_text(message)

    @admin.display(description="message")
    def excerpt(self, message):
        return get_excerpt(message)


def get_text(message):
    return DELETED if message.is_deleted else message.message_body


def get_excerpt(message):
    return Truncator(get_text(message)).chars(EXCERPT_CHARACTERS)


def read_day(text):
    """None if the text is not a day."""
    try:
        return parse_date(text)
    except ValueError:
        return None
