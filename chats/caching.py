"""What is stored under which key.

Every key holds the clocks of what the page shows, so that the next request sees every change. Only
a changed name or role of a person may lag, by MESSAGE_LIST_CACHE_SECONDS.
"""

import hashlib

from django.http import HttpResponse
from django.views.decorators.cache import cache_page

MESSAGE_LIST_CACHE_SECONDS = 60
# With the 1,000 entries of the local-memory cache, 64 MiB a process.
CACHED_PAGE_MAX_BYTES = 64 * 1024


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
        is_small = len(content) <= CACHED_PAGE_MAX_BYTES
        response.headers["Cache-Control"] = "public" if is_small else "private"
        return response

    response = cache_page(MESSAGE_LIST_CACHE_SECONDS, key_prefix=key_prefix)(render)(request)
    response.headers["Cache-Control"] = "private, no-cache"
    for header in ("Age", "Expires"):
        response.headers.pop(header, None)
    return response
