import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Thread

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend, with transactions that wait for each other in a queue.

    SQLite itself sleeps and tries again, so that others may overtake a writer for seconds. The
    queue is a lock (flock) on an empty file beside the database. The kernel releases it when its
    process ends. OPTIONS["timeout"] holds for it too.
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
    def __init__(self, path: str) -> None:
        self.path = path
        self.is_given_up = self.is_entered = False
        self.mutex = Lock()

    def enter(self, seconds: float) -> None:
        """Raises OperationalError after `seconds`, or if the file cannot be opened."""
        try:
            # Opened for reading, which is enough for flock(): another user may have created it.
            self.file = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC)
        except OSError as error:
            raise OperationalError(f"The queue of writers cannot be entered: {error}") from error
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.wait(seconds)

    def wait(self, seconds: float) -> None:
        # In a thread, because flock() has no timeout.
        waiting = Thread(target=self.wait_for_ever, daemon=True)
        waiting.start()
        waiting.join(seconds)
        with self.mutex:
            if not self.is_entered:
                self.is_given_up = True
                raise OperationalError("Timed out in the queue of writers.")

    def wait_for_ever(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_EX)
        with self.mutex:
            self.is_entered = True
            if self.is_given_up:
                self.leave()

    def leave(self) -> None:
        os.close(self.file)
