import logging
import time

from django.core.cache import caches
from django.core.cache.backends import redis
from redis.exceptions import RedisError

RETRY_SECONDS = 5

logger = logging.getLogger("django.cache")


def or_locally(name):
    """The method of this name: Redis' while it answers, otherwise that of the local cache."""

    def method(self, *args, **kwargs):
        if time.monotonic() >= RedisCache.retry_at:
            try:
                return getattr(redis.RedisCache, name)(self, *args, **kwargs)
            except RedisError as error:
                RedisCache.retry_at = time.monotonic() + RETRY_SECONDS
                logger.warning("Redis fails, local memory stands in for it: %r", error)
        return getattr(self.local, name)(*args, **kwargs)

    return method


class RedisCache(redis.RedisCache):
    """Django's, for which a cache of this process stands in while Redis does not answer.

    Its alias is the parameter `LOCAL`. Redis is asked again after RETRY_SECONDS.
    """

    # For the whole process: a Redis that is gone costs one of its threads one timeout at a time.
    retry_at = 0

    def __init__(self, server, params):
        super().__init__(server, params)
        self.local = caches[params["LOCAL"]]

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

    def ping(self):
        """Raises RedisError if Redis does not answer."""
        self._cache.get_client().ping()
