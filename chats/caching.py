"""What is stored under which key, and how much of it; what conversations show, to all participants
from the cache and to the caller alone.

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
from chats.serializers import serialize_conversation, serialize_message
from chats.statements import get_read_states

CACHE_SECONDS = 60
# What is larger is not stored. With as many entries as settings.CACHES allows in local memory, this
# is at most 63 MiB a process.
MAX_BYTES = {"default": 64 * 1024, "summaries": 4 * 1024}


def get_conversation_key(conversation):
    return conversation.updated_at.isoformat()


def get_flat_list_key(user, clocks):
    """`clocks` is the text of `get_clocks()`."""
    return hashlib.sha256(f"{user.pk} {clocks}".encode()).hexdigest()


def cached_page(request, key_prefix, view):
    """Django's `cache_page` around `view(request)`.

    The client is told to ask each time: a `max-age` would make it miss changes.
    """

    def render(request):
        # Rendered here, so that its size is known and only its bytes are stored.
        content = request.accepted_renderer.render(view(request).data)
        response = HttpResponse(content, content_type=request.accepted_renderer.media_type)
        # `public` has cache_page store one page for all callers. Their membership was checked.
        is_small = len(content) <= MAX_BYTES["default"]
        response.headers["Cache-Control"] = "public" if is_small else "private"
        return response

    response = cache_page(CACHE_SECONDS, key_prefix=key_prefix)(render)(request)
    response.headers["Cache-Control"] = "private, no-cache"
    for header in ("Age", "Expires"):
        response.headers.pop(header, None)
    return response


def get_shared_json(alias, conversations, render):
    """What each conversation shows to all its participants, from the cache of this alias.

    `render()` takes the conversations of which nothing is stored, and returns the JSON of each.
    """
    keys = {
        f"{conversation.pk.hex}{get_conversation_key(conversation)}": conversation
        for conversation in conversations
    }
    found = caches[alias].get_many(keys)
    if missing := {key: keys[key] for key in keys if key not in found}:
        rendered = dict(zip(missing, render(list(missing.values())), strict=True))
        small = {key: json for key, json in rendered.items() if len(json) <= MAX_BYTES[alias]}
        caches[alias].set_many(small, CACHE_SECONDS)
        found |= rendered
    return [found[key] for key in keys]


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
