"""Without Redis, changes of a SQLite database are announced in a file beside it, to which all
processes append. Its first reader creates it: until then, nobody listens."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from uuid import UUID

from django.db import connection

KEY_BYTES = 16
# A longer file is emptied.
MAX_BYTES = 1024 * 1024
POLL_SECONDS = 0.02

logger = logging.getLogger("django.db")


def get_path() -> Path | None:
    """None if the database is not a file."""
    if connection.vendor != "sqlite" or connection.is_in_memory_db():  # type: ignore[attr-defined]
        return None
    return Path(f"{connection.settings_dict['NAME']}-changes")


def append(path: Path, conversation_ids: Iterable[UUID]) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            if os.fstat(file).st_size > MAX_BYTES:
                os.ftruncate(file, 0)
            os.write(file, b"".join(key.bytes for key in conversation_ids))
        finally:
            os.close(file)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("A change was not announced: %r", error)


async def read(path: Path) -> AsyncGenerator[list[UUID]]:
    """Yields an empty list at the beginning, and then the conversations that were appended. Ends
    when the file was emptied or deleted."""
    with path.open("a+b") as file:
        position = os.fstat(file.fileno()).st_size
        yield []
        while True:
            await asyncio.sleep(POLL_SECONDS)
            state = os.fstat(file.fileno())
            if state.st_size < position or not state.st_nlink:
                return
            if size := (state.st_size - position) // KEY_BYTES * KEY_BYTES:
                data = os.pread(file.fileno(), size, position)
                position += size
                starts = range(0, size, KEY_BYTES)
                yield [UUID(bytes=data[start : start + KEY_BYTES]) for start in starts]
