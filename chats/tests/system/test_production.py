"""Serving: logs, a reload, and servers that go away and come back."""

import itertools
import re
import shlex
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest
import redis
import requests
import yaml
from django.conf import settings
from django.db import connection

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.machines import Machine
from chats.tests.support.servers import (
    PASSWORD,
    RESPONSE_SECONDS,
    Database,
    Server,
    environment,
    request,
)
from chats.tests.support.services import PostgresServer, RedisServer
from messaging_app.backends.postgres.base import DatabaseWrapper
from messaging_app.conf.databases import read_database


@pytest.mark.once
class TestLogs:
    def test_a_line_has_the_request_id_that_the_client_got(self, server):
        response = server.request("GET", "/api/")
        line = server.get_request(response)
        assert {name: line[name] for name in ("method", "path", "status", "bytes")} == {
            "method": "GET",
            "path": "/api/",
            "status": 200,
            "bytes": len(response.content),
        }

    def test_a_proxys_request_id_is_kept(self, server):
        request_id = str(uuid4())
        response = server.request("GET", "/api/", headers={"X-Request-ID": request_id})
        assert response.headers["X-Request-ID"] == request_id

    @pytest.mark.parametrize("request_id", ["x", "1\u00ff", "a" * 1000])
    def test_a_request_id_that_is_no_uuid_is_replaced(self, server, request_id):
        headers = {"X-Request-ID": request_id.encode("latin-1")}
        response = server.request("GET", "/api/", headers=headers)
        assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])

    def test_a_quote_does_not_break_a_line(self, server):
        response = server.request("GET", '/api/"%22\\%0a%00', headers={"User-Agent": '"\\\t'})
        assert server.get_request(response)["path"] == '/api/""\\\n\x00'

    def test_an_error_is_logged_with_its_request_id_and_traceback(self, server):
        person = server.sign_up("alice")
        # The description has no 500.
        person.session_class = requests.Session
        begin = len(server.error_log.read_text())
        server.database.execute("ALTER TABLE chats_message RENAME TO gone")
        try:
            response = person.call("GET", "/messages/")
        finally:
            server.database.execute("ALTER TABLE gone RENAME TO chats_message")
        assert response.status_code == 500
        assert response.json() == {"detail": "Internal Server Error"}
        [line, *rest] = server.error_log.read_text()[begin:].splitlines()
        request_id = response.headers["X-Request-ID"]
        message = f"{request_id} django.request Internal Server Error: /api/messages/"
        assert line.endswith(message)
        assert rest[0].startswith("Traceback")

    @pytest.mark.parametrize("path", ["/api/", "/admin/login/", "/nothing"])
    @pytest.mark.parametrize("host", ["evil.example", "a b", "\u00ff\u0085"])
    def test_a_false_host_is_a_line(self, server, path, host):
        begin = len(server.error_log.read_text())
        response = server.request("GET", path, headers={"Host": host.encode("latin-1")})
        assert response.status_code == 400
        server.get_request(response)
        [line] = server.error_log.read_text()[begin:].splitlines()
        request_id = response.headers["X-Request-ID"]
        assert f"{request_id} django.security.DisallowedHost Invalid HTTP_HOST header" in line

    @pytest.mark.parametrize(
        ("form", "status", "logger"),
        [
            ({f"field{n}": "" for n in range(1_001)}, 400, "TooManyFieldsSent"),
            ({"username": "a" * 2_621_440}, 400, "RequestDataTooBig"),
            ({"username": "a"}, 403, "csrf"),
        ],
        ids=["fields", "bytes", "no token"],
    )
    def test_what_a_client_did_wrong_is_a_line(self, server, form, status, logger):
        begin = len(server.error_log.read_text())
        cookies = {"csrftoken": "a" * 32}
        response = server.request("POST", "/admin/login/", data=form, cookies=cookies)
        assert response.status_code == status
        server.get_request(response)
        [line] = server.error_log.read_text()[begin:].splitlines()
        assert f"{response.headers['X-Request-ID']} django.security.{logger} " in line

    def test_nothing_secret_is_logged(self, server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        path = f"/conversations/{conversation_id}/messages/"
        secret, wrong = uuid4().hex, uuid4().hex
        assert alice.send(conversation_id, secret, key=secret).status_code == 201
        assert alice.get(path, search=secret)["results"]
        assert alice.call("GET", path, params={"nothing": secret}).status_code == 400
        sign_in = {"email": alice.email, "password": wrong}
        assert server.request("POST", "/api/token/", json=sign_in, timeout=9).status_code == 401
        refresh = {"refresh": alice.refresh}
        fresh = server.request("POST", "/api/token/refresh/", json=refresh, timeout=9).json()
        # gunicorn responds to what it cannot read, and would quote it.
        for garbage in (f"GET /?{secret} NONSENSE", f"GET / HTTP/1.1\r\nAuthorization {wrong}"):
            assert send_raw(server, f"{garbage}\r\n\r\n").startswith(b"HTTP/1.1 400")
        # The description has no 500.
        alice.session_class = requests.Session
        server.database.execute("ALTER TABLE chats_message RENAME TO gone")
        try:
            response = alice.send(conversation_id, secret)
        finally:
            server.database.execute("ALTER TABLE gone RENAME TO chats_message")
        assert response.status_code == 500
        server.get_request(response)
        logs = server.access_log.read_text() + server.error_log.read_text()
        assert f"POST /api{path}" not in logs
        assert path in logs
        tokens = [alice.access, alice.refresh, *fresh.values()]
        assert not [word for word in (secret, wrong, PASSWORD, *tokens) if word in logs]


def send_raw(server, text):
    with connect(server) as connection:
        connection.sendall(text.encode())
        return connection.recv(100)


def send_until_told(person, conversation_id, name, stop, kept_alive):
    """Send with a key each until `stop`: the bodies, and the responses that were not a success."""
    sent, refused = [], []
    with person.session_class() as session:
        call = session.request if kept_alive else partial(request, person.session_class)
        while not stop.is_set():
            body = f"{name} {len(sent)}"
            response = call(
                "POST",
                f"{person.url}/conversations/{conversation_id}/messages/",
                json={"message_body": body},
                headers={"Authorization": f"Bearer {person.access}", "Idempotency-Key": body},
                timeout=RESPONSE_SECONDS,
            )
            if response.status_code in {200, 201}:
                sent.append(body)
            else:
                refused.append(
                    (response.status_code, response.text, response.headers["Retry-After"])
                )
    return sent, refused


def start_senders(pool, people, conversation_id, stop):
    """Every other one keeps its connection."""
    return [
        pool.submit(send_until_told, person, conversation_id, f"{n}", stop, n % 2 == 0)
        for n, person in enumerate(people)
    ]


def guess(server, person):
    body = {"email": person.email, "password": "wrong"}
    return server.request("POST", "/api/token/", json=body, timeout=9).status_code


def get_pids(server, begin=0):
    return {line["pid"] for line in server.get_requests()[begin:]}


def test_a_reload_fails_no_request(server):
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
    assert [refused for _, refused in results if refused] == []
    sent = sorted(body for bodies, _ in results for body in bodies)
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

    def test_as_many_as_workers_after_a_reload_too(self, server):
        assert count_listeners(server) == server.workers
        before = get_worker_pids(server)
        server.process.send_signal(signal.SIGHUP)
        while get_worker_pids(server) & before:
            assert self.get(server) == 200
        assert count_listeners(server) == server.workers

    def test_none_is_left_without_a_worker(self, server):
        for change, workers in ((signal.SIGTTOU, 1), (signal.SIGTTIN, 2)):
            server.process.send_signal(change)
            while (len(get_worker_pids(server)), count_listeners(server)) != (workers, 1):
                # The socket of a worker that stops may be closed with a connection in it.
                with suppress(requests.ConnectionError):
                    self.get(server)
        for _ in range(20):
            assert self.get(server) == 200
        server.restart()

    def test_a_second_server_is_refused(self, server):
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


@contextmanager
def running(folder, database, **variables):
    server = Server(database, folder, CheckedSession, **variables)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        database.drop()


def wait_until_ready(server):
    while server.request("GET", "/readyz").status_code != 200:
        pass


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
    def test_the_next_request_is_served(self, server, method, path, status, size):
        too_large = size > 1024 * 1024 and path.startswith("/api/")
        self.send_twice(server, method, path, b"x" * size, 413 if too_large else status)

    @pytest.mark.parametrize("size", [1, 100_000, 10_000_000])
    def test_so_is_the_one_after_a_chunked_body(self, server, size):
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

    def test_a_client_that_keeps_its_connections_gets_no_error(self, server):
        with server.session_class() as session:
            for size in [100_000, 2_000_000, 10_000_000] * 20:
                response = session.post(f"{server.url}/", b"x" * size, timeout=RESPONSE_SECONDS)
                assert response.status_code == (405 if size == 100_000 else 413)
                assert session.get(f"{server.site}/healthz", timeout=9).status_code == 200

    def test_one_who_goes_on_sending_is_cut_off(self, server):
        with connect(server) as connection:
            connection.sendall(
                b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
            )
            assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
            with pytest.raises(OSError, match=r"reset by peer|Broken pipe"):
                send_for_ever(connection)

    @pytest.mark.parametrize(
        ("request_line", "clients"),
        [
            ("GET /healthz HTTP/1.1", 300),
            ("POST /api/ HTTP/1.1\r\nContent-Length: 2000000", 36),
        ],
        ids=["no body", "the body never comes"],
    )
    def test_those_who_close_nothing_do_not_hold_up_others(self, server, request_line, clients):
        request = f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        with ExitStack() as stack:
            connections = [stack.enter_context(connect(server)) for _ in range(clients)]
            for connection in connections:
                connection.sendall(request)
            for connection in connections:
                assert b"Connection: close" in connection.recv(1000)
            assert server.request("GET", "/healthz", timeout=30).status_code == 200


def connect(server):
    host, port = server.address.split(":")
    return socket.create_connection((host, int(port)), timeout=RESPONSE_SECONDS)


def send_for_ever(connection):
    while True:
        connection.sendall(b"x" * 1000)


@pytest.mark.once
class TestRedisIsLost:
    @pytest.mark.parametrize("how", ["killed", "frozen"])
    def test_people_go_on_and_it_comes_back_by_itself(self, tmp_path, how):
        service = RedisServer()
        service.start()
        variables = {"CACHE_URL": service.url, "THROTTLE_SIGN_IN": "10/hour"}
        try:
            with running(tmp_path, Database(tmp_path), **variables) as server:
                alice, bob = server.sign_up("alice"), server.sign_up("bob")
                conversation_id = alice.start(bob).json()["conversation_id"]
                path = f"/conversations/{conversation_id}/messages/"
                self.write_and_read(server, alice, bob, conversation_id)
                service.kill() if how == "killed" else service.freeze()

                ready = server.request("GET", "/readyz")
                assert ready.status_code == 503
                assert ready.json()["cache"] == "unavailable: default, throttles"
                assert ready.json()["database"] == "ok"
                assert server.request("GET", "/healthz").status_code == 200
                self.write_and_read(server, alice, bob, conversation_id)
                # Each process counts by itself.
                statuses = [guess(server, bob) for _ in range(10 * server.workers + 1)]
                assert statuses.count(401) <= 10 * server.workers
                assert set(statuses) == {401, 429}
                assert "local memory is used instead" in server.error_log.read_text()

                service.start() if how == "killed" else service.thaw()
                wait_until_ready(server)
                store = redis.from_url(service.url)
                store.flushall()
                while not store.dbsize():
                    alice.get(path)
                self.write_and_read(server, alice, bob, conversation_id)
        finally:
            service.thaw()
            service.kill()

    def write_and_read(self, server, alice, bob, conversation_id):
        body = uuid4().hex
        path = f"/conversations/{conversation_id}/messages/"
        assert alice.send(conversation_id, body).status_code == 201
        pages = server.everywhere(lambda: bob.get(path))
        assert {page["results"][0]["message_body"] for page in pages} == {body}


def start_redis(name):
    """As compose.yaml starts the service of this name, with less memory."""
    compose = yaml.safe_load((settings.BASE_DIR / "compose.yaml").read_text())
    _, *arguments = shlex.split(compose["services"][name]["command"])
    arguments[arguments.index("--maxmemory") + 1] = "4mb"
    service = RedisServer(*arguments)
    service.start()
    return service


@pytest.mark.once
class TestTwoRedises:
    """One for the pages, one for the counts of the throttles, as compose.yaml has them."""

    @pytest.fixture
    def redises(self):
        redises = {name: start_redis(name) for name in ("cache", "throttles")}
        yield redises
        for service in redises.values():
            service.kill()

    @pytest.fixture
    def two_redises_server(self, tmp_path, redises):
        with running(
            tmp_path,
            Database(tmp_path),
            CACHE_URL=redises["cache"].url,
            THROTTLE_CACHE_URL=redises["throttles"].url,
            THROTTLE_SIGN_IN="5/day",
        ) as server:
            yield server

    @pytest.fixture
    def alice(self, two_redises_server):
        return two_redises_server.sign_up("alice")

    @pytest.fixture
    def bob(self, two_redises_server):
        return two_redises_server.sign_up("bob")

    @pytest.fixture
    def path(self, alice, bob):
        """The messages of a conversation, of which a page is just small enough to be cached."""
        conversation_id = alice.start(bob).json()["conversation_id"]
        for _ in range(6):
            assert alice.send(conversation_id, "x" * 10_000).status_code == 201
        return f"/conversations/{conversation_id}/messages/"

    def test_reading_evicts_no_count(self, two_redises_server, redises, alice, bob, path):
        while guess(two_redises_server, bob) != 429:
            pass
        store = redis.from_url(redises["cache"].url)
        pages = (f"2099-01-01T00:00:00.{n:06}Z" for n in itertools.count())
        # Several times what this Redis holds.
        while store.info("stats")["evicted_keys"] < 200:
            assert len(alice.get(path, sent_at_before=next(pages))["results"]) == 6
        assert guess(two_redises_server, bob) == 429

    def test_counts_hold_while_that_of_the_pages_is_gone(
        self, two_redises_server, redises, alice, bob, path
    ):
        redises["cache"].kill()
        two_redises_server.everywhere(lambda: alice.get(path))
        ready = two_redises_server.request("GET", "/readyz").json()
        assert ready["cache"] == "unavailable: default"
        statuses = two_redises_server.everywhere(lambda: guess(two_redises_server, bob))
        # Bob has signed in once.
        assert statuses.count(401) == 4

    @pytest.mark.parametrize("how", ["gone", "full"])
    def test_pages_are_shared_while_that_of_the_counts_is(
        self, two_redises_server, redises, alice, bob, path, how
    ):
        if how == "gone":
            redises["throttles"].kill()
        else:
            # It refuses every write from now on.
            redis.from_url(redises["throttles"].url).config_set("maxmemory", 1)
        statuses = two_redises_server.everywhere(lambda: guess(two_redises_server, bob))
        while 429 not in statuses:
            statuses += two_redises_server.everywhere(lambda: guess(two_redises_server, bob))
        # Each process counts by itself. A full Redis can still be read, so that a count may begin
        # twice in a process.
        counts = {"gone": 1, "full": 2}[how] * (two_redises_server.workers + 1)
        assert statuses.count(401) <= 5 * counts
        ready = two_redises_server.request("GET", "/readyz").json()
        assert ready["cache"] == "unavailable: throttles"
        store = redis.from_url(redises["cache"].url)
        store.flushall()
        two_redises_server.everywhere(lambda: alice.get(path))
        # The page, and what it varies on.
        assert store.dbsize() == 2


@pytest.mark.once
class TestPostgresIsLost:
    UNAVAILABLE = (503, '{"detail":"The database is not available. Try again in a few seconds."}')

    def test_people_are_told_so_and_it_comes_back_by_itself(self, tmp_path):
        service = PostgresServer()
        service.start()
        try:
            with running(tmp_path, Database(tmp_path, service.url)) as server:
                self.lose_and_regain(service, server)
        finally:
            service.remove()

    def lose_and_regain(self, service, server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        path = f"/conversations/{conversation_id}/messages/"
        stop = Event()
        with ThreadPoolExecutor(4) as pool:
            senders = start_senders(pool, [alice, bob] * 2, conversation_id, stop)
            try:
                while len(bob.everything(path, page_size=100)) < 30:
                    pass
                service.kill(signal.SIGQUIT)
                for method, url in [("GET", path), ("GET", "/messages/"), ("POST", path)]:
                    self.is_unavailable(alice.call(method, url, json={"message_body": "x"}))
                sign_in = {"email": alice.email, "password": PASSWORD}
                response = server.request("POST", "/api/token/", json=sign_in, timeout=9)
                self.is_unavailable(response)
                cookies = {"sessionid": "x" * 32}
                admin = server.request("GET", "/admin/", cookies=cookies, allow_redirects=False)
                assert (admin.status_code, admin.headers["Retry-After"]) == (503, "5")
                ready = server.request("GET", "/readyz")
                assert ready.status_code == 503
                assert ready.json() == {
                    "database": "unavailable",
                    "migrations": "unknown",
                    "cache": "ok",
                }
                assert server.request("GET", "/healthz", timeout=30).status_code == 200

                service.start()
                wait_until_ready(server)
                before = len(bob.everything(path, page_size=100))
                while len(bob.everything(path, page_size=100)) < before + 30:
                    pass
            finally:
                stop.set()
        results = [sender.result() for sender in senders]
        refusals = {refusal for _, refused in results for refusal in refused}
        assert refusals == {(*self.UNAVAILABLE, "5")}
        # Whoever was told 503 sent again: each message is there, and there once.
        sent = sorted(body for bodies, _ in results for body in bodies)
        rows = alice.everything(path, page_size=100)
        assert sorted(row["message_body"] for row in rows) == sent
        assert "Service Unavailable: /api/messages/" in server.error_log.read_text()

    def test_one_that_hangs_holds_up_no_thread_for_long(self, tmp_path):
        service = PostgresServer()
        service.start()
        try:
            with running(tmp_path, Database(tmp_path, service.url)) as server:
                server.restart(workers=1, threads=1)
                alice = server.sign_up("alice")
                alice.get("/users/me/")
                service.freeze()
                try:
                    # A statement on a connection that has just been checked, then a new connection.
                    for _ in range(2):
                        self.is_unavailable(alice.call("GET", "/users/me/", timeout=60))
                finally:
                    service.thaw()
                wait_until_ready(server)
                alice.get("/users/me/")
        finally:
            service.remove()

    def is_unavailable(self, response):
        assert (response.status_code, response.text) == self.UNAVAILABLE
        assert response.headers["Retry-After"] == "5"


@pytest.mark.once
def test_the_writable_one_of_the_addresses_of_a_host_is_used(monkeypatch, django_db_blocker):
    primary = PostgresServer()
    standby = PostgresServer(Machine("127.0.0.2"), primary)
    standby.port = primary.port
    addresses = [
        address
        for server in (standby, primary)
        for address in socket.getaddrinfo(server.machine.host, server.port)
    ]
    with ExitStack() as stack, django_db_blocker.unblock():
        for server in (primary, standby):
            server.start()
            stack.callback(server.remove)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        monkeypatch.setenv("URL", f"postgres://postgres@database:{primary.port}/postgres")
        other = DatabaseWrapper(connection.settings_dict | read_database("URL"))
        stack.callback(other.close)
        other.ensure_connection()
        assert other.connection.info.hostaddr == "127.0.0.1"
