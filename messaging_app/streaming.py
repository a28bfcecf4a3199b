"""Sends the streams of events for messaging_app/asgi.py, which imports this after it has set Django
up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from chats.events.hub import Hub
from chats.events.streams import Stream, Subscriber
from chats.events.views import SUBSCRIBERS
from chats.events.watcher import start_hub
from messaging_app.parts import Part, Parts

__all__ = ["SUBSCRIBERS", "Hub", "Subscriber", "send_parts", "send_stream", "start_hub"]

# A client that does not take a part in this time is disconnected.
PART_SECONDS = 30

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_stream(stream: Stream, receive: Receive, send: Send) -> None:
    """Returns when the stream or the client has ended. Raises TimeoutError."""
    call_when_gone(receive, stream.end)
    while part := await stream.read():
        await send_part(part, send)
    await send({"type": "http.response.body", "body": b""})


async def send_parts(
    parts: Parts, read: Callable[[], Awaitable[Part]], receive: Receive, send: Send
) -> None:
    """Returns when the client has taken all parts, or is gone. Raises TimeoutError."""
    gone = asyncio.Event()
    call_when_gone(receive, gone.set)
    while not gone.is_set() and (part := await read()).body:
        await send_part(part.body, send)
        parts.sent_bytes += len(part.body)
    await send({"type": "http.response.body", "body": b""})


async def send_part(body: bytes, send: Send) -> None:
    async with asyncio.timeout(PART_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})


def call_when_gone(receive: Receive, call: Callable[[], object]) -> None:
    """When the client has ended the connection."""

    def wait() -> None:
        asyncio.ensure_future(receive()).add_done_callback(check)

    def check(message: asyncio.Future) -> None:
        if message.result()["type"] == "http.disconnect":
            call()
        else:
            wait()

    wait()
