"""The load: one request after another on each of several connections."""

import selectors
import socket
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Load:
    """The number of responses of each status code, and the seconds that each response took."""

    statuses: Counter = field(default_factory=Counter)
    times: list = field(default_factory=list)
    per_second: float = 0


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request):
        self.received, self.length = b"", None
        self.begin = perf_counter()
        self.socket.sendall(request)

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


def run(connections, get_request, seconds):
    """Send requests for some seconds, wait for the last responses, and close the connections."""
    load = Load()
    begin = now = perf_counter()
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(get_request())
        while selector.get_map():
            for key, _ in selector.select():
                connection = key.data
                if status := connection.receive():
                    now = perf_counter()
                    load.statuses[status] += 1
                    load.times.append(now - connection.begin)
                    if now < begin + seconds:
                        connection.send(get_request())
                    else:
                        selector.unregister(connection.socket)
                        connection.socket.close()
    load.per_second = len(load.times) / (now - begin)
    return load
