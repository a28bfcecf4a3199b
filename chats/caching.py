"""The caches: keys, sizes, and what conversations show.

Every key holds the clocks of what the JSON shows, so that the next request sees every change. Only
a name or role may be CACHE_SECONDS old. The views check membership before they read the cache.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from django.core.cache import cache
from django.db.models import prefetch_related_objects
from django.http import HttpResponse
from django.views.decorators.cache import cache_page
from rest_framework.request import Request
from rest_framework.response import Response

from chats.models import Conversation, Message, User, prefetch_participants
from chats.pagination import MessagePagination, render_page
from chats.serializers import (
    JSON_FIELDS,
    ConversationListSerializer,
    ConversationSerializer,
    ShownConversation,
    serialize,
    serialize_message,
)
from chats.statements import ReadState, get_read_states
from messaging_app.metrics import add_cache_lookup

CACHE_SECONDS = 60
# A cached inbox is put together from cached summaries, so a name may be as old as both together.
INBOX_CACHE_SECONDS = SUMMARY_CACHE_SECONDS = 30
# A release with other fields does not read what this one has stored.
JSON_VERSION = hashlib.sha256(repr(JSON_FIELDS).encode()).hexdigest()[:8]


def get_conversation_key(conversation: Conversation) -> str:
    return f"{JSON_VERSION}.{conversation.updated_at.isoformat()}"


def get_user_key(user: User, state: Any) -> str:
    """`state` changes whenever the user's page does: the rows of the inbox, or the digest of the
    clocks."""
    return hashlib.sha256(orjson.dumps([JSON_VERSION, user.pk, state])).hexdigest()


def cached_page(
    request: Request,
    key_prefix: str,
    view: Callable[[Request], Response],
    seconds: int = CACHE_SECONDS,
) -> HttpResponse:
    """Django's `cache_page` around `view(request)`.

    The client is told to ask each time: a `max-age` would make it miss changes.
    """
    result = "hit"

    def render(request: Request) -> HttpResponse:
        nonlocal result
        result = "miss"
        # Rendered here, so that only its bytes are stored.
        content = request.accepted_renderer.render(view(request).data)
        response = HttpResponse(content, content_type=request.accepted_renderer.media_type)
        # `cache_page` stores a `public` response once for all callers. The view has checked
        # membership.
        response.headers["Cache-Control"] = "public"
        return response

    response = cache_page(seconds, key_prefix=key_prefix)(render)(request)
    add_cache_lookup("page", result)
    response.headers["Cache-Control"] = "private, no-cache"
    for header in ("Age", "Expires"):
        response.headers.pop(header, None)
    return response


def get_shared(
    name: str,
    conversations: list[Conversation],
    serialize_rows: Callable[[list[Conversation]], list],
    seconds: int,
) -> list:
    """What each conversation shows to all its participants, from the cache.

    `serialize_rows(conversations)` returns the JSON values of those that are not in the cache.
    """
    keys = {f"{name}.{row.pk.hex}.{get_conversation_key(row)}": row for row in conversations}
    found = {key: orjson.loads(json) for key, json in cache.get_many(keys).items()}
    if missing := {key: keys[key] for key in keys if key not in found}:
        values = dict(zip(missing, serialize_rows(list(missing.values())), strict=True))
        cache.set_many({key: orjson.dumps(value) for key, value in values.items()}, seconds)
        found |= values
    content, *_ = name.split(".")
    for key in keys:
        add_cache_lookup(content, "miss" if key in missing else "hit")
    return [found[key] for key in keys]


def get_summaries(user: User, conversations: list[Any]) -> list[ShownConversation]:
    """What ConversationListSerializer shows of rows with `read_at`.

    One query if some of them may be unread, and two more if some are not in the cache.
    """
    summaries = get_shared_summaries(conversations)
    # If the clock is not past `read_at`, nothing can be unread.
    changed = [row.pk for row in conversations if row.updated_at > row.read_at]
    states = get_read_states(user, changed) if changed else {}
    return [
        ShownConversation(summary, states.get(row.pk, ReadState(row.read_at, 0)))
        for row, summary in zip(conversations, summaries, strict=True)
    ]


def get_shared_summaries(conversations: list[Any]) -> list[dict]:
    return get_shared("summary", conversations, serialize_summaries, SUMMARY_CACHE_SECONDS)


def serialize_summaries(conversations: list[Conversation]) -> list[dict]:
    prefetch_related_objects(conversations, prefetch_participants())
    last = {message.conversation_id: message for message in Message.objects.last_of(conversations)}
    fields = ConversationListSerializer.Meta.shared_fields
    return [serialize(row, fields, last_message=last.get(row.pk)) for row in conversations]


def get_detail(
    user: User, conversation: Conversation, changed_after: datetime | None = None
) -> ShownConversation:
    """What ConversationSerializer shows. One query, and two more if it is not in the cache.

    `messages` is the first page, or the messages that changed after a moment. That costs up to
    three more queries. Raises Conversation.DoesNotExist if the user is not a participant any more.
    """
    if changed_after is None:
        [shared] = get_shared("detail", [conversation], serialize_details, CACHE_SECONDS)
    else:
        [summary] = get_shared_summaries([conversation])
        name = f"changes.{changed_after.isoformat()}"
        serialize_rows = partial(serialize_changes, changed_after=changed_after)
        [messages] = get_shared(name, [conversation], serialize_rows, CACHE_SECONDS)
        shared = summary | {"messages": messages}
    states = get_read_states(user, [conversation.pk])
    if not states:
        raise Conversation.DoesNotExist
    return ShownConversation(shared, states[conversation.pk])


def get_detail_of_new(conversation: Conversation) -> ShownConversation:
    """What ConversationSerializer shows to the user who has just started it."""
    shared = serialize_detail(conversation, [])
    return ShownConversation(shared, ReadState(conversation.updated_at, 0))


def serialize_details(conversations: list[Conversation]) -> list[dict]:
    """Two queries for each."""
    page = slice(MessagePagination.page_size)
    return [
        serialize_detail(row, list(row.messages.as_shown().newest_first()[page]))
        for row in conversations
    ]


def serialize_changes(conversations: list[Conversation], changed_after: datetime) -> list[list]:
    """One query for each. The last change comes last."""
    pages = []
    for row in conversations:
        changed = row.messages.as_shown().filter(updated_at__gt=changed_after).last_changed_last()
        page = changed[: MessagePagination.max_page_size]
        pages.append(render_page([serialize_message(message) for message in page]))
    return pages


def serialize_detail(conversation: Conversation, messages: list[Message]) -> dict:
    """`messages` is the first page of its messages."""
    fields = ConversationSerializer.Meta.shared_fields
    last_message = messages[0] if messages else None
    page = render_page([serialize_message(message) for message in messages])
    return serialize(conversation, fields, last_message=last_message, messages=page)
