"""Clients that stream events, and clients that poll. Thousands of them fit into one process."""

import asyncio
import json
import random
import re
import resource
from contextlib import asynccontextmanager

EVENT = re.compile(
    rb'event: conversation\ndata: {"conversation_id":"([^"]+)","updated_at":"([^"]+)"'
)
READY = b"event: ready"
OPENED_TOGETHER = 50
OPEN_SECONDS = 60
POLL_SECONDS = 3


def raise_file_limit():
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def get_head(method, path, token, *lines):
    first = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
    return "\r\n".join([*first, *lines, "", ""])


class Stream(asyncio.Protocol):
    """Calls `hear(conversation_id, updated_at)` for each event."""

    def __init__(self, token, hear):
        self.token, self.hear, self.received = token, hear, b""
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(get_head("GET", "/api/events/", self.token).encode())

    def data_received(self, data):
        *parts, self.received = (self.received + data).split(b"\n\n")
        for part in parts:
            if found := EVENT.search(part):
                self.hear(*(value.decode() for value in found.groups()))
            elif READY in part:
                self.ready.set_result(None)

    def connection_lost(self, error):
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("A stream ended before it was ready."))


@asynccontextmanager
async def open_streams(port, tokens, hear=lambda user, *event: None):
    """A stream for each `{user: token}`. Calls `hear(user, conversation_id, updated_at)`."""
    loop = asyncio.get_running_loop()
    gate, transports = asyncio.Semaphore(OPENED_TOGETHER), []

    async def open_stream(user, token):
        async with gate:
            transport, stream = await loop.create_connection(
                lambda: Stream(token, lambda *event: hear(user, *event)), "127.0.0.1", port
            )
            transports.append(transport)
            async with asyncio.timeout(OPEN_SECONDS):
                await stream.ready

    await asyncio.gather(*(open_stream(*item) for item in tokens.items()))
    try:
        yield
    finally:
        for transport in transports:
            transport.abort()


class Connection:
    def __init__(self, port):
        self.port = port
        self.is_open = False
        self.lock = asyncio.Lock()

    async def request(self, text):
        """The status code, the headers and the body of the response."""
        async with self.lock:
            if not self.is_open:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.is_open = True
            self.writer.write(text.encode())
            head = await self.reader.readuntil(b"\r\n\r\n")
            status, *lines = head.decode().strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return int(status.split()[1]), headers, body

    async def send_message(self, token, conversation_id):
        body = '{"message_body": "Is it free?"}'
        lines = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        path = f"/api/conversations/{conversation_id}/messages/"
        status, _, message = await self.request(get_head("POST", path, token, *lines) + body)
        if status != 201:
            raise SystemExit(f"A send returned {status}: {message}")
        return json.loads(message)

    def close(self):
        self.writer.close()


class Page:
    """An open page of the demo client: the inbox, and the messages of a conversation. It sends the
    requests that frontend/client.js does."""

    def __init__(self, port, token, conversation_id, cursor):
        self.port, self.token, self.cursor = port, token, cursor
        self.conversation_id = str(conversation_id)
        self.etags, self.requests, self.received = {}, 0, set()

    async def poll(self):
        connection = Connection(self.port)
        await asyncio.sleep(POLL_SECONDS * random.random())  # noqa: S311
        while True:
            await self.ask_inbox(connection)
            await self.ask_conversation(connection)
            await asyncio.sleep(POLL_SECONDS)

    async def hear(self, conversation_id, updated_at):
        """On a new connection: the server closes those that are idle for 30 seconds."""
        connection = Connection(self.port)
        is_open = conversation_id == self.conversation_id
        await (self.ask_conversation if is_open else self.ask_inbox)(connection)
        connection.close()

    async def ask_inbox(self, connection):
        await self.get(connection, "/api/conversations/?page_size=50")

    async def ask_conversation(self, connection):
        path = f"/api/conversations/{self.conversation_id}/?updated_at_after={self.cursor}"
        for message in (await self.get(connection, path) or {"messages": []})["messages"]:
            self.cursor = message["updated_at"]
            self.received.add(message["message_id"])

    async def get(self, connection, path):
        """Nothing if the response is a 304."""
        etag = [f"If-None-Match: {self.etags[path]}"] if path in self.etags else []
        head = get_head("GET", path, self.token, *etag)
        status, headers, body = await connection.request(head)
        if status not in {200, 304}:
            raise SystemExit(f"{path} returned {status}: {body}")
        self.requests += 1
        self.etags[path] = headers["etag"]
        return json.loads(body) if status == 200 else None
