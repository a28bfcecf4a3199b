import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic, sleep

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

POLL_SECONDS = 0.0002
TIMED_OUT = "Timed out in the queue of writers."


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend, with transactions that wait for each other in a queue.

    SQLite itself sleeps for longer and longer before it tries again, so that others may overtake a
    writer for seconds. The queue is a lock (flock) on an empty file beside the database. The kernel
    releases it when its process ends. OPTIONS["timeout"] holds for it too.
    """

    queue: "Queue | None" = None

    def _start_transaction_under_autocommit(self) -> None:
        if not self.is_in_memory_db():
            queue = Queue(f"{self.settings_dict['NAME']}-queue")
            queue.enter(self.settings_dict["OPTIONS"]["timeout"])
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
    """The writers of a process wait for each other. One of them tries to get the file's lock, which
    the processes get in no fixed order."""

    locks: dict[str, Lock] = {}
    file: int | None = None

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = self.locks.setdefault(path, Lock())

    def enter(self, seconds: float) -> None:
        """Raises OperationalError after `seconds`, or if the file cannot be opened or locked."""
        deadline = monotonic() + seconds
        if not self.lock.acquire(timeout=seconds):
            raise OperationalError(TIMED_OUT)
        try:
            # Opened for reading, which is enough for flock(): another user may have created it.
            self.file = file = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
            while not lock_file(file):
                if monotonic() > deadline:
                    raise OperationalError(TIMED_OUT)
                sleep(POLL_SECONDS)
        except OSError as error:
            self.leave()
            raise OperationalError(f"The queue of writers cannot be entered: {error}") from error
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        if self.file is not None:
            os.close(self.file)
        self.lock.release()


def lock_file(file: int) -> bool:
    """Whether the lock was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
