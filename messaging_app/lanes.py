"""Which requests of a process run at the same time. The others wait."""

import asyncio
import json
from functools import lru_cache
from time import monotonic
from typing import Any, Literal
from weakref import WeakValueDictionary

import jwt
from rest_framework_simplejwt.settings import api_settings

from messaging_app.middleware import BUSY, RequestRefused

# In each lane: how many requests wait at most, and how long.
MAX_WAITING = 500
WAITING_SECONDS = 30
# Reads, and writes. Further ones of the same user wait, so that others get a thread.
REQUESTS_PER_USER = 2
# Of a processor. What a request takes beyond it delays the next ones of its user.
CHEAP_SECONDS = 0.004
PAUSE_FACTOR = 7
# Only while another user has sent a request in this time.
RECENT_SECONDS = 1
PAUSE_MAX_SECONDS = 5
# Few, because a client can send a token with 32 KiB of padding.
TOKENS_KEPT = 200


class Lane(asyncio.Semaphore):
    """Lets a number of requests run at the same time, and MAX_WAITING others wait."""

    waiting = 0

    async def acquire(self) -> Literal[True]:
        """Raises RequestRefused."""
        if self.waiting >= MAX_WAITING:
            raise RequestRefused(503, BUSY)
        self.waiting += 1
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                return await super().acquire()
        except TimeoutError:
            raise RequestRefused(503, BUSY) from None
        finally:
            self.waiting -= 1


class UserLanes:
    """Two lanes for each user: one for reads, and one for writes."""

    def __init__(self) -> None:
        self.lanes: WeakValueDictionary[tuple[str, bool], Lane] = WeakValueDictionary()
        # When each user sent the last request, in this order.
        self.recent: dict[str, float] = {}

    def get(self, scope: dict[str, Any], *, is_read: bool) -> Lane:
        """A request without a valid token gets a lane of its own."""
        lane = Lane(REQUESTS_PER_USER)
        authorization = dict(scope["headers"]).get(b"authorization")
        user_id = get_user_id(authorization) if authorization else None
        if not user_id:
            return lane
        self.recent.pop(user_id, None)
        self.recent[user_id] = monotonic()
        return self.lanes.setdefault((user_id, is_read), lane)

    def get_pause(self, seconds: float) -> float:
        """How long the place of a request stays taken after it, by its processor time. So a user's
        expensive requests leave most of a process's time to others, if there are any."""
        begin = monotonic() - RECENT_SECONDS
        while self.recent and self.recent[first := next(iter(self.recent))] < begin:
            del self.recent[first]
        if len(self.recent) <= 1:
            return 0
        return min(PAUSE_FACTOR * max(0, seconds - CHEAP_SECONDS), PAUSE_MAX_SECONDS)


def get_user_id(authorization: bytes) -> str | None:
    """Whose token it is, whether it has expired or not. Nobody can take another user's places,
    because the signature is checked."""
    *_, token = authorization.split() or [b""]
    try:
        return json.loads(read_token(token)).get(api_settings.USER_ID_CLAIM)
    except jwt.InvalidTokenError:
        return None


@lru_cache(TOKENS_KEPT)
def read_token(token: bytes) -> bytes:
    return jwt.PyJWS().decode(token, api_settings.SIGNING_KEY, [api_settings.ALGORITHM])
