"""The stream of events: changes are made by one process and heard by another."""

import json
import signal
import subprocess
import sys
import time
from uuid import uuid4

import pytest
import requests
from django.conf import settings
from rest_framework_simplejwt.tokens import AccessToken

from chats.tests.support.servers import PASSWORD, Database, Server, environment, running
from chats.tests.support.streams import EventStream

RUN_LINES = """
import json, sys, django
django.setup()
from chats import services
from chats.models import *
for line in sys.stdin:
    exec(json.loads(line))
    print("done", flush=True)
"""
EVERYBODY = {name: ["conversation"] for name in ("alice", "bob", "carol")}
BOB_LEFT = EVERYBODY | {"bob": ["left"]}
ALL_LEFT = {name: ["left"] for name in EVERYBODY}
DORA_JOINED = EVERYBODY | {"dora": ["conversation"]}
BY_API = {
    "send": ("POST", "messages/", {"message_body": "Hello"}, EVERYBODY),
    "edit": ("PATCH", "messages/{message}/", {"message_body": "Edited"}, EVERYBODY),
    "delete": ("DELETE", "messages/{message}/", None, EVERYBODY),
    "title": ("PATCH", "", {"title": "Garden"}, EVERYBODY),
    "same title": ("PATCH", "", {"title": ""}, {}),
    "add": ("POST", "add_participant/", {"user_id": "{dora}"}, DORA_JOINED),
    "add again": ("POST", "add_participant/", {"user_id": "{bob}"}, {}),
    "remove": ("POST", "remove_participant/", {"user_id": "{bob}"}, BOB_LEFT),
    "remove again": ("POST", "remove_participant/", {"user_id": "{dora}"}, {}),
    "leave": ("POST", "leave/", None, EVERYBODY | {"alice": ["left"]}),
    "read": ("POST", "read/", {"read_at": "9999-12-31T00:00:00Z"}, {"alice": ["read"]}),
    "read too late": ("POST", "read/", {"read_at": "2000-01-01T00:00:00Z"}, {}),
}
CONVERSATION = "Conversation.objects.get(pk='{conversation}')"
MESSAGE = "Message.objects.get(pk='{message}')"
IN_A_SHELL = {
    "message.save()": (
        f"message = {MESSAGE}; message.message_body = 'x'; message.save()",
        EVERYBODY,
    ),
    "message.delete()": (f"{MESSAGE}.delete()", EVERYBODY),
    "delete_for_staff()": (f"services.delete_for_staff({MESSAGE})", EVERYBODY),
    "messages.delete()": ("Message.objects.filter(pk='{message}').delete()", EVERYBODY),
    "messages.create()": (
        f"{CONVERSATION}.messages.create(sender_id='{{bob}}', message_body='x')",
        EVERYBODY,
    ),
    "save()": (f"row = {CONVERSATION}; row.title = 'x'; row.save()", EVERYBODY),
    "participants.add()": (f"{CONVERSATION}.participants.add('{{dora}}')", DORA_JOINED),
    "participants.remove()": (f"{CONVERSATION}.participants.remove('{{bob}}')", BOB_LEFT),
    "participants.set()": (
        f"{CONVERSATION}.participants.set(['{{alice}}', '{{carol}}', '{{dora}}'])",
        DORA_JOINED | {"bob": ["left"]},
    ),
    "participants.clear()": (f"{CONVERSATION}.participants.clear()", ALL_LEFT),
    "conversations.add()": (
        f"User.objects.get(pk='{{dora}}').conversations.add({CONVERSATION})",
        DORA_JOINED,
    ),
    "conversations.remove()": (
        f"User.objects.get(pk='{{bob}}').conversations.remove({CONVERSATION})",
        BOB_LEFT,
    ),
    "conversation.delete()": (f"{CONVERSATION}.delete()", ALL_LEFT),
    "conversations.delete()": (
        "Conversation.objects.filter(pk='{conversation}').delete()",
        ALL_LEFT,
    ),
}


