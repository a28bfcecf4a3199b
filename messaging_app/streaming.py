"""Sends the streams of events for messaging_app/asgi.py, which imports this after it has set Django
up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from chats.events.hub import Hub
from chats.events.streams import Stream, Subscriber
from chats.events.views import SUBSCRIBERS
from chats.events.watcher import start_hub

__all__ = ["SUBSCRIBERS", "Hub", "Subscriber", "send_stream", "start_hub"]

# A client that does not take a part in this time is disconnected.
PART_SECONDS = 30

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_stream(stream: Stream, receive: Receive, send: Send) -> None:
    """Returns when the stream or the client has ended. Raises TimeoutError."""

    def wait_for_end() -> None:
        asyncio.ensure_future(receive()).add_done_callback(end_if_gone)

    def end_if_gone(message: asyncio.Future) -> None:
        if message.result()["type"] == "http.disconnect":
            stream.end()
        else:
            wait_for_end()

    wait_for_end()
    while part := await stream.read():
        async with asyncio.timeout(PART_SECONDS):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
