"""Reloads, listening sockets, and connections that clients do not close."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest
import requests
from django.conf import settings

from chats.tests.support.senders import start_senders
from chats.tests.support.servers import RESPONSE_SECONDS, environment


def get_pids(server, begin=0):
    return {line["pid"] for line in server.get_requests()[begin:]}


def test_reload_fails_no_request(server):
    """SIGHUP replaces the workers while people write, over kept connections and new ones."""
    alice, bob = server.sign_up("alice"), server.sign_up("bob")
    conversation_id = alice.start(bob).json()["conversation_id"]
    stop = Event()
    with ThreadPoolExecutor(6) as pool:
        senders = start_senders(pool, [alice, bob] * 3, conversation_id, stop)
        try:
            for _ in range(3):
                server.everywhere(lambda: server.request("GET", "/healthz"))
                before = get_pids(server)
                server.process.send_signal(signal.SIGHUP)
                while len(get_pids(server) - before) < server.workers:
                    server.request("GET", "/healthz", headers={"Connection": "close"})
        finally:
            stop.set()
    results = [sender.result() for sender in senders]
    assert [(result.refused, result.lost) for result in results] == [([], None)] * 6
    sent = sorted(body for result in results for body in result.acknowledged)
    rows = alice.everything(f"/conversations/{conversation_id}/messages/", page_size=100)
    assert sorted(row["message_body"] for row in rows) == sent


def get_worker_pids(server):
    pid = server.process.pid
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def count_listeners(server):
    """The listening sockets on the server's port, in the kernel's table."""
    port = f":{int(server.address.split(':')[1]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] == "0A" for line in lines)


@pytest.mark.once
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
class TestListeners:
    """Each worker has a socket of its own, so that the kernel spreads the connections."""

    def test_are_as_many_as_workers_after_a_reload_too(self, server):
        assert count_listeners(server) == server.workers
        before = get_worker_pids(server)
        server.process.send_signal(signal.SIGHUP)
        while get_worker_pids(server) & before:
            assert self.get(server) == 200
        assert count_listeners(server) == server.workers

    def test_are_closed_with_their_worker(self, server):
        for change, workers in ((signal.SIGTTOU, 1), (signal.SIGTTIN, 2)):
            server.process.send_signal(change)
            while (len(get_worker_pids(server)), count_listeners(server)) != (workers, 1):
                # The socket of a worker that stops may be closed with a connection in it.
                with suppress(requests.ConnectionError):
                    self.get(server)
        for _ in range(20):
            assert self.get(server) == 200
        server.restart()

    def test_refuse_a_second_server(self, server):
        command = [sys.executable, "-m", "gunicorn", "messaging_app.wsgi", "--bind", server.address]
        second = subprocess.run(  # noqa: S603
            command,
            cwd=settings.BASE_DIR,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert "Connection in use" in second.stderr

    def get(self, server):
        """Over a new connection."""
        return server.request("GET", "/healthz", headers={"Connection": "close"}).status_code


REFUSED = [
    ("POST", "/api/conversations/", 401),
    ("POST", "/api/nothing/", 404),
    ("POST", "/api/", 405),
    ("POST", "/api/token/verify/", 415),
    ("POST", "/admin/login/", 403),
]


@pytest.mark.once
class TestRefusedBodies:
    """The response arrives, and its connection goes on, or says that it does not."""

    @pytest.mark.parametrize("size", [30_000, 65_536, 100_000, 1_000_000, 2_000_000, 10_000_000])
    @pytest.mark.parametrize(("method", "path", "status"), REFUSED)
    def test_connection_serves_the_next_request_or_is_closed(
        self, server, method, path, status, size
    ):
        too_large = size > 1024 * 1024 and path.startswith("/api/")
        self.send_twice(server, method, path, b"x" * size, 413 if too_large else status)

    @pytest.mark.parametrize("size", [1, 100_000, 10_000_000])
    def test_connection_serves_the_next_request_after_a_chunked_body(self, server, size):
        self.send_twice(server, "POST", "/api/token/", iter([b"x" * size]), 411)

    def send_twice(self, server, method, path, body, status):
        with closing(HTTPConnection(server.address, timeout=RESPONSE_SECONDS)) as connection:
            connection.request(method, path, body, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            assert response.read()
            assert response.status == status
            if response.headers["Connection"] == "keep-alive":
                # Not over a new connection, of which the client would know nothing.
                connection.auto_open = False
                connection.request("GET", "/healthz")
                assert connection.getresponse().read()

    def test_client_that_keeps_connections_alive_gets_no_error(self, server):
        with server.session_class() as session:
            for size in [100_000, 2_000_000, 10_000_000] * 5:
                response = session.post(f"{server.url}/", b"x" * size, timeout=RESPONSE_SECONDS)
                assert response.status_code == (405 if size == 100_000 else 413)
                assert session.get(f"{server.site}/healthz", timeout=9).status_code == 200

    def test_client_that_goes_on_sending_is_cut_off(self, server):
        with server.connect() as connection:
            connection.sendall(
                b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
            with pytest.raises(OSError, match=r"reset by peer|Broken pipe"):
                send_for_ever(connection)

    @pytest.mark.parametrize(
        ("request_line", "clients"),
        [("GET /healthz HTTP/1.1", 300), ("POST /api/ HTTP/1.1\r\nContent-Length: 2000000", 36)],
        ids=["no body", "the body never comes"],
    )
    def test_clients_that_keep_connections_open_do_not_block_others(
        self, server, request_line, clients
    ):
        request = f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        with ExitStack() as stack:
            connections = [stack.enter_context(server.connect()) for _ in range(clients)]
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                assert b"Connection: close" in connection.recv(1000)
            assert server.request("GET", "/healthz", timeout=30).status_code == 200


def send_for_ever(connection):
    while True:
        connection.sendall(b"x" * 1000)
