"""Streams in `manage.py runserver`, which has no event loop: one in a thread serves them all."""

import asyncio
from collections.abc import Coroutine, Iterator
from functools import cache
from threading import Lock, Thread
from typing import Any

from chats.events.hub import Hub
from chats.events.streams import Stream, Subscriber
from chats.events.watcher import start_hub

MAX_STREAMS = 100
# The client is gone when it does not take a comment.
COMMENT_SECONDS = 2
STARTING = Lock()


@cache
def get_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, daemon=True).start()
    return loop


@cache
def get_hub() -> Hub:
    return run(start_hub(MAX_STREAMS))


def run(coroutine: Coroutine) -> Any:
    return asyncio.run_coroutine_threadsafe(coroutine, get_loop()).result()


def open_stream(subscriber: Subscriber) -> Iterator[bytes]:
    """The parts of the response. Raises RequestRefused."""
    with STARTING:
        hub = get_hub()
    return read_parts(hub, run(open_in_loop(hub, subscriber)))


async def open_in_loop(hub: Hub, subscriber: Subscriber) -> Stream:
    return hub.open(subscriber)


def read_parts(hub: Hub, stream: Stream) -> Iterator[bytes]:
    try:
        while part := run(stream.read(COMMENT_SECONDS)):
            yield part
    finally:
        get_loop().call_soon_threadsafe(hub.close, stream)
