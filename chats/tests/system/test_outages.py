"""Redis and PostgreSQL are lost and come back."""

import itertools
import shlex
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from uuid import uuid4

import pytest
import redis
import yaml
from django.conf import settings
from django.db import connection

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.machines import Machine
from chats.tests.support.senders import start_senders
from chats.tests.support.servers import PASSWORD, Database, Server, run, running
from chats.tests.support.services import PostgresServer, RedisServer
from messaging_app.backends.postgres.base import DatabaseWrapper
from messaging_app.conf.databases import read_database


def guess(server, person):
    body = {"email": person.email, "password": "wrong"}
    return server.request("POST", "/api/token/", json=body, timeout=9).status_code


@pytest.mark.once
class TestRedisIsLost:
    @pytest.mark.parametrize("how", ["killed", "frozen"])
    def test_requests_succeed_and_redis_is_used_again_when_it_is_back(self, tmp_path, how):
        service = RedisServer()
        service.start()
        variables = {"CACHE_URL": service.url, "THROTTLE_SIGN_IN": "10/hour"}
        try:
            server = Server(Database(tmp_path), tmp_path, CheckedSession, **variables)
            with running(server):
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
                server.wait_until_ready()
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
        server = Server(
            Database(tmp_path),
            tmp_path,
            CheckedSession,
            CACHE_URL=redises["cache"].url,
            THROTTLE_CACHE_URL=redises["throttles"].url,
            THROTTLE_SIGN_IN="5/day",
        )
        with running(server):
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

    def test_cached_pages_evict_no_throttle_count(
        self, two_redises_server, redises, alice, bob, path
    ):
        while guess(two_redises_server, bob) != 429:
            pass
        store = redis.from_url(redises["cache"].url)
        pages = (f"2099-01-01T00:00:00.{n:06}Z" for n in itertools.count())
        # More pages than this Redis holds.
        while store.info("stats")["evicted_keys"] < 200:
            assert len(alice.get(path, sent_at_before=next(pages))["results"]) == 6
        assert guess(two_redises_server, bob) == 429

    def test_counts_hold_while_the_cache_is_lost(
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
    def test_pages_are_shared_while_the_throttle_cache_is_lost(
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
        # The page, and the headers that it varies on.
        assert store.dbsize() == 2


@pytest.mark.once
class TestPostgresIsLost:
    UNAVAILABLE = (503, '{"detail":"The database is not available. Try again in a few seconds."}')

    def test_requests_are_a_503_until_postgres_is_back(self, tmp_path):
        service = PostgresServer()
        service.start()
        try:
            with running(
                Server(Database(tmp_path, service.url), tmp_path, CheckedSession)
            ) as server:
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
                server.wait_until_ready()
                before = len(bob.everything(path, page_size=100))
                while len(bob.everything(path, page_size=100)) < before + 30:
                    pass
            finally:
                stop.set()
        results = [sender.result() for sender in senders]
        assert {result.lost for result in results} == {None}
        refusals = {refusal for result in results for refusal in result.refused}
        assert refusals == {(*self.UNAVAILABLE, "5")}
        # Clients that got a 503 sent again: each message exists once.
        sent = sorted(body for result in results for body in result.acknowledged)
        rows = alice.everything(path, page_size=100)
        assert sorted(row["message_body"] for row in rows) == sent
        assert "Service Unavailable: /api/messages/" in server.error_log.read_text()

    def test_frozen_postgres_is_a_503_within_a_minute(self, tmp_path):
        service = PostgresServer()
        service.start()
        try:
            server = Server(Database(tmp_path, service.url), tmp_path, CheckedSession)
            with running(server, workers=1, threads=1):
                alice = server.sign_up("alice")
                alice.get("/users/me/")
                service.freeze()
                try:
                    # A statement on a connection that has just been checked, then a new connection.
                    for _ in range(2):
                        self.is_unavailable(alice.call("GET", "/users/me/", timeout=60))
                finally:
                    service.thaw()
                server.wait_until_ready()
                alice.get("/users/me/")
        finally:
            service.remove()

    def is_unavailable(self, response):
        assert (response.status_code, response.text) == self.UNAVAILABLE
        assert response.headers["Retry-After"] == "5"


PRESETS = {
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "20s",
    "lock_timeout": "20s",
}
SHOW_LIMITS = """
from django.db import connection
with connection.cursor() as cursor:
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", "tcp_user_timeout",
                 "default_transaction_isolation", "jit", "lock_timeout", "synchronous_commit"):
        cursor.execute(f"SHOW {name}")
        print(*cursor.fetchone())
"""


@pytest.mark.once
@pytest.mark.parametrize(
    ("start", "seconds"),
    [("import messaging_app.wsgi", "30s"), ("", "0")],
    ids=["server", "command"],
)
def test_sessions_have_limits_and_only_those_of_a_server_limit_statements(start, seconds):
    service = PostgresServer()
    service.start()
    try:
        for name, value in PRESETS.items():
            service.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        service.execute("SELECT pg_reload_conf()")
        done = run("shell", "-v0", "-c", f"{start}{SHOW_LIMITS}", DATABASE_URL=service.url)
    finally:
        service.remove()
    shown = [seconds, seconds, "5000", "read committed", "off", "0", "on"]
    assert done.stdout.splitlines() == shown, done.stderr


@pytest.mark.once
def test_writable_address_of_a_host_is_used(monkeypatch, django_db_blocker):
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
