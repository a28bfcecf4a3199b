"""How many messages of a conversation its participants have not read."""

from django.db.models import IntegerField, OuterRef, Q, Subquery

from chats.models import Message, Participation

MAX_UNREAD_COUNT = 100
# A participant's own messages and deleted ones are passed over. This bounds how many.
MAX_MESSAGES_SCANNED = 1_000


class CountUnread(Subquery):
    """The number of rows whose `is_unread` is true, at most `limit`."""

    template = (
        "(SELECT count(*) FROM "
        "(SELECT 1 FROM (%(subquery)s) scanned WHERE is_unread LIMIT %(limit)s) unread)"
    )
    output_field = IntegerField()


def get_read_states(user, conversation_ids):
    """`(read_at, unread_count)` by conversation_id, for those in which the user takes part. One
    query of at most MAX_MESSAGES_SCANNED index entries for each."""
    is_unread = ~Q(sender=user) & ~Q(message_body="")
    later = Message.objects.filter(
        conversation=OuterRef("conversation"), sent_at__gt=OuterRef("read_at")
    )
    scanned = later.order_by("sent_at").values(is_unread=is_unread)[:MAX_MESSAGES_SCANNED]
    participations = Participation.objects.filter(user=user, conversation__in=conversation_ids)
    states = participations.values_list(
        "conversation_id", "read_at", CountUnread(scanned, limit=MAX_UNREAD_COUNT)
    )
    return {pk: (read_at, unread_count) for pk, read_at, unread_count in states}


def attach_unread_counts(user, conversations):
    """Set the `unread_count` of each conversation. Needs `read_at` and `last_message`.

    Counts only where the last message is not read.
    """
    unread = [
        conversation.pk
        for conversation in conversations
        if conversation.last_message and conversation.last_message.sent_at > conversation.read_at
    ]
    states = get_read_states(user, unread) if unread else {}
    for conversation in conversations:
        _, conversation.unread_count = states.get(conversation.pk, (None, 0))
