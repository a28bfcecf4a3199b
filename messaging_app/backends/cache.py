import logging
import time
from collections.abc import Callable
from typing import Any

from django.core.cache import caches
from django.core.cache.backends import redis
from redis.exceptions import RedisError

RETRY_SECONDS = 5

logger = logging.getLogger("django.cache")


def with_fallback(name: str) -> Callable:
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

    # By server: until when no thread uses it, because one of them got an error.
    retry_at: dict[str, float] = {}

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self.server = server
        self.local = caches[params["LOCAL"]]

    def is_unavailable(self) -> bool:
        return time.monotonic() < RedisCache.retry_at.get(self.server, 0)

    add = with_fallback("add")
    get = with_fallback("get")
    set = with_fallback("set")
    touch = with_fallback("touch")
    delete = with_fallback("delete")
    incr = with_fallback("incr")
    has_key = with_fallback("has_key")
    get_many = with_fallback("get_many")
    set_many = with_fallback("set_many")
    delete_many = with_fallback("delete_many")
    clear = with_fallback("clear")

    def works(self) -> bool:
        """Whether Redis stores a value, tried now or in the last RETRY_SECONDS."""
        self.set("works", 1)
        return not self.is_unavailable()
