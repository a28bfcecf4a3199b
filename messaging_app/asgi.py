"""The program as docker/serve runs it.

The event loop reads each request whole. Then a thread of a fixed pool runs the WSGI application,
and the event loop sends the response. So clients that send or read slowly do not occupy a thread.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from tempfile import SpooledTemporaryFile
from time import perf_counter
from typing import IO, Any, NamedTuple
from urllib.parse import unquote_to_bytes
from uuid import uuid4

from django.conf import settings

from messaging_app.access_log import log_access
from messaging_app.middleware import BUSY, JSON, RETRY_AFTER_SECONDS, TOO_LONG, TOO_SLOW
from messaging_app.wsgi import application as wsgi_application

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# messaging_app/serve.py has the limits for the whole head.
URL_MAX_BYTES = 8_000
BODY_SECONDS = 30
# A longer body is in a file while it arrives.
BODY_MEMORY_BYTES = 64 * 1024
# How many requests wait for a thread at most, in a process, and how long those that write do.
MAX_WAITING = 500
WAITING_SECONDS = 30
# What is read of a body that was refused, so that its client gets the response.
REFUSED_BODY_BYTES = 16 * 1024 * 1024
REFUSED_BODY_SECONDS = 5
# A longer response is sent in parts. A client that takes longer for one of them is disconnected.
PART_BYTES = 64 * 1024
PART_SECONDS = 30
# What the clients of a process have not taken yet of such responses.
MAX_UNSENT_BYTES = 64 * 1024 * 1024
# After SIGTERM, responses say `Connection: close` for so long before the server closes connections.
CLOSING_SECONDS = 2


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class RefusedError(Exception):
    def __init__(self, status: int, detail: str, *headers: tuple[str, str]) -> None:
        body = json.dumps({"detail": detail}).encode()
        length = str(len(body))
        common = [("Content-Type", JSON), ("Content-Length", length), ("X-Request-ID", uuid4().hex)]
        self.response = Response(status, [*common, *headers], body)


class ClientLeftError(Exception):
    pass


class Threads:
    """A pool of threads. All but one may write at the same time, because writers wait for each
    other, and for standbys of the database."""

    def __init__(self, count: int) -> None:
        self.executor = ThreadPoolExecutor(count)
        self.writers = asyncio.Semaphore(max(1, count - 1))
        self.unfinished, self.limit = 0, count + MAX_WAITING

    async def run(self, environ: dict[str, Any]) -> Response:
        """The response of the WSGI application. Raises RefusedError if too many wait."""
        if self.unfinished >= self.limit:
            raise busy()
        self.unfinished += 1
        try:
            if environ["REQUEST_METHOD"] in SAFE_METHODS:
                return await self.run_wsgi(environ)
            return await self.write(environ)
        finally:
            self.unfinished -= 1

    async def write(self, environ: dict[str, Any]) -> Response:
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await self.writers.acquire()
        except TimeoutError:
            raise busy() from None
        try:
            return await self.run_wsgi(environ)
        finally:
            self.writers.release()

    async def run_wsgi(self, environ: dict[str, Any]) -> Response:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, run_wsgi, environ)


class Application:
    def __init__(self) -> None:
        self.threads = Threads(settings.THREADS)
        # Responds while all others are busy.
        self.health_thread = Threads(1)
        self.unsent_bytes = 0
        self.is_closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        else:
            await self.respond(scope, receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        await receive()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.close)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def close(self) -> None:
        """Have clients open new connections, to another process, before the server stops.

        A request that a client sends while the server closes its connection gets no response.
        """
        self.is_closing = True
        # On SIGINT the server does what it would have done on SIGTERM.
        loop = asyncio.get_running_loop()
        loop.call_later(CLOSING_SECONDS, lambda: os.kill(os.getpid(), signal.SIGINT))

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = perf_counter()
        threads = self.health_thread if scope["path"] == "/healthz" else self.threads
        is_whole = False
        with SpooledTemporaryFile(BODY_MEMORY_BYTES) as body:
            try:
                check_url(scope)
                is_whole = await read_body(scope, receive, body)
                response = await threads.run(build_environ(scope, body))
                if len(response.body) > PART_BYTES and self.unsent_bytes > MAX_UNSENT_BYTES:
                    raise busy()
            except RefusedError as error:
                response = error.response
            except ClientLeftError:
                return
        if self.is_closing or not is_whole:
            response.headers.append(("Connection", "close"))
        try:
            await self.send_response(response, send)
        except TimeoutError:
            # The server closes a connection on which a response is not complete.
            return
        finally:
            log_access(scope, response, perf_counter() - begin)
        if not is_whole:
            await discard_body(receive)

    async def send_response(self, response: Response, send: Send) -> None:
        """Raises TimeoutError."""
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers
        ]
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        await send(start)
        body, length = response.body, len(response.body)
        if length > PART_BYTES:
            self.unsent_bytes += length
            try:
                for position in range(0, length, PART_BYTES):
                    part = body[position : position + PART_BYTES]
                    async with asyncio.timeout(PART_SECONDS):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
            finally:
                self.unsent_bytes -= length
            body = b""
        await send({"type": "http.response.body", "body": body})


def busy() -> RefusedError:
    return RefusedError(503, BUSY, ("Retry-After", str(RETRY_AFTER_SECONDS)))


def check_url(scope: Scope) -> None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > URL_MAX_BYTES:
        raise RefusedError(414, TOO_LONG.format(URL_MAX_BYTES))


async def read_body(scope: Scope, receive: Receive, body: IO[bytes]) -> bool:
    """Read the request's body into `body`. False if the program will refuse it unread."""
    headers = dict(scope["headers"])
    length = int(headers.get(b"content-length", 0))
    if b"transfer-encoding" in headers or length > settings.API_REQUEST_MAX_BYTES:
        return False
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while body.tell() < length:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeftError
                body.write(message["body"])
    except TimeoutError:
        raise RefusedError(408, TOO_SLOW.format(BODY_SECONDS)) from None
    body.seek(0)
    return True


async def discard_body(receive: Receive) -> None:
    discarded = 0
    try:
        async with asyncio.timeout(REFUSED_BODY_SECONDS):
            while discarded < REFUSED_BODY_BYTES:
                message = await receive()
                if not message.get("more_body"):
                    return
                discarded += len(message["body"])
    except TimeoutError:
        return


def build_environ(scope: Scope, body: IO[bytes]) -> dict[str, Any]:
    """PEP 3333. Without headers that have an underscore in their name: `X_Forwarded_For` would
    become the same variable as `X-Forwarded-For`."""
    host, port = scope["server"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for header, value in scope["headers"]:
        if b"_" in header:
            continue
        name = header.decode("latin-1").upper().replace("-", "_")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = f"HTTP_{name}"
        text = value.decode("latin-1")
        environ[name] = f"{environ[name]},{text}" if name in environ else text
    return environ


def run_wsgi(environ: dict[str, Any]) -> Response:
    status, headers = "", []

    def start_response(*arguments: Any) -> None:
        nonlocal status, headers
        status, headers = arguments[:2]

    with closing(wsgi_application(environ, start_response)) as chunks:
        body = b"".join(chunks)
    code, _, _ = status.partition(" ")
    return Response(int(code), headers, body)


application = Application()
