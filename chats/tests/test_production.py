"""Serving: health, logs, a reload, and servers that go away and come back."""

import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from uuid import uuid4

import pytest
import redis
import requests
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from chats.tests.servers import ANSWER_SECONDS, PASSWORD, Database, Server
from chats.tests.services import PostgresServer, RedisServer


def get(url, **arguments):
    return requests.get(url, timeout=ANSWER_SECONDS, **arguments)


class TestHealth:
    @pytest.mark.parametrize("host", ["localhost", "10.0.0.7"])
    def test_the_process_answers_whatever_host_is_asked_for(self, client, host, settings):
        settings.SECURE_SSL_REDIRECT = True
        answer = client.get("/healthz", headers={"Host": host})
        assert (answer.status_code, answer.json()) == (200, {"process": "ok"})

    @pytest.mark.django_db
    def test_all_that_is_needed_answers(self, client):
        answer = client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json() == {"database": "ok", "migrations": "ok", "cache": "ok"}

    @pytest.mark.django_db
    def test_a_missing_migration_is_named(self, client):
        MigrationRecorder(connection).record_unapplied("chats", "0001_initial")
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert answer.json() == {"database": "ok", "migrations": "1 not applied", "cache": "ok"}

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_it_is_only_read(self, client, path):
        assert client.post(path).status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/api/", "/nothing/"])
