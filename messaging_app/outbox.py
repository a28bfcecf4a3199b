"""E-mails that are being sent, while their requests have long had a response."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import Any

from messaging_app.metrics import MAIL_BACKLOG, MAIL_FAILURES

logger = logging.getLogger(__name__)

NOT_SENT = "An e-mail was not sent: %s"
# The mail server may hang, for 10 seconds each.
MAX_WAITING = 1_000
STOP_SECONDS = 10


class Outbox:
    """A thread sends one e-mail after the other. What is not sent is logged and counted, unless the
    process is killed."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")
        self.room = BoundedSemaphore(max_waiting)

    def add(self, send: Callable[..., None], *arguments: Any) -> None:
        """Returns at once."""
        if not self.room.acquire(blocking=False):
            fail("too many are waiting")
            return
        # It has the request's id, for the log.
        context = copy_context()
        MAIL_BACKLOG.inc()
        future = self.thread.submit(context.run, send, *arguments)
        future.add_done_callback(lambda done: context.run(self.finish, done))

    def finish(self, future: Future) -> None:
        """Nobody asks the future for its result."""
        self.room.release()
        MAIL_BACKLOG.dec()
        if future.cancelled():
            fail("the server stops")
        elif error := future.exception():
            fail(type(error).__name__, exc_info=error)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Before the process ends. E-mails that wait longer are not sent."""
        with suppress(TimeoutError):
            self.thread.submit(int).result(seconds)
        self.thread.shutdown(wait=False, cancel_futures=True)


def fail(reason: str, exc_info: BaseException | None = None) -> None:
    MAIL_FAILURES.inc()
    logger.error(NOT_SENT, reason, exc_info=exc_info)


OUTBOX = Outbox()
