import logging
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

from django.core.cache import caches
from django.core.cache.backends import locmem, redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.utils.functional import cached_property
from redis.exceptions import RedisError

from messaging_app.metrics import REDIS_FAILURES

RETRY_SECONDS = 5

logger = logging.getLogger("django.cache")


def with_fallback(name: str) -> Callable:
    """A method that calls Redis, or the local cache while Redis is unavailable."""

    def method(self: "RedisCache", *args: Any, **kwargs: Any) -> Any:
        if not self.is_unavailable():
            try:
                return getattr(redis.RedisCache, name)(self, *args, **kwargs)
            except RedisError as error:
                self.pause(error)
        return getattr(self.local, name)(*args, **kwargs)

    return method


class LocMemCache(locmem.LocMemCache):
    """Django's cache in local memory, which holds at most MAX_BYTES instead of a number of entries.
    The values that were not used for the longest time go first. incr() is not supported."""

    _cache: OrderedDict[str, bytes]
    _lock: Lock
    # By the name of the cache: each thread has an instance of its own.
    used_bytes: Counter[str] = Counter()

    def __init__(self, name: str, params: dict[str, Any]) -> None:
        super().__init__(name, params | {"OPTIONS": {"MAX_ENTRIES": sys.maxsize}})
        self.name, self.max_bytes = name, params["MAX_BYTES"]

    def _set(self, key: str, value: bytes, timeout: Any = DEFAULT_TIMEOUT) -> None:
        self._delete(key)
        super()._set(key, value, timeout)
        self.used_bytes[self.name] += get_size(key, value)
        while self.used_bytes[self.name] > self.max_bytes:
            self._delete(next(reversed(self._cache)))

    def _delete(self, key: str) -> bool:
        if key in self._cache:
            self.used_bytes[self.name] -= get_size(key, self._cache[key])
        return bool(super()._delete(key))

    def clear(self) -> None:
        with self._lock:
            for key in list(self._cache):
                self._delete(key)


def get_size(key: str, value: bytes) -> int:
    """In bytes, with what two dictionaries need for the key."""
    return len(key) + len(value) + 500


class RedisCacheClient(redis.RedisCacheClient):
    """Keeps its client of redis-py. Django makes one for each command, which takes longer than the
    command."""

    @cached_property
    def client(self) -> Any:
        return super().get_client(write=True)

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        return self.client


class RedisCache(redis.RedisCache):
    """Django's Redis cache, with a cache in this process that stands in while Redis is unavailable
    or full.

    The parameter `LOCAL` is the alias of that cache. Redis is tried again after RETRY_SECONDS.
    """

    # By server: until when no thread uses it, because one of them got an error.
    retry_at: dict[str, float] = {}

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = RedisCacheClient
        self.server = server
        self.local = caches[params["LOCAL"]]

    def is_unavailable(self) -> bool:
        return time.monotonic() < RedisCache.retry_at.get(self.server, 0)

    def pause(self, error: RedisError) -> None:
        RedisCache.retry_at[self.server] = time.monotonic() + RETRY_SECONDS
        REDIS_FAILURES.inc()
        logger.warning("Redis failed; local memory is used instead: %r", error)

    def publish(self, channel: str, text: str) -> None:
        """Also to a Redis that is full. Nobody gets it while Redis is unavailable."""
        if not self.cannot_publish():
            try:
                self._cache.get_client(write=True).publish(channel, text)
            except RedisError as error:
                RedisCache.retry_at[f"{self.server} publish"] = time.monotonic() + RETRY_SECONDS
                REDIS_FAILURES.inc()
                logger.warning("Redis failed; a change was not announced: %r", error)

    def cannot_publish(self) -> bool:
        return time.monotonic() < RedisCache.retry_at.get(f"{self.server} publish", 0)

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
        """Whether Redis stores a value and publishes, tried now or in the last RETRY_SECONDS."""
        self.set("works", 1)
        self.publish("chats.works", "")
        return not (self.is_unavailable() or self.cannot_publish())
