"""Changes are announced, so that every process hears of them at once: through Redis, or in a file
beside a SQLite database.

An announcement names conversations and says nothing else. On PostgreSQL without Redis, nothing is
announced, and processes ask the database.
"""

from collections.abc import AsyncGenerator, Iterable
from functools import partial
from uuid import UUID

from django.conf import settings
from django.core.cache import caches
from django.db import transaction
from redis.asyncio import Redis
from redis.connection import parse_url
from redis.exceptions import RedisError

from chats.events import changes_file

CHANNEL = "chats.changes.{}"
# A subscriber that hears nothing for so long asks Redis whether it is there.
PING_SECONDS = 1
CONNECT_SECONDS = 1


def get_channel() -> str:
    """Redis's databases share their channels."""
    return CHANNEL.format(parse_url(settings.CACHE_URL).get("db", 0))


def is_announced() -> bool:
    return bool(settings.CACHE_URL) or changes_file.get_path() is not None


def announce(conversation_ids: Iterable[UUID]) -> None:
    """Announce the change of these conversations when the transaction is committed."""
    keys = list(conversation_ids)
    if keys and is_announced():
        transaction.on_commit(partial(publish, keys))


def publish(conversation_ids: list[UUID]) -> None:
    if settings.CACHE_URL:
        text = ",".join(map(str, conversation_ids))
        caches["default"].publish(get_channel(), text)  # type: ignore[attr-defined]
    elif path := changes_file.get_path():
        changes_file.append(path, conversation_ids)


def listen() -> AsyncGenerator[list[UUID]]:
    """Yields an empty list when nothing more is missed, and then the conversations of each
    announcement. Ends, or raises RedisError or OSError, when something was missed."""
    path = changes_file.get_path()
    return changes_file.read(path) if path and not settings.CACHE_URL else subscribe()


async def subscribe() -> AsyncGenerator[list[UUID]]:
    redis = Redis.from_url(settings.CACHE_URL, socket_connect_timeout=CONNECT_SECONDS)
    async with redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(get_channel())
        is_silent = False
        while True:
            message = await pubsub.get_message(timeout=PING_SECONDS)
            if message is None:
                if is_silent:
                    raise RedisError("Redis does not respond.")
                await pubsub.ping()
            elif message["type"] == "subscribe":
                yield []
            elif message["type"] == "message":
                yield read_ids(message["data"])
            is_silent = message is None


def read_ids(data: bytes) -> list[UUID]:
    """Empty if somebody else has published something there."""
    try:
        return [UUID(key) for key in data.decode().split(",")]
    except ValueError:
        return []
