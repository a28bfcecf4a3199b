"""Changes are announced through Redis, so that every process hears of them at once.

An announcement names conversations and says nothing else. Without Redis, nothing is announced, and
processes ask the database.
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

CHANNEL = "chats.changes.{}"
# A subscriber that hears nothing for so long asks Redis whether it is there.
PING_SECONDS = 1
CONNECT_SECONDS = 1


def get_channel() -> str:
    """Redis's databases share their channels."""
    return CHANNEL.format(parse_url(settings.CACHE_URL).get("db", 0))


def announce(conversation_ids: Iterable[UUID]) -> None:
    """Announce the change of these conversations when the transaction is committed."""
    text = ",".join(map(str, conversation_ids))
    if text and settings.CACHE_URL:
        transaction.on_commit(partial(publish, text))


def publish(text: str) -> None:
    caches["default"].publish(get_channel(), text)  # type: ignore[attr-defined]


async def listen() -> AsyncGenerator[list[UUID]]:
    """Yields an empty list when the subscription begins, and then the conversations of each
    announcement. Raises RedisError or OSError when Redis is gone."""
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
