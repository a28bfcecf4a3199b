import asyncio
from typing import NamedTuple
from uuid import UUID

from chats.events.memberships import Change, Key
from messaging_app.metrics import EVENTS_SENT

# No stream is silent for longer than 15 seconds: proxies may close connections that are.
COMMENT_SECONDS = 14
COMMENT = b":\n\n"
READY = b"event: ready\ndata: {}\n\n"


class Subscriber(NamedTuple):
    user_id: UUID
    # The primary key as the database driver returns it.
    key: Key
    # simplejwt's digest of the password under which the access token was issued.
    issued_under: str
    # In seconds since 1970.
    expires_at: float


class Stream:
    """The events that one client is still to be sent.

    An event replaces an earlier one of the same kind and conversation, so there are at most two for
    each conversation, however slowly the client reads.
    """

    def __init__(self, subscriber: Subscriber, slot: int) -> None:
        self.subscriber, self.slot = subscriber, slot
        self.pending: dict[tuple[str, Key], bytes] = {}
        self.is_ready = self.has_ended = False
        self.sent_bytes = 0
        self.woken = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        self.is_ready = True
        self.put("ready", None, READY)

    def add(self, change: Change) -> None:
        """Ignored before the stream is ready, and after its end."""
        if self.is_ready and not self.has_ended:
            for event in ["conversation", "read"] if change.event == "left" else ["left"]:
                self.pending.pop((event, change.conversation), None)
            self.put(change.event, change.conversation, change.text)

    def end(self, text: bytes = b"") -> None:
        if not self.has_ended:
            self.has_ended = True
            self.put("end", None, text)

    def put(self, event: str, conversation: Key, text: bytes) -> None:
        self.pending[event, conversation] = text
        self.wake()

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)

    async def read(self, comment_seconds: float = COMMENT_SECONDS) -> bytes:
        """The next part of the response, or nothing at its end."""
        if not self.pending and not self.has_ended:
            loop = asyncio.get_running_loop()
            self.woken = loop.create_future()
            # asyncio.wait() would take several times as long.
            timer = loop.call_later(comment_seconds, self.wake)
            try:
                await self.woken
            finally:
                timer.cancel()
            if not self.pending:
                return COMMENT
        text = b"".join(self.pending.values())
        EVENTS_SENT.inc(sum(event != "end" for event, _ in self.pending))
        self.pending.clear()
        self.sent_bytes += len(text)
        return text
