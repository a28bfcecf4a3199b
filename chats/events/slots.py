import os
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, lockf
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from uuid import UUID

STREAMS_PER_USER = 10
EXPORTS_PER_USER = 1
SLOTS_PER_USER = STREAMS_PER_USER + EXPORTS_PER_USER
# The environment variable that names a file which the processes of a server share.
SLOTS_FILE = "SLOTS_FILE"


class Slots:
    """Counts the streams of each user on this machine, in all processes of the server.

    A stream locks one of the user's STREAMS_PER_USER bytes of a file, which stays empty. If a
    process ends, the kernel releases its locks.
    """

    def __init__(self) -> None:
        path = os.environ.get(SLOTS_FILE)
        # It may have been deleted from the folder of temporary files.
        self.file = Path(path).open("a+b") if path else TemporaryFile()  # noqa: SIM115
        # A process can lock a byte twice.
        self.taken: set[int] = set()
        self.threads = Lock()

    def take(self, user_id: UUID) -> int | None:
        """For a stream. Returns None if the user has no slot left."""
        return self.take_one(user_id, range(STREAMS_PER_USER))

    def take_for_export(self, user_id: UUID) -> int | None:
        return self.take_one(user_id, range(STREAMS_PER_USER, SLOTS_PER_USER))

    def take_one(self, user_id: UUID, numbers: range) -> int | None:
        first = user_id.int % 2**58 * SLOTS_PER_USER
        with self.threads:
            for slot in (first + number for number in numbers):
                if slot not in self.taken and self.lock(slot):
                    self.taken.add(slot)
                    return slot
        return None

    def lock(self, slot: int) -> bool:
        try:
            lockf(self.file, LOCK_EX | LOCK_NB, 1, slot)
        except BlockingIOError:
            return False
        return True

    def release(self, slot: int) -> None:
        with self.threads:
            self.taken.remove(slot)
            lockf(self.file, LOCK_UN, 1, slot)


@cache
def get_slots() -> Slots:
    """Of this process. Closing a file releases all its locks of the process, so there is one."""
    return Slots()
