"""The program as docker/serve runs it.

The event loop reads each request whole. Then a thread of a fixed pool runs the WSGI application,
and the event loop sends the response. So clients that send or read slowly do not occupy a thread.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from tempfile import SpooledTemporaryFile
from time import perf_counter
from typing import IO, TypeVar

from django.conf import settings

from messaging_app.access_log import log_access
from messaging_app.adapter import Response, Scope, build_environ, call_application
from messaging_app.lanes import Lane, UserLanes
from messaging_app.metrics import add_response, record, start_recording
from messaging_app.middleware import (
    BUSY,
    REFUSAL,
    TOO_LONG,
    URL_MAX_BYTES,
    RequestRefused,
)
from messaging_app.outbox import OUTBOX
from messaging_app.parts import Part, Parts
from messaging_app.request_body import discard_body, read_body
from messaging_app.serve import LISTENER_FD, STREAMS_PART, count_connections
from messaging_app.streaming import (
    PART_SECONDS,
    SUBSCRIBERS,
    Hub,
    Receive,
    Send,
    Subscriber,
    send_parts,
    send_stream,
    start_hub,
)

Result = TypeVar("Result", Response, Part)
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# A longer body is kept in a file.
BODY_MEMORY_BYTES = 64 * 1024
# A longer response is sent in parts. If one is not taken within PART_SECONDS, the rest is dropped.
PART_BYTES = 64 * 1024
# The total size of such responses in progress, in each process. Beyond it, a large read is a 503.
MAX_UNSENT_BYTES = 64 * 1024 * 1024
# Exports in progress, in each process. Each keeps a part and a list of keys, up to 2 MB.
MAX_IN_PARTS = 50
# How long a thread may compute while others wait. Python's 5 ms add up in a request that waits for
# the database several times.
SWITCH_SECONDS = 0.0005
# For this long after SIGTERM, responses say `Connection: close`. Then the server stops.
CLOSING_SECONDS = 2


class Application:
    hub: Hub

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(settings.THREADS)
        # Reads can be many, and writes wait for each other. Each leaves a thread to the other.
        self.reads = Lane(max(1, settings.THREADS - 1))
        self.writes = Lane(max(1, settings.THREADS - 1))
        # Health checks succeed while all other threads are busy.
        self.health_thread, self.health_checks = ThreadPoolExecutor(1), Lane(1)
        self.user_lanes = UserLanes()
        self.unsent_bytes = self.in_parts = 0
        self.is_closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        else:
            await self.respond(scope, receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        await receive()
        sys.setswitchinterval(SWITCH_SECONDS)
        if settings.METRICS_ADDRESS:
            start_recording({"read": self.reads, "write": self.writes})
        self.hub = await start_hub(int(STREAMS_PART * count_connections()))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.close)
        if parent := multiprocessing.parent_process():
            # It becomes readable when the main process is gone.
            loop.add_reader(parent.sentinel, self.close)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(OUTBOX.stop)
        record()
        await send({"type": "lifespan.shutdown.complete"})

    def close(self) -> None:
        """Ask clients to reconnect before the server stops. A request sent on a connection that is
        being closed is lost."""
        self.is_closing = True
        stop_listening()
        self.hub.stop()
        loop = asyncio.get_running_loop()
        if parent := multiprocessing.parent_process():
            loop.remove_reader(parent.sentinel)
        # This handler replaced the server's for SIGTERM. SIGINT still has it.
        loop.call_later(CLOSING_SECONDS, signal.raise_signal, signal.SIGINT)

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = arrived = perf_counter()
        is_whole = False
        stream = None
        with SpooledTemporaryFile(BODY_MEMORY_BYTES) as body:
            try:
                check_url(scope)
                is_whole = await read_body(scope, receive, body)
                arrived = perf_counter()
                response, subscriber = await self.run(scope, body)
                if subscriber:
                    stream = self.hub.open(subscriber)
            except RequestRefused as refusal:
                response = await self.refuse(scope, refusal)
        seconds = perf_counter() - arrived
        add_response(scope["method"], response.endpoint, response.status, seconds)
        if self.is_closing or not is_whole:
            response.headers.append(("Connection", "close"))
        try:
            await send_head(response, send)
            if stream:
                await send_stream(stream, receive, send)
            elif response.parts:
                read = partial(self.call, scope, response.parts.read)
                await send_parts(response.parts, read, receive, send)
            else:
                await self.send_body(response.body, send)
        except (TimeoutError, RequestRefused):
            # The connection ends with the response incomplete.
            return
        finally:
            sent_bytes = len(response.body)
            if stream:
                self.hub.close(stream)
                sent_bytes = stream.sent_bytes
            if response.parts:
                await self.close_parts(response.parts)
                sent_bytes = response.parts.sent_bytes
            log_access(scope, response, sent_bytes, perf_counter() - begin)
        if not is_whole:
            await discard_body(receive)

    async def run(self, scope: Scope, body: IO[bytes]) -> tuple[Response, Subscriber | None]:
        """The response of the WSGI application, and who is sent a stream of events instead of its
        body. Raises RequestRefused."""
        subscribers: list[Subscriber] = []
        environ = build_environ(scope, body) | {SUBSCRIBERS: subscribers}
        response = await self.call(scope, partial(call_application, environ))
        # Responses to writes are always sent: the change is already stored.
        is_read = scope["method"] in SAFE_METHODS
        if is_read and len(response.body) > PART_BYTES and self.unsent_bytes > MAX_UNSENT_BYTES:
            raise RequestRefused(503, BUSY)
        if response.parts:
            self.in_parts += 1
            if self.in_parts > MAX_IN_PARTS:
                await self.close_parts(response.parts)
                raise RequestRefused(503, BUSY)
        return response, next(iter(subscribers), None)

    async def call(self, scope: Scope, function: Callable[[], Result]) -> Result:
        """In a thread, when there is room for another request of this user. Raises
        RequestRefused."""
        threads = self.threads
        is_read = scope["method"] in SAFE_METHODS
        lane = self.reads if is_read else self.writes
        if scope["path"] == "/healthz":
            threads, lane = self.health_thread, self.health_checks
        own_lane, pause = self.user_lanes.get(scope, is_read=is_read), 0.0
        loop = asyncio.get_running_loop()
        await own_lane.acquire()
        try:
            async with lane:
                result = await loop.run_in_executor(threads, function)
            pause = self.user_lanes.get_pause(result.processor_seconds)
        finally:
            loop.call_later(pause, own_lane.release)
        return result

    async def close_parts(self, parts: Parts) -> None:
        """In a thread, because that ends Django's request."""
        self.in_parts -= 1
        await asyncio.get_running_loop().run_in_executor(self.threads, parts.close)

    async def refuse(self, scope: Scope, refusal: RequestRefused) -> Response:
        """By the middleware, so that the response has the same headers as others."""
        environ = build_environ(scope, BytesIO()) | {REFUSAL: refusal}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.health_thread, call_application, environ)

    async def send_body(self, body: bytes, send: Send) -> None:
        """Raises TimeoutError."""
        if len(body) <= PART_BYTES:
            await send({"type": "http.response.body", "body": body})
            return
        self.unsent_bytes += len(body)
        try:
            for position in range(0, len(body), PART_BYTES):
                part = body[position : position + PART_BYTES]
                async with asyncio.timeout(PART_SECONDS):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            self.unsent_bytes -= len(body)
        await send({"type": "http.response.body", "body": b""})


async def send_head(response: Response, send: Send) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


def stop_listening() -> None:
    """Leave new connections to other processes, while the server still reads and responds.

    It would fail without its socket. So it gets another one, to which nobody connects.
    """
    with socket.create_server(("127.0.0.1", 0)) as unused:
        unused.setblocking(False)
        os.dup2(unused.fileno(), int(os.environ[LISTENER_FD]), inheritable=False)


def check_url(scope: Scope) -> None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > URL_MAX_BYTES:
        raise RequestRefused(414, TOO_LONG)


application = Application()
