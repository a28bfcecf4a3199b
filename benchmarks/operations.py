"""What is measured: who sends which request."""

import json
from dataclasses import dataclass
from itertools import count
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max, Min
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken

from benchmarks import data
from chats.models import Conversation, Message, User

# Each request gets a page of its own, which is not in the cache.
FILTER = "sent_at_after=1970-01-01T00:00:00.{n}Z"
numbers = count()


@dataclass
class Operation:
    """Where `path` or `body` has `{n}`, each request has a number of its own."""

    name: str
    path: str
    user: User | None = None
    body: dict | None = None
    status: int = 200
    # A conversation whose clock moves before each request.
    changing: UUID | None = None

    def __post_init__(self):
        if self.user:
            token = AccessToken.for_user(self.user)
            token.set_exp(lifetime=24 * api_settings.ACCESS_TOKEN_LIFETIME)
            self.token = str(token)

    def get(self, server):
        """The headers and the body of one response."""
        return server.get(self.path.replace("{n}", "000000"), self.token)

    def get_yardstick(self, server):
        """The yardstick's request for a response of the same size."""
        if self.body is not None:
            size = 300
        else:
            size = 0 if self.status == 304 else len(self.get(server)[1])
        return Operation("yardstick", f"/{size}/")

    def get_requests(self, server):
        """A function that returns the next request."""
        method = "GET" if self.body is None else "POST"
        lines = [f"{method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
        if self.user:
            lines.append(f"Authorization: Bearer {self.token}")
        if self.status == 304:
            headers, _ = self.get(server)
            lines.append(f"If-None-Match: {headers['ETag']}")
        content = "" if self.body is None else json.dumps(self.body)
        if content:
            length = len(content.replace("{n}", "000000"))
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        template = "\r\n".join([*lines, "", content])
        changing = Conversation.objects.filter(pk=self.changing)

        def get_request():
            if self.changing:
                changing.update(updated_at=timezone.now())
            return template.replace("{n}", f"{next(numbers):06d}").encode()

        return get_request


def commit_without_waiting():
    """So that moving a clock takes no time to speak of from what is measured."""
    sqlite, postgres = "PRAGMA synchronous = OFF", "SET synchronous_commit = off"
    with connection.cursor() as cursor:
        cursor.execute(sqlite if connection.vendor == "sqlite" else postgres)


def get_headlines():
    user, conversation, path = find("inbox")
    inbox = "/api/conversations/"
    detail = path.removesuffix("messages/")
    operations = [
        Operation("message list, cached", path, user),
        Operation("message list, 304", path, user, status=304),
        Operation("message list, just changed", path, user, changing=conversation.pk),
        Operation("message list, filtered", f"{path}?{FILTER}", user),
        Operation("inbox, unchanged", inbox, user),
        Operation("inbox, 304", inbox, user, status=304),
        Operation("inbox, one just changed", inbox, user, changing=conversation.pk),
        Operation("conversation detail, unchanged", detail, user),
        Operation("conversation detail, 304", detail, user, status=304),
    ]
    for n in (10, 1_000):
        owner, _, _ = find(f"many.{n}")
        name, flat = f"flat list of {n:,} conversations", "/api/messages/"
        operations += [
            Operation(f"{name}, cached", flat, owner),
            Operation(f"{name}, 304", flat, owner, status=304),
            Operation(f"{name}, filtered", f"{flat}?{FILTER}", owner),
        ]
    credentials = {"email": "companion.0@example.com", "password": data.PASSWORD}
    # Sends come last, because they make the pages longer.
    return [
        *operations,
        get_send("send", user, path),
        Operation("sign-in", "/api/token/", body=credentials),
    ]


def get_growing(sizes):
    """By the name of the operation: the same operation for callers who differ in one number."""
    callers = {f"{size} messages": f"size.{size}" for size in sizes}
    callers |= {f"{n} conversations": f"many.{n}" for n in data.CONVERSATION_COUNTS}
    callers["old"] = "old"
    families = {}
    for label, person in callers.items():
        user, conversation, path = find(person)
        detail = path.removesuffix("messages/")
        operations = [
            *get_lists("message list", path, user, conversation.messages),
            *get_lists("flat list", "/api/messages/", user, Message.objects.for_user(user)),
            Operation("inbox", "/api/conversations/", user),
            Operation("conversation detail", detail, user),
            get_send("send", user, path),
        ]
        for operation in operations:
            families.setdefault(operation.name, {})[label] = operation
    return families


def get_lists(name, path, user, messages):
    ends = messages.aggregate(begin=Min("sent_at"), end=Max("sent_at"), n=Count("pk"))
    yield Operation(f"{name}, cached", path, user)
    yield Operation(f"{name}, 304", path, user, status=304)
    yield Operation(f"{name}, filtered", f"{path}?{FILTER}", user)
    if ends["n"] > 50:
        middle = ends["begin"] + (ends["end"] - ends["begin"]) / 2
        before = f"sent_at_before={middle:%Y-%m-%dT%H:%M:%S.%fZ}"
        yield Operation(f"{name}, middle", f"{path}?{before}&{FILTER}", user)


def find(person):
    """The user, their conversation with the latest activity, and the path of its messages."""
    user = User.objects.get(email=f"{person}@example.com")
    conversation = Conversation.objects.for_user(user).latest_activity_first()[0]
    return user, conversation, f"/api/conversations/{conversation.pk}/messages/"


def get_send(name, user, path):
    return Operation(name, path, user, body={"message_body": "Is it {n}?"}, status=201)
