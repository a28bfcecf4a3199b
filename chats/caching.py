"""What is stored under which key, and how much of it.

Every key holds the clocks of what the JSON shows, so that the next request sees every change. Only
a name or role may be CACHE_SECONDS old, or MAX_LAG_SECONDS more with a replica. The views check
membership before they read the cache.
"""

import hashlib

from django.core.cache import caches
from django.http import HttpResponse
from django.views.decorators.cache import cache_page

from chats.replica import read_page, shows_clocks

CACHE_SECONDS = 60
# What is larger is not stored. With as many entries as settings.CACHES allows in local memory, this
# is at most 63 MiB a process.
MAX_BYTES = {"default": 64 * 1024, "summaries": 4 * 1024}


def get_conversation_key(conversation):
    return conversation.updated_at.isoformat()


def get_flat_list_key(user, clocks):
    """`clocks` is the text of `get_clocks()`."""
    return hashlib.sha256(f"{user.pk} {clocks}".encode()).hexdigest()


def cached_page(request, key_prefix, get_data):
    """Django's `cache_page` around `get_data()`, which returns what the response shows.

    The client is told to ask each time: a `max-age` would make it miss changes.
    """

    def render(_):
        # Rendered here, so that its size is known and only its bytes are stored.
        content = request.accepted_renderer.render(get_data())
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
        values = list(missing.values())
        json = read_page(lambda: shows_clocks(values), lambda: render(values))
        rendered = dict(zip(missing, json, strict=True))
        small = {key: json for key, json in rendered.items() if len(json) <= MAX_BYTES[alias]}
        caches[alias].set_many(small, CACHE_SECONDS)
        found |= rendered
    return [found[key] for key in keys]
