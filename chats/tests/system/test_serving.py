"""docker/serve: reloads, losses, slow clients, bodies that are refused, and what is not HTTP."""

import fcntl
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import psycopg
import pytest
import requests
from django.conf import settings
from django.db import connection

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.senders import start_senders
from chats.tests.support.servers import (
    PASSWORD,
    RESPONSE_SECONDS,
    Database,
    Server,
    environment,
    free_port,
    freeze,
    get_children,
    running,
)
from messaging_app.middleware import BODY_MAX_SECONDS, URL_MAX_BYTES
from messaging_app.serve import HEAD_MAX_BYTES, HEAD_SECONDS

GET = b"GET /api/ HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/token/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
# As many large pages as a slow client requests.
PAGES = 20
# As docs/operating.md has them: importing messaging_app.asgi would load the application.
PART_SECONDS = 30
MAX_UNSENT_BYTES = 64 * 1024 * 1024
# How long others may wait: none of the clients here holds up anybody.
SOON_SECONDS = 10


def get_worker_pids(server):
    """Without multiprocessing's resource tracker."""
    return {pid for pid in get_children(server.process.pid) if b"spawn_main" in read_command(pid)}


def read_command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def receive_all(connection):
    """What the server sends until it closes the connection."""
    received = b""
    while data := connection.recv(1 << 20):
        received += data
    return received


def send_raw(server, data):
    with server.connect() as connection:
        connection.sendall(data)
        return receive_all(connection)


def check_responsive(server):
    for path in ("/healthz", "/api/"):
        assert server.request("GET", path, timeout=SOON_SECONDS).status_code == 200


@pytest.fixture
def own_server(tmp_path, static_files):
    """One process with one thread."""
    url = f"sqlite:///{tmp_path}/own.sqlite3"
    server = Server(Database(tmp_path, url), tmp_path, CheckedSession, CACHE_URL="")
    with running(server, workers=1, threads=1):
        yield server


def test_reload_fails_no_request(server):
    """SIGHUP replaces the workers while people write, over kept connections and new ones."""
    alice, bob = server.sign_up("alice"), server.sign_up("bob")
    conversation_id = alice.start(bob).json()["conversation_id"]
    stop = Event()
    with ThreadPoolExecutor(6) as pool:
        senders = start_senders(pool, [alice, bob] * 3, conversation_id, stop)
        try:
            before = get_worker_pids(server)
            server.process.send_signal(signal.SIGHUP)
            while before & get_worker_pids(server):
                server.request("GET", "/healthz", headers={"Connection": "close"})
        finally:
            stop.set()
    results = [sender.result() for sender in senders]
    assert [(result.refused, result.lost) for result in results] == [([], None)] * 6
    sent = sorted(body for result in results for body in result.acknowledged)
    rows = alice.everything(f"/conversations/{conversation_id}/messages/", page_size=100)
    assert sorted(row["message_body"] for row in rows) == sent


@pytest.mark.once
def test_reload_keeps_the_connections_that_no_process_has_accepted(own_server):
    """They are in the queue of the socket, which the new process gets."""
    [worker] = get_worker_pids(own_server)
    freeze(worker)
    with ExitStack() as stack:
        waiting = [stack.enter_context(own_server.connect()) for _ in range(20)]
        for connection in waiting:
            connection.sendall(GET + b"Connection: close\r\n\r\n")
        own_server.process.send_signal(signal.SIGHUP)
        for connection in waiting:
            assert receive_all(connection).startswith(b"HTTP/1.1 200 ")
    os.kill(worker, signal.SIGCONT)
    while worker in get_worker_pids(own_server):
        check_responsive(own_server)