def test_an_answer_says_what_a_browser_may_load_for_it(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert set(policy.split("; ")) == {
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    }


class TestLogs:
    def test_a_line_has_the_request_id_that_the_client_got(self, server):
        answer = get(f"{server.url}/")
        line = server.get_request(answer)
        assert {name: line[name] for name in ("method", "path", "status", "bytes")} == {
            "method": "GET",
            "path": "/api/",
            "status": 200,
            "bytes": len(answer.content),
        }

    def test_a_proxys_request_id_is_kept(self, server):
        request_id = str(uuid4())
        answer = get(f"{server.url}/", headers={"X-Request-ID": request_id})
        assert answer.headers["X-Request-ID"] == request_id

    @pytest.mark.parametrize("request_id", ["x", "1\u00ff", "a" * 1000])
    def test_one_that_is_no_uuid_is_not(self, server, request_id):
        headers = {"X-Request-ID": request_id.encode("latin-1")}
        answer = get(f"{server.url}/", headers=headers)
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])

    def test_a_quote_does_not_break_a_line(self, server):
        answer = get(f'{server.url}/"%22\\%0a%00', headers={"User-Agent": '"\\\t'})
        assert server.get_request(answer)["path"] == '/api/""\\\n\x00'

    @pytest.mark.usefixtures("breaks_on_purpose")
    def test_an_error_is_logged_with_its_request_id_and_traceback(self, server):
        person = server.sign_up("alice")
        begin = len(server.error_log.read_text())
        server.database.execute("ALTER TABLE chats_message RENAME TO gone")
        try:
            answer = person.call("GET", "/messages/")
        finally:
            server.database.execute("ALTER TABLE gone RENAME TO chats_message")
        assert answer.status_code == 500
        assert answer.json() == {"detail": "Internal Server Error"}
        [line, *rest] = server.error_log.read_text()[begin:].splitlines()
        request_id = answer.headers["X-Request-ID"]
        message = f"{request_id} django.request Internal Server Error: /api/messages/"
        assert line.endswith(message)
        assert rest[0].startswith("Traceback")

    @pytest.mark.usefixtures("breaks_on_purpose")
    def test_nothing_secret_is_logged(self, server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        path = f"/conversations/{conversation_id}/messages/"
        secret, wrong = uuid4().hex, uuid4().hex
        assert alice.send(conversation_id, secret, key=secret).status_code == 201
        assert alice.get(path, search=secret)["results"]
        assert alice.call("GET", path, params={"nothing": secret}).status_code == 400
        sign_in = {"email": alice.email, "password": wrong}
        assert requests.post(f"{server.url}/token/", json=sign_in, timeout=9).status_code == 401
        refresh = {"refresh": alice.refresh}
        fresh = requests.post(f"{server.url}/token/refresh/", json=refresh, timeout=9).json()
        # gunicorn answers what it cannot read, and would quote it.
        for garbage in (f"GET /?{secret} NONSENSE", f"GET / HTTP/1.1\r\nAuthorization {wrong}"):
            assert send_raw(server.address, f"{garbage}\r\n\r\n").startswith(b"HTTP/1.1 400")
        server.database.execute("ALTER TABLE chats_message RENAME TO gone")
        try:
            answer = alice.send(conversation_id, secret)
        finally:
            server.database.execute("ALTER TABLE gone RENAME TO chats_message")
        assert answer.status_code == 500
        server.get_request(answer)
        logs = server.access_log.read_text() + server.error_log.read_text()
        assert f"POST /api{path}" not in logs
        assert path in logs
        tokens = [alice.access, alice.refresh, *fresh.values()]
        assert not [word for word in (secret, wrong, PASSWORD, *tokens) if word in logs]


def send_raw(address, text):
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(text.encode())
        return connection.recv(100)


def send_until_told(person, conversation_id, name, stop, kept_alive):
    """Sends as fast as it can, with a key each: the bodies, and what was answered otherwise."""
    sent, refused = [], []
    with requests.Session() as session:
        caller = session if kept_alive else requests
        while not stop.is_set():
            body = f"{name} {len(sent)}"
            answer = caller.post(
                f"{person.url}/conversations/{conversation_id}/messages/",
                json={"message_body": body},
                headers={"Authorization": f"Bearer {person.access}", "Idempotency-Key": body},
                timeout=ANSWER_SECONDS,
            )
            if answer.status_code in {200, 201}:
                sent.append(body)
            else:
                refused.append((answer.status_code, answer.text, answer.headers["Retry-After"]))
    return sent, refused


def start_senders(pool, people, conversation_id, stop):
    """Every other one keeps its connection."""
    return [
        pool.submit(send_until_told, person, conversation_id, f"{n}", stop, n % 2 == 0)
        for n, person in enumerate(people)
    ]


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
                server.everywhere(lambda: get(f"{server.site}/healthz"))
                before = get_pids(server)
                server.process.send_signal(signal.SIGHUP)
                while len(get_pids(server) - before) < server.workers:
                    get(f"{server.site}/healthz", headers={"Connection": "close"})
        finally:
            stop.set()
    results = [sender.result() for sender in senders]
    assert [refused for _, refused in results if refused] == []
    sent = sorted(body for bodies, _ in results for body in bodies)
    rows = alice.everything(f"/conversations/{conversation_id}/messages/", page_size=100)
    assert sorted(row["message_body"] for row in rows) == sent


@contextmanager
def running(folder, database, **variables):
    server = Server(database, folder, **variables)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        database.drop()


def wait_until_ready(server):
    while get(f"{server.site}/readyz").status_code != 200:
        pass


class TestRedisIsLost:
    @pytest.mark.parametrize("how", ["killed", "frozen"])
    def test_people_go_on_and_it_comes_back_by_itself(self, tmp_path, how):
        service = RedisServer()
        service.start()
        variables = {"CACHE_URL": service.url, "THROTTLE_SIGN_IN": "10/min"}
        try:
            with running(tmp_path, Database(tmp_path), **variables) as server:
                alice, bob = server.sign_up("alice"), server.sign_up("bob")
                conversation_id = alice.start(bob).json()["conversation_id"]
                path = f"/conversations/{conversation_id}/messages/"
                self.write_and_read(server, alice, bob, conversation_id)
                service.stop() if how == "killed" else service.freeze()

                ready = get(f"{server.site}/readyz")
                assert ready.status_code == 503
                assert ready.json()["cache"] == "does not answer"
                assert ready.json()["database"] == "ok"
                assert get(f"{server.site}/healthz").status_code == 200
                self.write_and_read(server, alice, bob, conversation_id)
                # Each process counts by itself.
                statuses = [self.guess(server, bob) for _ in range(10 * server.workers + 1)]
                assert statuses.count(401) <= 10 * server.workers
                assert set(statuses) == {401, 429}
                assert "local memory stands in" in server.error_log.read_text()

                service.start() if how == "killed" else service.thaw()
                wait_until_ready(server)
                store = redis.from_url(service.url)
                store.flushall()
                while not store.dbsize():
                    alice.get(path)
                self.write_and_read(server, alice, bob, conversation_id)
        finally:
            service.thaw()
            service.stop()

    def write_and_read(self, server, alice, bob, conversation_id):
        body = uuid4().hex
        path = f"/conversations/{conversation_id}/messages/"
        assert alice.send(conversation_id, body).status_code == 201
        pages = server.everywhere(lambda: bob.get(path))
        assert {page["results"][0]["message_body"] for page in pages} == {body}

    def guess(self, server, person):
        body = {"email": person.email, "password": "wrong"}
        return requests.post(f"{server.url}/token/", json=body, timeout=9).status_code


@pytest.mark.once
class TestPostgresIsLost:
    UNAVAILABLE = (503, '{"detail":"The database does not answer. Try again in a few seconds."}')

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
                service.stop(signal.SIGQUIT)
                for method, url in [("GET", path), ("GET", "/messages/"), ("POST", path)]:
                    self.is_unavailable(alice.call(method, url, json={"message_body": "x"}))
                sign_in = {"email": alice.email, "password": PASSWORD}
                answer = requests.post(f"{server.url}/token/", json=sign_in, timeout=9)
                self.is_unavailable(answer)
                cookies = {"sessionid": "x" * 32}
                admin = get(f"{server.site}/admin/", cookies=cookies, allow_redirects=False)
                assert (admin.status_code, admin.headers["Retry-After"]) == (503, "5")
                ready = get(f"{server.site}/readyz")
                assert ready.status_code == 503
                assert ready.json() == {
                    "database": "does not answer",
                    "migrations": "unknown",
                    "cache": "ok",
                }
                assert get(f"{server.site}/healthz").status_code == 200

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

    def is_unavailable(self, answer):
        assert (answer.status_code, answer.text) == self.UNAVAILABLE
        assert answer.headers["Retry-After"] == "5"
