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
from redis.exceptions import RedisError

CHANNEL = "chats.changes"
# A subscriber that hears nothing for so long asks Redis whether it is there.
PING_SECONDS = 1
CONNECT_SECONDS = 1


def announce(conversation_ids: Iterable[UUID]) -> None:
    """Announce the change of these conversations when the transaction is committed."""
    if settings.CACHE_URL:
        text = ",".join(map(str, conversation_ids))
        transaction.on_commit(partial(publish, text))


def publish(text: str) -> None:
    caches["default"].publish(CHANNEL, text)  # type: ignore[attr-defined]


async def listen() -> AsyncGenerator[list[UUID]]:
    """Yields an empty list when the subscription begins, and then the conversations of each
    announcement. Raises RedisError or OSError when Redis is gone."""
    redis = Redis.from_url(settings.CACHE_URL, socket_connect_timeout=CONNECT_SECONDS)
    async with redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(CHANNEL)
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
                yield [UUID(key) for key in message["data"].decode().split(",")]
            is_silent = message is None