@pytest.mark.once
class TestLostWorkers:
    def test_killed_worker_is_replaced(self, own_server):
        own_server.restart(workers=2)
        own_server.everywhere(lambda: own_server.request("GET", "/healthz"))
        before = get_worker_pids(own_server)
        os.kill(min(before), signal.SIGKILL)
        while min(before) in get_children(own_server.process.pid):
            # A connection that the worker had accepted is lost.
            with suppress(requests.ConnectionError):
                own_server.request("GET", "/healthz")
        while len(get_worker_pids(own_server)) < 2:
            check_responsive(own_server)
        own_server.everywhere(lambda: own_server.request("GET", "/healthz"))

    def test_workers_end_with_the_main_process(self, own_server):
        workers = get_worker_pids(own_server)
        own_server.process.kill()
        own_server.process.wait()
        while any(b"spawn_main" in read_command(pid) for pid in workers):
            # A new connection may be refused by now.
            with suppress(requests.ConnectionError):
                own_server.request("GET", "/healthz", headers={"Connection": "close"})
        own_server.start(workers=1)

    def test_supervisor_restarts_a_server_whose_workers_die_at_once(self, own_server, tmp_path):
        """granian gives up, so that the supervisor notices."""
        own_server.kill()
        restarted = tmp_path / "restarted"
        own_server.command = ["sh", "-c", f"until docker/serve; do touch {restarted}; done"]
        own_server.start(workers=1)
        while not restarted.exists():
            # The worker is a child of the server, which is the child of the supervisor.
            with suppress(FileNotFoundError, ProcessLookupError, ValueError):
                [server] = get_children(own_server.process.pid)
                for worker in get_children(server):
                    os.kill(worker, signal.SIGKILL)
        while not own_server.is_up():
            pass


