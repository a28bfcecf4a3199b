"""What conversations show: to all participants, as JSON from the cache, and to the caller alone."""

import orjson
from django.db.models import prefetch_related_objects

from chats.caching import get_shared_json
from chats.models import Message, prefetch_participants
from chats.pagination import MessagePagination
from chats.serializers import serialize_conversation, serialize_message
from chats.statements import get_read_states


def attach_summaries(user, conversations):
    """Set what ConversationListSerializer shows. Needs `read_at`.

    One query if some of them may be unread, and two more if some are not in the cache.
    """
    summaries = get_shared_json("summaries", conversations, render_summaries)
    # Whatever changes after `read_at` moves the clock.
    changed = [each.pk for each in conversations if each.updated_at > each.read_at]
    states = get_read_states(user, changed) if changed else {}
    for conversation, summary in zip(conversations, summaries, strict=True):
        conversation.shared_json = summary
        _, conversation.unread_count = states.get(conversation.pk, (None, 0))


def render_summaries(conversations):
    prefetch_related_objects(conversations, prefetch_participants())
    last_messages = {
        message.conversation_id: message for message in Message.objects.last_of(conversations)
    }
    return [
        orjson.dumps(serialize_conversation(conversation, last_messages.get(conversation.pk)))
        for conversation in conversations
    ]


def attach_detail(user, conversation):
    """Set what ConversationSerializer shows. One query, and two more if it is not in the cache.

    Raises Conversation.DoesNotExist if the user is not a participant any more.
    """
    [conversation.shared_json] = get_shared_json("default", [conversation], render_details)
    for state in get_read_states(user, [conversation.pk]).values():
        conversation.read_at, conversation.unread_count = state
        return
    raise conversation.DoesNotExist


def attach_detail_of_new(conversation):
    """Set what ConversationSerializer shows to the user who has just started it."""
    conversation.shared_json = render_detail(conversation, [])
    conversation.read_at, conversation.unread_count = conversation.updated_at, 0


def render_details(conversations):
    """With the first page of messages. Two queries for each."""
    page = slice(MessagePagination.page_size)
    return [
        render_detail(each, each.messages.with_sender().newest_first()[page])
        for each in conversations
    ]


def render_detail(conversation, messages):
    data = serialize_conversation(conversation, next(iter(messages), None))
    return orjson.dumps(data | {"messages": [serialize_message(message) for message in messages]})
