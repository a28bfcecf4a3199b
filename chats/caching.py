"""What is cached under which key, and how much of it; what conversations show.

Every key holds the clocks of what the JSON shows, so that the next request sees every change. Only
a name or role may be CACHE_SECONDS old. The views check membership before they read the cache.
"""

import hashlib

import orjson
from django.core.cache import caches
from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.views.decorators.cache import cache_page

from chats.models import Message, prefetch_participants
from chats.pagination import MessagePagination
from chats.serializers import (
    JSON_FIELDS,
    ConversationListSerializer,
    ConversationSerializer,
    serialize,
)
from chats.statements import ReadState, get_read_states

CACHE_SECONDS = 60
# Larger values are not stored. With the MAX_ENTRIES in settings.CACHES, local memory holds at most
# 63 MiB per process.
MAX_BYTES = {"default": 64 * 1024, "summaries": 4 * 1024}
# A release with other fields does not read what this one has stored.
JSON_VERSION = hashlib.sha256(repr(JSON_FIELDS).encode()).hexdigest()[:8]


def get_conversation_key(conversation):
    return f"{JSON_VERSION}.{conversation.updated_at.isoformat()}"


def get_inbox_key(user, clocks):
    key = f"{JSON_VERSION} {user.pk} {clocks.digest}"
    return hashlib.sha256(key.encode()).hexdigest()


def cached_page(request, key_prefix, view):
    """Django's `cache_page` around `view(request)`.

    The client is told to ask each time: a `max-age` would make it miss changes.
    """

    def render(request):
        # Rendered here, so that its size is known and only its bytes are stored.
        content = request.accepted_renderer.render(view(request).data)
        response = HttpResponse(content, content_type=request.accepted_renderer.media_type)
        # `cache_page` stores a `public` response once for all callers, and a `private` one not at
        # all. The view has checked membership.
        is_small = len(content) <= MAX_BYTES["default"]
        response.headers["Cache-Control"] = "public" if is_small else "private"
        return response

    response = cache_page(CACHE_SECONDS, key_prefix=key_prefix)(render)(request)
    response.headers["Cache-Control"] = "private, no-cache"
    for header in ("Age", "Expires"):
        response.headers.pop(header, None)
    return response


def get_shared(alias, conversations, serialize):
    """What each conversation shows to all its participants, from the cache of this alias.

    `serialize(conversations)` returns the JSON values of those that are not in the cache.
    """
    keys = {
        f"{conversation.pk.hex}.{get_conversation_key(conversation)}": conversation
        for conversation in conversations
    }
    stored = caches[alias].get_many(keys)
    found = {key: orjson.loads(json) for key, json in stored.items()}
    if missing := {key: keys[key] for key in keys if key not in found}:
        values = dict(zip(missing, serialize(list(missing.values())), strict=True))
        rendered = {key: orjson.dumps(value) for key, value in values.items()}
        small = {key: json for key, json in rendered.items() if len(json) <= MAX_BYTES[alias]}
        caches[alias].set_many(small, CACHE_SECONDS)
        found |= values
    return [found[key] for key in keys]


def attach_summaries(user, conversations):
    """Set what ConversationListSerializer shows. Needs `read_at`.

    One query if some of them may be unread, and two more if some are not in the cache.
    """
    summaries = get_shared("summaries", conversations, serialize_summaries)
    # If the clock is not past `read_at`, nothing can be unread.
    changed = [row.pk for row in conversations if row.updated_at > row.read_at]
    states = get_read_states(user, changed) if changed else {}
    for conversation, summary in zip(conversations, summaries, strict=True):
        conversation.shared = summary
        conversation.read_state = states.get(conversation.pk, ReadState(conversation.read_at, 0))


def serialize_summaries(conversations):
    prefetch_related_objects(conversations, prefetch_participants())
    last = {message.conversation_id: message for message in Message.objects.last_of(conversations)}
    for conversation in conversations:
        conversation.last_message = last.get(conversation.pk)
    fields = ConversationListSerializer.Meta.shared_fields
    return [serialize(conversation, fields) for conversation in conversations]


def attach_detail(user, conversation):
    """Set what ConversationSerializer shows. One query, and two more if it is not in the cache.

    Raises Conversation.DoesNotExist if the user is not a participant any more.
    """
    [conversation.shared] = get_shared("default", [conversation], serialize_details)
    states = get_read_states(user, [conversation.pk])
    if not states:
        raise conversation.DoesNotExist
    conversation.read_state = states[conversation.pk]


def attach_detail_of_new(conversation):
    """Set what ConversationSerializer shows to the user who has just started it."""
    conversation.shared = serialize_detail(conversation, [])
    conversation.read_state = ReadState(conversation.updated_at, 0)


def serialize_details(conversations):
    """Two queries for each."""
    page = slice(MessagePagination.page_size)
    return [
        serialize_detail(conversation, list(conversation.messages.as_shown().newest_first()[page]))
        for conversation in conversations
    ]


def serialize_detail(conversation, messages):
    """`messages` is the first page of its messages."""
    conversation.first_page = messages
    conversation.last_message = messages[0] if messages else None
    return serialize(conversation, ConversationSerializer.Meta.shared_fields)