class Cast:
    """Alice, Bob, Carol and Dora with two streams each, and a shell. All four share one
    conversation, `marker`."""

    def __init__(self, server):
        self.people = {name: server.sign_up(name) for name in ("alice", "bob", "carol", "dora")}
        self.streams = {
            name: [EventStream(person).wait_until_ready() for _ in range(2)]
            for name, person in self.people.items()
        }
        self.marker = self.start(*self.people)
        self.shell = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", RUN_LINES],
            cwd=settings.BASE_DIR,
            env=environment(
                DATABASE_URL=server.database.url,
                CACHE_URL=settings.CACHE_URL,
                DJANGO_SETTINGS_MODULE="messaging_app.settings",
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.alice = self.people["alice"]
        # So that she can remove others.
        self.run(f"User.objects.filter(pk='{self.alice.user_id}').update(role='host')")

    def start(self, *names):
        others = [self.people[name] for name in names if name != "alice"]
        return self.people["alice"].start(*others).json()["conversation_id"]

    def run(self, code):
        self.shell.stdin.write(json.dumps(code) + "\n")
        self.shell.stdin.flush()
        assert self.shell.stdout.readline() == "done\n"

    def hear(self):
        """The events that each stream got since the last time, without those of the marker.

        A second change of the marker is only announced after everything before the first one.
        """
        heard = {stream: [] for streams in self.streams.values() for stream in streams}
        for _ in range(2):
            path = f"/conversations/{self.marker}/"
            changed = self.alice.call("PATCH", path, json={"title": uuid4().hex}).json()
            clock = {name: changed[name] for name in ("conversation_id", "updated_at")}
            for stream in heard:
                heard[stream] += stream.until("conversation", **clock)
        return {
            name: [
                [event for event in heard[stream] if event.data["conversation_id"] != self.marker]
                for stream in streams
            ]
            for name, streams in self.streams.items()
        }


@pytest.fixture(scope="module")
def cast(running_server):
    cast = Cast(running_server)
    cast.hear()
    with cast.shell:
        yield cast
        cast.shell.stdin.close()
    for streams in cast.streams.values():
        for stream in streams:
            stream.close()


@pytest.fixture
def keys(cast):
    """Of a conversation of Alice, Bob and Carol, for the ways to change it."""
    conversation = cast.start("alice", "bob", "carol")
    message = cast.alice.send(conversation, "Hello").json()
    for name in EVERYBODY:
        for stream in cast.streams[name]:
            stream.until(
                "conversation", conversation_id=conversation, updated_at=message["sent_at"]
            )
    ids = {name: person.user_id for name, person in cast.people.items()}
    return ids | {"conversation": conversation, "message": message["message_id"]}


def check(cast, keys, expected):
    """Both streams of each person got events with these names since the last time."""
    clocks = set()
    for name, streams in cast.hear().items():
        for events in streams:
            assert {event.data["conversation_id"] for event in events} <= {keys["conversation"]}
            assert [event.name for event in events] == expected.get(name, [])
            clocks |= {event.data["updated_at"] for event in events if event.name == "conversation"}
    if clocks:
        row = cast.people["carol"].get(f"/conversations/{keys['conversation']}/")
        assert clocks == {row["updated_at"]}


def fill(value, keys):
    return {name: text.format(**keys) for name, text in value.items()} if value else value


@pytest.mark.parametrize("way", BY_API)
def test_change_by_the_api_reaches_exactly_those_who_may_know(cast, keys, way):
    method, path, body, expected = BY_API[way]
    path = f"/conversations/{keys['conversation']}/{path.format(**keys)}"
    response = cast.alice.call(method, path, json=fill(body, keys))
    assert response.status_code in {200, 201, 204}, response.text
    check(cast, keys, expected)


@pytest.mark.parametrize("way", IN_A_SHELL)
def test_change_in_a_shell_reaches_exactly_those_who_may_know(cast, keys, way):
    code, expected = IN_A_SHELL[way]
    cast.run(code.format(**keys))
    check(cast, keys, expected)


def test_start_reaches_the_participants(cast):
    keys = {"conversation": cast.start("alice", "bob", "carol")}
    check(cast, keys, EVERYBODY)


def test_nobody_hears_anything_after_left(cast, keys):
    bob = cast.people["bob"]
    assert bob.leave(keys["conversation"]).status_code == 204
    check(cast, keys, BOB_LEFT)
    cast.alice.send(keys["conversation"], "Bob is gone")
    check(cast, keys, EVERYBODY | {"bob": []})
    cast.alice.add(keys["conversation"], bob)
    check(cast, keys, EVERYBODY)


def deactivate(cast, person):
    cast.run(f"User.objects.filter(pk='{person.user_id}').update(is_active=False)")


def change_password(cast, person):
    body = {"current_password": PASSWORD, "new_password": "another tide"}
    assert person.call("POST", "/users/set_password/", json=body).status_code == 204


def erase(cast, person):
    body = {"current_password": PASSWORD}
    assert person.call("DELETE", "/users/me/", json=body).status_code == 204


def delete(cast, person):
    cast.run(f"User.objects.get(pk='{person.user_id}').delete()")


def expire(cast, person):
    """The token was made to expire."""


def test_revoked_and_expired_tokens_end_their_streams_within_15_seconds(server, cast):
    ways = [deactivate, change_password, erase, delete, expire]
    people = [server.sign_up(way.__name__) for way in ways]
    token = AccessToken(people[-1].access)
    token["exp"] = int(time.time()) + 3
    people[-1].access = str(token)
    streams = [EventStream(person).wait_until_ready() for person in people]
    for way, person in zip(ways, people, strict=True):
        way(cast, person)
    begin = time.monotonic()
    for stream in streams:
        stream.wait_until_end()
    # 3 for the token that expires. The rest is for a busy machine.
    assert time.monotonic() - begin < 3 + 15 + 5
    # The others go on.
    cast.hear()


def test_eleventh_stream_of_a_user_is_a_429_until_one_is_closed(server, cast):
    """Of whichever process."""
    eve = server.sign_up("eve")
    streams = [EventStream(eve) for _ in range(15)]
    refused = [stream for stream in streams if stream.status == 429]
    assert [stream.status for stream in streams].count(200) == 10
    assert {stream.response.headers["Retry-After"] for stream in refused} == {"5"}
    assert refused[0].body == {"detail": "You have 10 streams. Close one of them first."}
    for stream in streams:
        if stream.status == 200:
            stream.close()
    # The server has to notice it first.
    while (stream := EventStream(eve)).status == 429:
        pass
    stream.close()


class TestOneServer:
    @pytest.fixture
    def server(self, tmp_path):
        server = Server(Database(tmp_path), tmp_path, requests.Session)
        with running(server):
            yield server

    def open_streams(self, server):
        eve = server.sign_up("eve")
        return [EventStream(eve).wait_until_ready() for _ in range(10)]

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=["stop", "reload"])
    def test_streams_end_and_say_when_to_return(self, server, how):
        """At different times, so that not all clients come back at once."""
        streams = self.open_streams(server)
        server.process.send_signal(how)
        for stream in streams:
            stream.wait_until_end()
        retries = {int(stream.lines[-1].removeprefix("retry: ")) for stream in streams}
        assert len(retries) > 1
        assert 2_500 <= min(retries) <= max(retries) <= 4_000
        if how == signal.SIGHUP:
            self.open_streams(server)

    def test_access_log_has_a_line_when_the_stream_ends(self, server):
        eve = server.sign_up("eve")
        stream = EventStream(eve).wait_until_ready()
        assert "/api/events/" not in [line["path"] for line in server.get_requests()]
        stream.close()
        line = server.get_request(stream.response)
        assert (line["path"], line["status"]) == ("/api/events/", 200)
        assert line["bytes"] == len("event: ready\ndata: {}\n\n")


def test_head_has_the_headers_of_get(server):
    eve = server.sign_up("eve")
    response = eve.call("HEAD", "/events/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["X-Accel-Buffering"] == "no"


def test_errors_are_json_whatever_the_client_accepts(server):
    headers = {"Accept": "text/event-stream"}
    response = server.request("GET", "/api/events/", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
