"""A real server with several worker processes, on a database of its own, and its clients."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import requests
from django.conf import settings
from django.db.utils import ConnectionHandler
from rest_framework.settings import api_settings

from chats.tests.support.machines import LOCALHOST
from messaging_app.conf.databases import parse_database

PASSWORD = "tide over the moor"
START_SECONDS = 60
RESPONSE_SECONDS = 90
MAX_PROCESSES = 4
FIRST_PORT = 20_000 + 3_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = iter(range(FIRST_PORT, FIRST_PORT + 3_000))
# Or ended, and not waited for.
STOPPED = re.compile(r"State:\t[TZ]")
DIGEST = """
import hashlib
from django.apps import apps
for model in apps.get_models(include_auto_created=True):
    rows = sorted(map(repr, model._base_manager.values_list()))
    print(model.__name__, len(rows), hashlib.sha256(repr(rows).encode()).hexdigest())
"""


class Database:
    """A SQLite file or PostgreSQL database, as DATABASE_URL has it, after `manage.py migrate`.

    Migrating takes seconds in PostgreSQL, so that a test can name a `template` to copy.
    """

    def __init__(self, folder, url=None, migrate=(), template=None):
        self.url = url or os.environ.get("DATABASE_URL") or f"sqlite:///{folder}/{uuid4()}.sqlite3"
        self.is_postgres = self.url.startswith("postgres")
        if self.is_postgres:
            self.url = urlunsplit(urlsplit(self.url)._replace(path=f"/servers_{uuid4().hex}"))
            self.maintain("CREATE", f"TEMPLATE {template.name}" if template else "")
            if template:
                return
        elif not migrate:
            Path(self.url.removeprefix("sqlite:///")).write_bytes(get_migrated_file())
            return
        manage("migrate", *migrate, DATABASE_URL=self.url)

    @property
    def name(self):
        path = urlsplit(self.url).path
        return path[1:]

    def maintain(self, command, suffix=""):
        url = urlunsplit(urlsplit(self.url)._replace(path="/postgres"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"{command} DATABASE {self.name} {suffix}")

    def drop(self):
        if self.is_postgres:
            self.maintain("DROP", "WITH (FORCE)")

    def execute(self, sql, parameters=()):
        """Run SQL over a connection of its own. Returns the rows, if there are any."""
        handler = ConnectionHandler({"default": parse_database(self.url)})
        connection = handler["default"]
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()


@cache
def get_migrated_file():
    """The bytes of an empty SQLite database, because migrating one takes a second."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "empty.sqlite3"
        manage("migrate", DATABASE_URL=f"sqlite:///{file}")
        return file.read_bytes()


def request(session_class, method, url, **arguments):
    """Send the request over a connection of its own."""
    with session_class() as session:
        return session.request(method, url, **{"timeout": RESPONSE_SECONDS} | arguments)


def free_port():
    """Below those that Linux gives to outgoing connections, one of which may take a port before the
    server does. Each process of pytest-xdist has ports of its own, and takes none twice."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("No port is free.")


def freeze(pid):
    """Stop the process; the signal alone leaves its threads a moment in which they still run."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    while not all(STOPPED.search(file.read_text()) for file in threads.glob("*/status")):
        pass


def get_children(pid):
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def environment(**variables):
    return {
        **os.environ,
        # docker/serve takes the Python from there.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SECRET_KEY": settings.SECRET_KEY,
        "DEBUG": "0",
        **variables,
    }


