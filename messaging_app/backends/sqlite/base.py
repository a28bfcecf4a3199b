import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic, sleep

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

from messaging_app.backends.sqlite.validation import DatabaseValidation
from messaging_app.metrics import WAITING_WRITERS

POLL_SECONDS = 0.0002
TIMED_OUT = "Timed out in the queue of writers."


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend, with transactions that wait for each other in a queue.

    SQLite itself sleeps for longer and longer before it tries again, so that others may overtake a
    writer for seconds. The queue is a lock (flock) on an empty file beside the database, which the
    kernel releases when its process ends. OPTIONS["timeout"] holds for it too.
    """

    validation_class = DatabaseValidation
    queue: "Queue | None" = None
    # How long transactions wait, instead of OPTIONS["timeout"].
    patience_seconds: float | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if not self.is_in_memory_db():
            queue = Queue(f"{self.settings_dict['NAME']}-queue")
            timeout = self.settings_dict["OPTIONS"]["timeout"]
            queue.enter(timeout if self.patience_seconds is None else self.patience_seconds)
            self.queue = queue
        try:
            super()._start_transaction_under_autocommit()
        except BaseException:
            self.leave_queue()
            raise

    def _commit(self) -> None:
        with self.leaving_queue():
            super()._commit()

    def _rollback(self) -> None:
        with self.leaving_queue():
            super()._rollback()

    def _close(self) -> None:
        with self.leaving_queue():
            super()._close()

    def leave_queue(self) -> None:
        if self.queue:
            self.queue.leave()
            self.queue = None

    @contextmanager
    def leaving_queue(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.leave_queue()


class Queue:
    """The writers of a process wait for each other. One of them waits for those of other processes.

    A second file has the lock of the process whose turn is next. So a process that has just written
    cannot overtake it.
    """

    locks: dict[str, Lock] = {}

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = self.locks.setdefault(path, Lock())
        self.files: list[int] = []

    @WAITING_WRITERS.track_inprogress()
    def enter(self, seconds: float) -> None:
        """Raises OperationalError after `seconds`, or if a file cannot be opened or locked."""
        deadline = monotonic() + seconds
        if not self.lock.acquire(timeout=seconds):
            raise OperationalError(TIMED_OUT)
        try:
            for path in (f"{self.path}-next", self.path):
                # Opened for reading, which is enough for flock(): another user may have created it.
                self.files.append(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC))
                wait_for_lock(self.files[-1], deadline)
            os.close(self.files.pop(0))
        except OSError as error:
            self.leave()
            raise OperationalError(f"The queue of writers cannot be entered: {error}") from error
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        while self.files:
            os.close(self.files.pop())
        self.lock.release()


def wait_for_lock(file: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                raise OperationalError(TIMED_OUT) from None
            sleep(POLL_SECONDS)
