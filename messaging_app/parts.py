from time import thread_time
from typing import NamedTuple

from django.db import close_old_connections
from django.http import StreamingHttpResponse


class Part(NamedTuple):
    # Nothing at the end.
    body: bytes
    processor_seconds: float


class Parts:
    """The body of a response, of which each part is read when the client has taken the one before.
    To be closed."""

    def __init__(self, response: StreamingHttpResponse) -> None:
        self.iterator, self.close = iter(response), response.close
        self.sent_bytes = 0

    def read(self) -> Part:
        begin = thread_time()
        # As Django does before a request. Each part can be read in another thread.
        close_old_connections()
        return Part(next(self.iterator, b""), thread_time() - begin)
