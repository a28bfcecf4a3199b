import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rest_framework_simplejwt.utils import get_md5_hash_password

from chats.events.memberships import Change, Key
from chats.events.slots import STREAMS_PER_USER, get_slots
from chats.events.streams import Stream, Subscriber
from messaging_app.metrics import STREAMS
from messaging_app.middleware import BUSY, RequestRefused

TOO_MANY = f"You have {STREAMS_PER_USER} streams. Close one of them first."
# When a process stops: the first client returns after it has ended, and so many in each second.
FIRST_RETURN_MS = 2_500
RETURNS_PER_SECOND = 500


class Hub:
    """The streams of this process."""

    # What tells the hub of changes: see start_hub().
    watcher: Any

    def __init__(self, max_streams: int) -> None:
        self.max_streams = max_streams
        self.streams: dict[Key, set[Stream]] = defaultdict(set)
        self.number = 0
        # Whether the watcher is to follow other users than before.
        self.has_other_users = False
        # Those that are not ready, because the watcher does not follow their user yet.
        self.new: list[Stream] = []
        self.slots = get_slots()
        self.has_stopped = False
        self.has_streams = asyncio.Event()
        # Set when a stream begins or ends.
        self.woken = asyncio.Event()

    def open(self, subscriber: Subscriber) -> Stream:
        """Raises RequestRefused."""
        if self.number >= self.max_streams:
            raise RequestRefused(503, BUSY)
        slot = self.slots.take(subscriber.user_id)
        if slot is None:
            raise RequestRefused(429, TOO_MANY)
        stream = Stream(subscriber, slot)
        self.number += 1
        STREAMS.inc()
        self.has_other_users |= subscriber.key not in self.streams
        self.streams[subscriber.key].add(stream)
        self.new.append(stream)
        self.has_streams.set()
        if self.has_stopped:
            self.stop()
        self.woken.set()
        return stream

    def close(self, stream: Stream) -> None:
        self.number -= 1
        STREAMS.dec()
        self.slots.release(stream.slot)
        streams = self.streams[stream.subscriber.key]
        streams.remove(stream)
        if not streams:
            del self.streams[stream.subscriber.key]
            self.has_other_users = True
        if not self.streams:
            self.has_streams.clear()
        self.woken.set()

    def get_all(self) -> list[Stream]:
        return [stream for streams in self.streams.values() for stream in streams]

    def begin(self, streams: Iterable[Stream]) -> None:
        for stream in streams:
            stream.begin()

    def deliver(self, changes: Iterable[Change]) -> None:
        for change in changes:
            for stream in self.streams.get(change.user, ()):
                stream.add(change)

    def end_expired(self, streams: Iterable[Stream]) -> None:
        now = time.time()
        for stream in streams:
            if now > stream.subscriber.expires_at:
                stream.end()

    def end_revoked(self, streams: Iterable[Stream], passwords: dict[Key, str]) -> None:
        """`passwords` are those of the users who are active."""
        digests = {user: get_md5_hash_password(password) for user, password in passwords.items()}
        for stream in streams:
            if stream.subscriber.issued_under != digests.get(stream.subscriber.key):
                stream.end()

    def stop(self) -> None:
        """End all streams, and ask the clients to return at different times."""
        self.has_stopped = True
        spread_ms = 1_000 + 1_000 * self.number // RETURNS_PER_SECOND
        for stream in self.get_all():
            retry_ms = FIRST_RETURN_MS + random.randint(0, spread_ms)  # noqa: S311
            stream.end(b"retry: %d\n\n" % retry_ms)