def run(*arguments, stdin=None, **variables):
    """Run manage.py and return the completed process."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=environment(**variables),
        capture_output=True,
        input=stdin,
        text=True,
        check=False,
    )


def manage(*arguments, **variables):
    done = run(*arguments, **variables)
    assert done.returncode == 0, done.stderr


def digest(url):
    """A line a table: its name, its rows, a hash of all their values."""
    done = run("shell", "-v0", "-c", DIGEST, DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Server:
    """docker/serve. Requests go through the `session_class`."""

    def __init__(self, database, folder, session_class, machine=LOCALHOST, **variables):
        self.database, self.session_class = database, session_class
        self.machine = machine
        # The folder of the version that runs, and the command that serves it.
        self.code, self.command = settings.BASE_DIR, ["docker/serve"]
        names = [f"THROTTLE_{scope.upper()}" for scope in api_settings.DEFAULT_THROTTLE_RATES]
        self.usual_variables = {
            "DATABASE_URL": database.url,
            "CACHE_URL": settings.CACHE_URL,
            **dict.fromkeys(names, "off"),
            **variables,
        }
        self.access_log, self.error_log = folder / "access.log", folder / "error.log"
        # The part of the access log that was read.
        self.requests, self.bytes_read = [], 0
        self.port = free_port()
        self.address = f"{machine.host}:{self.port}"
        self.site = f"http://{self.address}"
        self.url = f"{self.site}/api"

    def start(self, workers=2, threads=4, **variables):
        self.workers = workers
        self.is_as_usual = (workers, threads, variables) == (2, 4, {})
        variables = {
            "HOST": self.machine.host,
            "PORT": str(self.port),
            "WORKERS": str(workers),
            "THREADS": str(threads),
            **self.usual_variables,
            **variables,
        }
        with self.access_log.open("a") as access_log, self.error_log.open("a") as error_log:
            self.process = subprocess.Popen(  # noqa: S603
                [*self.machine.prefix, *self.command],
                cwd=self.code,
                env=environment(**variables),
                stdout=access_log,
                stderr=error_log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            assert time.monotonic() < deadline, self.error_log.read_text()
            assert self.process.poll() is None, self.error_log.read_text()

    def is_up(self):
        try:
            return requests.get(f"{self.url}/", timeout=START_SECONDS).status_code == 200
        except requests.ConnectionError:
            time.sleep(0.02)
            return False

    def kill(self):
        """kill -9, the workers too."""
        self.is_as_usual = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def remove(self):
        self.kill()

    def stop(self):
        """SIGTERM: it finishes the requests that it has begun."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def everywhere(self, call):
        """What `call()` returns, repeated until every worker process has responded."""
        before, results = len(self.get_requests()), []
        with ThreadPoolExecutor(2 * self.workers) as pool:
            while len({line["pid"] for line in self.get_requests()[before:]}) < self.workers:
                calls = [pool.submit(call) for _ in range(2 * self.workers)]
                results += [call.result() for call in calls]
        return results

    def get_requests(self):
        """The lines of the access log that are complete."""
        with self.access_log.open("rb") as log:
            log.seek(self.bytes_read)
            lines = log.read().split(b"\n")[:-1]
        self.bytes_read += sum(len(line) + 1 for line in lines)
        self.requests += map(json.loads, lines)
        return self.requests

    def get_request(self, response):
        """The access log's line of the request that got this response; it is written afterwards."""
        request_id, found = response.headers["X-Request-ID"], []
        while not found:
            found = [line for line in self.get_requests() if line["request_id"] == request_id]
        [line] = found
        return line

    def wait_until_ready(self):
        while self.request("GET", "/readyz").status_code != 200:
            pass

    def connect(self, buffer_bytes=None):
        """A socket that is connected to it, and receives into a buffer of this size."""
        connection = socket.socket()
        if buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.settimeout(RESPONSE_SECONDS)
        connection.connect((self.machine.host, self.port))
        return connection

    def restart(self, *arguments, **variables):
        self.kill()
        self.start(*arguments, **variables)

    def make_superuser(self):
        """Their e-mail address; the password is PASSWORD."""
        email = f"root.{uuid4().hex}@example.com"
        names = ["--email", email, "--first_name", "Ruth", "--last_name", "Root"]
        variables = {"DATABASE_URL": self.database.url, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        manage("createsuperuser", "--noinput", *names, **variables)
        return email

    def sign_up(self, name):
        """A Person who has registered and signed in."""
        email = f"{name}.{uuid4().hex}@example.com"
        profile = {"email": email, "first_name": name, "last_name": "Test"}
        profile["password"] = PASSWORD
        response = self.request("POST", "/api/users/", json=profile)
        assert response.status_code == 201, response.text
        credentials = {"email": profile["email"], "password": PASSWORD}
        tokens = self.request("POST", "/api/token/", json=credentials).json()
        return Person(self.url, email, response.json()["user_id"], self.session_class, **tokens)

    def request(self, method, path, **arguments):
        return request(self.session_class, method, f"{self.site}{path}", **arguments)


@contextlib.contextmanager
def running(server, **options):
    """Until the end of the block, after which its database is dropped."""
    try:
        server.start(**options)
        yield server
    finally:
        server.kill()
        server.database.drop()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serve_files(folder):
    """As a front end's own server does; its origin."""
    handler = partial(QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


def bodies(rows):
    return [row["message_body"] for row in rows]


class Person:
    """A signed-in client. Each request opens a new connection, so any worker may serve it."""

    def __init__(self, url, email, user_id, session_class, access, refresh):
        self.url, self.email, self.user_id = url, email, user_id
        self.session_class = session_class
        self.access, self.refresh = access, refresh

    def __getstate__(self):
        """Another process has not set up Django, so it cannot check responses."""
        return self.__dict__ | {"session_class": requests.Session}

    def call(self, method, path, key=None, etag=None, **arguments):
        headers = {"Authorization": f"Bearer {self.access}", "Connection": "close"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if etag is not None:
            headers["If-Match"] = etag
        url = path if path.startswith("http") else f"{self.url}{path}"
        return request(self.session_class, method, url, headers=headers, **arguments)

    def get(self, path, **parameters):
        response = self.call("GET", path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()

    def start(self, *others, key=None):
        return self.call(
            "POST",
            "/conversations/",
            key=key,
            json={"participants": [other.user_id for other in others]},
        )

    def add(self, conversation_id, other):
        path = f"/conversations/{conversation_id}/add_participant/"
        return self.call("POST", path, json={"user_id": other.user_id})

    def leave(self, conversation_id):
        return self.call("POST", f"/conversations/{conversation_id}/leave/")

    def send(self, conversation_id, body, key=None):
        path = f"/conversations/{conversation_id}/messages/"
        return self.call("POST", path, key=key, json={"message_body": body})

    def everything(self, path, **parameters):
        """All rows from the first page to the last."""
        page = self.get(path, **parameters)
        rows = page["results"]
        while page["next"]:
            page = self.get(page["next"])
            rows += page["results"]
        return rows


def in_processes(function, calls, threads=1):
    """Call `function(*call)` for each of the calls, each in its own process and there in `threads`
    threads, all at the same time. Returns all results in one list."""
    pool, manager = get_processes()
    assert len(calls) <= MAX_PROCESSES
    barrier = manager.Barrier(len(calls))
    futures = [pool.submit(in_threads, barrier, function, call, threads) for call in calls]
    return [result for future in futures for result in future.result()]


@cache
def get_processes():
    """Kept until the end, because each takes a second to start."""
    spawn = get_context("spawn")
    return ProcessPoolExecutor(MAX_PROCESSES, spawn), spawn.Manager()


def in_threads(barrier, function, call, threads):
    barrier.wait(60)
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(function, *call) for _ in range(threads)]
        return [future.result() for future in futures]
