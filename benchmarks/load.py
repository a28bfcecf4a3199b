"""The load: a process that sends one request after another on each of several connections.

`python -m benchmarks.load`, with a JSON object on standard input: `port`, `workers`,
`connections_per_worker`, `seconds`, and `request`, the bytes of an HTTP request as text, in which
`{n}` is counted up from `first`. It prints a JSON object: `statuses`, with the number of responses
of each; `per_second`; the `median` in milliseconds; the `next` number.
"""

import json
import re
import selectors
import socket
import statistics
import sys
import time
from collections import Counter, defaultdict
from itertools import chain, count

WHOSE = "GET /api/bare/0/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request):
        self.received, self.length = b"", None
        self.begin = time.perf_counter()
        self.socket.sendall(request.encode())

    def receive(self):
        """The status code, once the response is complete; None before."""
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


def connect(port, workers, connections_per_worker):
    """The same number of connections to each worker, which would otherwise keep what it happened to
    accept: six of eight, for example."""
    connections = defaultdict(list)
    while list(map(len, connections.values())) != [connections_per_worker] * workers:
        connection = Connection(port)
        connection.send(WHOSE)
        while not connection.receive():
            pass
        [worker] = re.findall(rb"X-Worker: (\d+)", connection.received)
        if len(connections[worker]) < connections_per_worker:
            connections[worker].append(connection)
    return list(chain.from_iterable(connections.values()))


def run(port, workers, connections_per_worker, seconds, request, first):
    numbers, statuses, times = count(first), Counter(), []
    with selectors.DefaultSelector() as selector:
        for connection in connect(port, workers, connections_per_worker):
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(request.replace("{n}", f"{next(numbers):06d}"))
        begin = time.perf_counter()
        while (now := time.perf_counter()) < begin + seconds or not times:
            for key, _ in selector.select(1):
                connection = key.data
                if status := connection.receive():
                    statuses[status] += 1
                    times.append(time.perf_counter() - connection.begin)
                    connection.send(request.replace("{n}", f"{next(numbers):06d}"))
    return {
        "statuses": statuses,
        "per_second": len(times) / (now - begin),
        "median": 1000 * statistics.median(times),
        "next": next(numbers),
    }


if __name__ == "__main__":
    json.dump(run(**json.load(sys.stdin)), sys.stdout)
