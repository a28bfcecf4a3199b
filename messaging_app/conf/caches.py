"""Django's settings for the caches: pages in `default`, throttle counts in `throttles`."""

from typing import Any

from redis.backoff import NoBackoff
from redis.retry import Retry

LOCAL_CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "messaging_app.backends.cache.LocMemCache",
        "LOCATION": "default",
        "MAX_BYTES": 32 * 1024 * 1024,
    },
    "throttles": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "throttles",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}
REDIS = {
    "BACKEND": "messaging_app.backends.cache.RedisCache",
    "OPTIONS": {
        "socket_connect_timeout": 1,
        "socket_timeout": 1,
        # One more try at once, for a connection that Redis has closed in the meantime.
        "retry": Retry(NoBackoff(), 1),
    },
}


def build_caches(url: str, throttle_url: str) -> dict[str, dict[str, Any]]:
    """In local memory, or with a URL in Redis, and in local memory while Redis is away."""
    caches = dict(LOCAL_CACHES)
    for alias, redis_url in {"default": url, "throttles": throttle_url or url}.items():
        if redis_url:
            local = f"local_{alias}"
            caches[local] = LOCAL_CACHES[alias]
            caches[alias] = REDIS | {"LOCATION": redis_url, "KEY_PREFIX": alias, "LOCAL": local}
    return caches
