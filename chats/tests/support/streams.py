"""Clients of the stream of events."""

import json
import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from queue import Queue
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit

# Less than the time after which everything is compared anyway.
EVENT_SECONDS = 10
END_SECONDS = 60


class Event(NamedTuple):
    name: str
    data: dict


class EventStream:
    """Reads a person's stream in a thread until it ends. Then the last event is None."""

    def __init__(self, person, address=None):
        self.connection = HTTPConnection(address or urlsplit(person.url).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {person.access}"}
        self.connection.request("GET", "/api/events/", headers=headers)
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.status = self.response.status
        # What is not an event: comments, and `retry`.
        self.lines = []
        self.events = Queue()
        if self.status == 200:
            Thread(target=self.read, daemon=True).start()
        else:
            self.body = json.loads(self.response.read())
            self.connection.close()

    def read(self):
        fields = {}
        with suppress(OSError, HTTPException):
            while line := self.response.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name in {"event", "data"}:
                    fields[name] = value
                elif name:
                    self.lines.append(line.decode())
                elif fields:
                    self.events.put(Event(fields["event"], json.loads(fields["data"])))
                    fields = {}
        self.connection.close()
        self.events.put(None)

    def next(self):
        """The next event, or None at the end."""
        return self.events.get(timeout=EVENT_SECONDS)

    def wait_until_end(self):
        assert self.events.get(timeout=END_SECONDS) is None

    def until(self, name, **data):
        """The events up to the first one with this name and data."""
        events = [self.next()]
        while not (events[-1].name == name and data.items() <= events[-1].data.items()):
            events.append(self.next())
        return events

    def wait_until_ready(self):
        assert self.next() == Event("ready", {})
        return self

    def close(self):
        """The thread sees the end of the stream, and closes the connection."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
