"""Reads the bodies of requests for messaging_app/asgi.py."""

import asyncio
from typing import IO

from django.conf import settings

from messaging_app.adapter import Scope
from messaging_app.middleware import BODY_MAX_SECONDS, CUT_OFF, TOO_SLOW, RequestRefused
from messaging_app.streaming import Receive

# How much of a refused body is read. A client that is still sending could lose the response.
REFUSED_BODY_BYTES = 16 * 1024 * 1024
REFUSED_BODY_SECONDS = 5


async def read_body(scope: Scope, receive: Receive, body: IO[bytes]) -> bool:
    """Read the request's body into `body`. Returns False for a body that is chunked or too long: it
    stays unread, and Django sees the headers and no body."""
    headers = dict(scope["headers"])
    length = int(headers.get(b"content-length", 0))
    if b"transfer-encoding" in headers or length > settings.API_REQUEST_MAX_BYTES:
        return False
    if not length:
        return True
    try:
        async with asyncio.timeout(BODY_MAX_SECONDS):
            while body.tell() < length:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RequestRefused(400, CUT_OFF)
                body.write(message["body"])
    except TimeoutError:
        raise RequestRefused(408, TOO_SLOW) from None
    body.seek(0)
    return True


async def discard_body(receive: Receive) -> None:
    discarded = 0
    try:
        async with asyncio.timeout(REFUSED_BODY_SECONDS):
            while discarded < REFUSED_BODY_BYTES:
                message = await receive()
                if not message.get("more_body"):
                    return
                discarded += len(message["body"])
    except TimeoutError:
        return
