import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache import caches
from django.core.cache.backends import redis
from redis.exceptions import RedisError

RETRY_SECONDS = 5

logger = logging.getLogger("django.cache")


def or_locally(name: str) -> Callable:
    """A method that calls Redis, or the local cache while Redis is unavailable."""

    def method(self: "RedisCache", *args: Any, **kwargs: Any) -> Any:
        if not self.is_unavailable():
            try:
                return getattr(redis.RedisCache, name)(self, *args, **kwargs)
            except RedisError as error:
                RedisCache.retry_at[self.server] = time.monotonic() + RETRY_SECONDS
                logger.warning("Redis failed; local memory is used instead: %r", error)
        return getattr(self.local, name)(*args, **kwargs)

    return method


class RedisCache(redis.RedisCache):
    """Django's Redis cache, with a cache in this process that stands in while Redis is unavailable
    or full.

    The parameter `LOCAL` is the alias of that cache. Redis is tried again after RETRY_SECONDS.
    """

    # By server, for all threads: once one of them has failed, none tries again until then.
    retry_at: dict[str, float] = {}

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self.server = server
        self.local = caches[params["LOCAL"]]

    def is_unavailable(self) -> bool:
        return time.monotonic() < RedisCache.retry_at.get(self.server, 0)

    add = or_locally("add")
    get = or_locally("get")
    set = or_locally("set")
    touch = or_locally("touch")
    delete = or_locally("delete")
    incr = or_locally("incr")
    has_key = or_locally("has_key")
    get_many = or_locally("get_many")
    set_many = or_locally("set_many")
    delete_many = or_locally("delete_many")
    clear = or_locally("clear")

    def works(self) -> bool:
        """Whether Redis stores a value, tried now or in the last RETRY_SECONDS."""
        self.set("works", 1)
        return not self.is_unavailable()