@pytest.mark.once
class TestStart:
    @pytest.fixture
    def start(self, tmp_path):
        database = Database(tmp_path, f"sqlite:///{tmp_path}/own.sqlite3")

        def start(**variables):
            return subprocess.run(
                ["docker/serve"],  # noqa: S607
                cwd=settings.BASE_DIR,
                env=environment(**{"DATABASE_URL": database.url} | variables),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        return start

    def test_database_that_is_not_migrated_is_refused(self, start, tmp_path):
        done = start(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")
        assert done.returncode == 1
        [line] = read_messages(done)
        assert line.endswith("are not applied. Run `manage.py migrate` first.")

    def test_metrics_folder_of_another_program_is_not_used(self, start, tmp_path):
        """It stops the start at the first metric, before the database is looked at."""
        variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
        done = start(PROMETHEUS_MULTIPROC_DIR="/nonexistent", **variables)
        [line] = read_messages(done)
        assert line.endswith("are not applied. Run `manage.py migrate` first.")

    def test_port_in_use_is_refused(self, start, server):
        second = start(HOST=server.machine.host, PORT=str(server.port))
        assert second.returncode == 1
        *_, last = read_messages(second)
        assert last.startswith(f"HOST={server.machine.host} PORT={server.port}: Address already in")

    @pytest.mark.parametrize("host", ["nowhere.invalid", "127.0.0.1:80", "256.0.0.1"])
    def test_host_that_has_no_address_is_refused(self, start, host):
        done = start(HOST=host)
        assert done.returncode == 1
        *_, last = read_messages(done)
        assert last.startswith(f"HOST={host} PORT=8000: ")

    @pytest.mark.parametrize(("host", "name"), [("localhost", "localhost"), ("::1", "[::1]")])
    def test_host_may_be_a_name_or_ipv6(self, own_server, host, name):
        own_server.kill()
        own_server.url = f"http://{name}:{own_server.port}/api"
        own_server.start(workers=1, HOST=host)
        assert requests.get(f"{own_server.url}/", timeout=9).status_code == 200

    def test_bad_setting_is_refused_once(self, start):
        done = start(WORKERS="many")
        assert done.returncode == 1
        assert read_messages(done) == ["WORKERS must be a whole number from 1 to 100."]

    def test_failure_of_a_worker_is_logged_as_json(self, start, tmp_path):
        settings = "from messaging_app.settings import *\nMIDDLEWARE.append('missing.Middleware')\n"
        (tmp_path / "broken.py").write_text(settings)
        path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        variables = {"DJANGO_SETTINGS_MODULE": "broken", "PYTHONPATH": path}
        done = start(PORT=str(free_port()), WORKERS="1", **variables)
        assert done.returncode == 1
        assert {"Uncaught exception", "Worker crash loop detected, exiting"} < {
            *read_messages(done)
        }
        assert "No module named 'missing'" in done.stderr


def read_messages(done):
    """Each line of standard error is JSON."""
    return [json.loads(line)["message"] for line in done.stderr.splitlines()]


def test_threads_keep_their_database_connections(server):
    if not server.database.is_postgres:
        pytest.skip("PostgreSQL tells who is connected.")
    person = server.sign_up("alice")
    connected = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"

    def get_pids():
        server.everywhere(lambda: person.get("/users/me/"))
        own = "AND pid <> pg_backend_pid()"
        return {pid for (pid,) in server.database.execute(f"{connected} {own}")}

    while len(get_pids()) < 2 * server.workers:
        pass
    before = get_pids()
    for _ in range(50):
        person.get("/users/me/")
    after = get_pids()
    assert before <= after
    assert len(after) <= 4 * server.workers


@pytest.mark.once
class TestSlowClients:
    def test_they_block_nobody_and_do_not_last(self, server):
        """500 that have sent nothing, half of a head or half of a body, and ten that do not read.
        That is more than threads. Together they stay under MAX_UNSENT_BYTES."""
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        pages_requested = self.request_pages(alice, conversation_id)
        with ExitStack() as stack:
            idle, heads, bodies, pages = [
                [stack.enter_context(server.connect(4_096)) for _ in range(count)]
                for count in (20, 240, 240, 10)
            ]
            for connection in heads:
                connection.sendall(GET)
            for connection in bodies:
                connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
            for connection in pages:
                connection.sendall(pages_requested)
                assert connection.recv(15) == b"HTTP/1.1 200 OK"
            begin = time.monotonic()
            for _ in range(10):
                check_responsive(server)
                alice.get("/users/me/")
            for connection in bodies:
                response = receive_all(connection)
                assert response.startswith(b"HTTP/1.1 408 ")
                assert b"\r\nx-request-id: " in response
            for connection in [*idle, *heads]:
                assert receive_all(connection) == b""
            assert time.monotonic() - begin < HEAD_SECONDS + BODY_MAX_SECONDS
            while self.count_given_up(server) < len(pages):
                check_responsive(server)
            for connection in pages:
                # It is reset, because the server has not read all requests.
                with suppress(ConnectionResetError):
                    assert len(receive_all(connection)) < PAGES * 500_000

    def test_so_many_large_responses_are_in_progress_that_others_are_a_503(self, own_server):
        alice, bob = own_server.sign_up("alice"), own_server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        path = f"/conversations/{conversation_id}/messages/?page_size=100"
        pages_requested = self.request_pages(alice, conversation_id)
        with ExitStack() as stack:
            # One response of each is in progress, and the others are in buffers.
            for _ in range(MAX_UNSENT_BYTES // 500_000):
                connection = stack.enter_context(own_server.connect(4_096))
                connection.sendall(pages_requested)
            while (refused := alice.call("GET", path)).status_code == 200:
                pass
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            assert alice.get(path, search="nothing")["results"] == []

    def request_pages(self, person, conversation_id):
        """Requests for PAGES pages of over 500,000 bytes, more than a socket's buffers hold."""
        for _ in range(10):
            # Six bytes for each character in JSON.
            assert person.send(conversation_id, "\1" * 10_000).status_code == 201
        target = f"GET /api/conversations/{conversation_id}/messages/?page_size=100"
        authorization = f"Authorization: Bearer {person.access}"
        request = f"{target} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n\r\n"
        return PAGES * request.encode()

    def count_given_up(self, server):
        """The log has the time until a response was given up."""
        return sum(
            line["bytes"] > 500_000 and line["milliseconds"] >= 1_000 * PART_SECONDS
            for line in server.get_requests()
        )

    def test_client_that_leaves_writes_nothing(self, server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        target = f"POST /api/conversations/{conversation_id}/messages/"
        head = (
            f"{target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {alice.access}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        )
        for _ in range(20):
            with server.connect() as connection:
                connection.sendall(f'{head}{{"message_body": "Half"}}'.encode())
        with server.connect() as connection:
            connection.sendall(f'{head}{{"message_body": "Half"}}'.encode())
            connection.shutdown(socket.SHUT_WR)
            assert receive_all(connection).startswith(b"HTTP/1.1 400 ")
        check_responsive(server)
        assert alice.get(f"/conversations/{conversation_id}/messages/")["results"] == []


@contextmanager
def lock_writers(server):
    """As another process that writes to SQLite does."""
    with Path(f"{server.database.url.removeprefix('sqlite:///')}-queue").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.once
class TestBusyServer:
    def test_busy_server_returns_503_and_passes_health_checks(self, own_server):
        profile = {"email": "a@example.com", "first_name": "Ann", "last_name": "Adams"}
        profile["password"] = PASSWORD
        response = b""
        with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            with lock_writers(own_server):
                writing = pool.submit(own_server.request, "POST", "/api/users/", json=profile)
                while not response.startswith(b"HTTP/1.1 503 "):
                    waiting = stack.enter_context(own_server.connect())
                    waiting.sendall(GET + b"\r\n")
                    selector.register(waiting, selectors.EVENT_READ)
                    for key, _ in selector.select(0):
                        # The first ones are responded to before the thread writes.
                        response = key.fileobj.recv(1_000)
                assert b"\r\nretry-after: 5\r\n" in response
                health = own_server.request("GET", "/healthz", timeout=SOON_SECONDS)
                assert health.status_code == 200
                assert not writing.done()
            assert writing.result().status_code == 201
        check_responsive(own_server)

    def test_write_that_waits_is_finished_after_sigterm(self, own_server):
        alice, bob = own_server.sign_up("alice"), own_server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        with (
            ThreadPoolExecutor(1) as pool,
            own_server.session_class() as sender,
            own_server.session_class() as reader,
        ):
            # New connections are refused after SIGTERM.
            for session in (sender, reader):
                session.get(f"{own_server.site}/healthz")
            with lock_writers(own_server):
                send = pool.submit(
                    sender.post,
                    f"{alice.url}/conversations/{conversation_id}/messages/",
                    json={"message_body": "Hello"},
                    headers={"Authorization": f"Bearer {alice.access}"},
                )
                while not reader.get(f"{own_server.site}/healthz").headers.get("Connection"):
                    own_server.process.send_signal(signal.SIGTERM)
                with pytest.raises(requests.ConnectionError, match="Connection refused"):
                    own_server.request("GET", "/healthz")
                assert not send.done()
            assert send.result().status_code == 201
            assert send.result().headers["Connection"] == "close"
        own_server.process.wait()
        own_server.start(workers=1)
        [row] = alice.get(f"/conversations/{conversation_id}/messages/")["results"]
        assert row["message_body"] == "Hello"

    def test_write_that_waits_too_long_is_a_503(self, own_server):
        alice, bob = own_server.sign_up("alice"), own_server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        with ThreadPoolExecutor(2) as pool:
            with lock_writers(own_server):
                sends = {pool.submit(alice.send, conversation_id, f"{n}") for n in range(2)}
                done, running = wait(sends, return_when=FIRST_COMPLETED)
            [refused] = [send.result() for send in done]
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
            assert [send.result().status_code for send in running] == [201]
        rows = alice.get(f"/conversations/{conversation_id}/messages/")["results"]
        assert len(rows) == 1

    def test_writers_that_wait_leave_a_thread_to_others(self, own_server):
        own_server.restart(workers=1, threads=4)
        alice, bob = own_server.sign_up("alice"), own_server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        with ThreadPoolExecutor(8) as pool:
            with lock_writers(own_server):
                sends = [pool.submit(alice.send, conversation_id, f"{n}") for n in range(8)]
                for _ in range(20):
                    check_responsive(own_server)
                    alice.get("/conversations/")
                assert not any(send.done() for send in sends)
            assert [send.result().status_code for send in sends] == [201] * 8


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's readers wait for nobody")
def test_reads_of_one_user_leave_a_thread_to_others(server):
    alice, bob = server.sign_up("alice"), server.sign_up("bob")
    with ThreadPoolExecutor(24) as pool:
        with psycopg.connect(server.database.url) as locking:
            locking.execute("LOCK TABLE chats_message")
            reads = [pool.submit(alice.get, "/messages/", page_size=1 + n) for n in range(24)]
            for _ in range(20):
                bob.get("/users/me/")
            assert not any(read.done() for read in reads)
        assert [read.result()["results"] for read in reads] == [[]] * 24


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

    @pytest.mark.parametrize("size", [30_000, 65_536, 1_000_000, 2_000_000, 10_000_000])
    @pytest.mark.parametrize(("method", "path", "status"), REFUSED)
    def test_connection_serves_the_next_request_or_is_closed(
        self, server, method, path, status, size
    ):
        too_large = size > 1024 * 1024 and path.startswith("/api/")
        self.send_twice(server, method, path, b"x" * size, 413 if too_large else status)

    @pytest.mark.parametrize("size", [1, 100_000, 10_000_000])
    def test_connection_is_closed_after_a_chunked_body(self, server, size):
        self.send_twice(server, "POST", "/api/token/", iter([b"x" * size]), 411)

    def send_twice(self, server, method, path, body, status):
        with closing(HTTPConnection(server.address, timeout=RESPONSE_SECONDS)) as connection:
            connection.request(method, path, body, {"Content-Type": "text/plain"})
            response = connection.getresponse()
            assert response.read()
            assert response.status == status
            is_long = not isinstance(body, bytes) or len(body) > 1024 * 1024
            assert (response.headers["Connection"] == "close") == is_long
            if not is_long:
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
            connection.sendall(b"POST /api/ HTTP/1.1\r\nHost: localhost\r\n")
            connection.sendall(b"Content-Length: 1000000000\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
            with pytest.raises(OSError, match=r"reset by peer|Broken pipe"):
                send_for_ever(connection)

    def test_client_that_expects_to_be_refused_sends_no_body(self, server):
        with server.connect() as connection:
            head = POST + b"Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 413 ")


def send_for_ever(connection):
    while True:
        connection.sendall(b"x" * 1000)


SECOND = b"DELETE /api/users/me/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
LONG = b"a" * URL_MAX_BYTES


@pytest.mark.once
class TestMalformedRequests:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
            (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", 400),
            (POST + b"Content-Length: 5, 5\r\n\r\n12345", 400),
            (POST + b"Content-Length: +5\r\n\r\n12345", 400),
            (POST + b"Content-Length: -1\r\n\r\n", 400),
            (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
            (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
            (GET + b"Host\r\n\r\n", 400),
            (b"GET /api/" + LONG + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
            (b"GET /api/?" + LONG + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
            (GET + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"\r\n", 431),
            (GET + b"X: " + b"a" * 2 * HEAD_MAX_BYTES + b"\r\n\r\n", 431),
        ],
        ids=[
            "both lengths",
            "two lengths",
            "list of lengths",
            "plus",
            "minus",
            "unknown coding",
            "space before the colon",
            "TLS",
            "header without a colon",
            "path",
            "query string",
            "number of headers",
            "size of headers",
        ],
    )
    def test_one_response_closes_the_connection(self, server, data, status):
        """What follows is not taken for a request."""
        with server.connect() as connection:
            with suppress(ConnectionError):
                connection.sendall(data + SECOND)
            response = receive_all(connection)
        assert response.startswith(f"HTTP/1.1 {status} ".encode())
        assert response.count(b"HTTP/1.1 ") == 1
        assert b"\r\nconnection: close\r\n" in response

    def test_refusal_has_the_headers_of_other_responses(self, server):
        """So that a front end on another origin can read it."""
        origin, request_id = "https://front.example", "8f2a5c0e-3b1d-4f6a-9c7e-2d4b6a8c0e1f"
        server.restart(CORS_ALLOWED_ORIGINS=origin)
        headers = {"Origin": origin, "X-Request-ID": request_id}
        response = server.request("GET", f"/api/?{'a' * URL_MAX_BYTES}", headers=headers)
        assert response.status_code == 414
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert response.headers["X-Request-ID"] == request_id
        assert response.headers["Cache-Control"] == "no-store"
        assert server.get_request(response)["status"] == 414

    def test_pipelined_requests_get_responses_in_their_order(self, server):
        paths = [b"/api/", b"/healthz", b"/api/nothing/"]
        data = b"".join(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path for path in paths)
        received = send_raw(server, data + GET + b"Connection: close\r\n\r\n")
        assert re.findall(rb"HTTP/1.1 (\d+) ", received) == [b"200", b"200", b"404", b"200"]

    def test_header_with_an_underscore_is_ignored(self, server):
        """Or it would set what a proxy sets by the name with hyphens."""
        header = b"X_Request_ID: 8f2a5c0e-3b1d-4f6a-9c7e-2d4b6a8c0e1f"
        received = send_raw(server, GET + header + b"\r\nConnection: close\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"8f2a5c0e" not in received
