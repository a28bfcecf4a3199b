"""The load: a process of its own that asks over so many connections at once, over and over.

`python -m benchmarks.load`, with a JSON object on standard input: `port`, `connections`,
`seconds`, and `request`, the bytes of an HTTP request as text, in which `{n}` is counted up. It
prints a JSON object: `answers` by status, `per_second`, and the `median` in milliseconds.
"""

import json
import selectors
import socket
import statistics
import sys
import time
from collections import Counter
from itertools import count

# gunicorn's workers keep the connections that they happened to accept; eight that never changed
# would be shared six to two for the whole of one measurement, and evenly in the next.
REQUESTS_PER_CONNECTION = 10


class Connection:
    def __init__(self, port, selector):
        self.port, self.selector = port, selector
        self.socket = None
        self.sent = 0

    def connect(self):
        if self.socket:
            self.selector.unregister(self.socket)
            self.socket.close()
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(self.socket, selectors.EVENT_READ, self)

    def send(self, request):
        self.received, self.length = b"", None
        self.begin = time.perf_counter()
        if self.sent % REQUESTS_PER_CONNECTION == 0:
            self.connect()
        self.sent += 1
        self.socket.sendall(request)

    def receive(self):
        """The status, when the answer is complete."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("The server closed the connection.")
        self.received += data
        if self.length is None and b"\r\n\r\n" in self.received:
            head, _, _ = self.received.partition(b"\r\n\r\n")
            _, found, value = head.lower().partition(b"\r\ncontent-length: ")
            body = int(value.split(b"\r\n")[0]) if found else 0
            self.length = len(head) + 4 + body
        if self.length is None or len(self.received) < self.length:
            return None
        return int(self.received[9:12])


def run(port, connections, seconds, request):
    numbers, statuses, times = count(), Counter(), []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port, selector)
            connection.send(request.replace("{n}", f"{next(numbers):06d}").encode())
        begin = time.perf_counter()
        while (now := time.perf_counter()) < begin + seconds or not times:
            for key, _ in selector.select(1):
                connection = key.data
                if status := connection.receive():
                    statuses[status] += 1
                    times.append(time.perf_counter() - connection.begin)
                    connection.send(request.replace("{n}", f"{next(numbers):06d}").encode())
    return {
        "answers": statuses,
        "per_second": len(times) / (now - begin),
        "median": 1000 * statistics.median(times),
    }


if __name__ == "__main__":
    json.dump(run(**json.load(sys.stdin)), sys.stdout)
