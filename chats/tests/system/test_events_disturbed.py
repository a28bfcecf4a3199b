"""The stream of events while Redis, the server and connections are lost."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from threading import Event, Thread

import pytest
import redis
import requests
from django.conf import settings

from chats.tests.support.servers import Database, Server, environment, running
from chats.tests.support.services import RedisServer
from chats.tests.support.streams import EventStream

PEOPLE, CONVERSATIONS, WRITERS = 6, 5, 3
# At least. `CHANGES=10000` takes minutes.
CHANGES = int(os.environ.get("CHANGES", "1500"))
# When everything is as usual again, nothing may depend on what is checked every 14 seconds.
CATCH_UP_SECONDS = 7
WRITE = """
import pathlib, random, sys, django
django.setup()
from chats import services
from chats.models import Conversation, Message, User

users, conversations = list(User.objects.all()), list(Conversation.objects.all())

def change():
    actor, conversation = random.choice(users), random.choice(conversations)
    own = conversation.messages.filter(sender=actor).exclude(message_body="").oldest_first()
    match random.randrange(10):
        case 0:
            services.rename(conversation, str(random.random()), actor=actor)
        case 1:
            services.leave(conversation, actor=actor)
        case 2 | 3:
            conversation.participants.add(random.choice(users))
        case 4:
            read_at = Conversation.objects.get(pk=conversation.pk).updated_at
            services.mark_as_read(conversation, read_at, actor=actor)
        case 5 if message := own.last():
            services.edit(message, str(random.random()), actor=actor)
        case 6 if message := own.last():
            services.delete(message, actor=actor)
        case _:
            services.send(conversation, "Hello", actor=actor)

number, stop = int(sys.argv[1]), pathlib.Path(sys.argv[2])
done = 0
while done < number or not stop.exists():
    try:
        change()
        done += 1
    except (Conversation.DoesNotExist, services.MessageDeleted):
        pass
"""


class Follower:
    """Asks when the stream says so, and only for what it names."""

    def __init__(self, person):
        self.person = person
        # What the person sees of each conversation, by its id.
        self.rows = {}
        self.has_ended, self.asked = False, Event()
        self.thread = Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        while not self.has_ended:
            try:
                self.stream = EventStream(self.person)
                for event in iter(self.stream.events.get, None):
                    self.take(event)
                    self.asked.set()
            except OSError:
                # The server is not there. Come back at once, as a client may.
                pass

    def take(self, event):
        if event.name == "ready":
            rows = self.person.everything("/conversations/", page_size=100)
            self.rows = {row["conversation_id"]: shown(row) for row in rows}
            return
        pk = event.data["conversation_id"]
        response = self.person.call("GET", f"/conversations/{pk}/")
        if response.status_code == 404:
            self.rows.pop(pk, None)
        else:
            self.rows[pk] = shown(response.json())

    def wait_for(self, rows, deadline):
        while self.rows != rows:
            self.asked.clear()
            assert self.asked.wait(deadline - time.monotonic()) or self.rows == rows

    def end(self):
        self.has_ended = True
        self.stream.close()
        self.thread.join()


def shown(row):
    people = [person["user_id"] for person in row["participants"]]
    return row["updated_at"], row["title"], people, row["read_at"], row["unread_count"]


@pytest.fixture
def service():
    service = RedisServer()
    service.start()
    yield service
    service.thaw()
    service.kill()


def test_client_that_asks_when_told_ends_with_the_truth(tmp_path, service):
    """After changes in random order, while Redis is lost and comes back, a stream breaks
    off, and the server is restarted."""
    server = Server(Database(tmp_path), tmp_path, requests.Session, CACHE_URL=service.url)
    variables = environment(
        DATABASE_URL=server.database.url,
        CACHE_URL=service.url,
        DJANGO_SETTINGS_MODULE="messaging_app.settings",
    )
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", WRITE, str(CHANGES // WRITERS), stop]
    with ExitStack() as stack:
        stack.enter_context(running(server))
        people = [server.sign_up(f"person{n}") for n in range(PEOPLE)]
        for n in range(CONVERSATIONS):
            people[n].start(*people)
        followers = [Follower(person) for person in people]
        for follower in followers:
            stack.callback(follower.end)
        writers = [
            stack.enter_context(subprocess.Popen(command, cwd=settings.BASE_DIR, env=variables))  # noqa: S603
            for _ in range(WRITERS)
        ]

        def wait_for_events():
            for follower in followers:
                follower.asked.clear()
                assert follower.asked.wait(60)

        wait_for_events()
        service.kill()
        wait_for_events()
        followers[0].stream.close()
        wait_for_events()
        service.start()
        wait_for_events()
        server.kill()
        server.start()
        wait_for_events()
        service.freeze()
        wait_for_events()
        service.thaw()
        stop.touch()
        assert [writer.wait() for writer in writers] == [0] * WRITERS
        deadline = time.monotonic() + CATCH_UP_SECONDS
        for follower in followers:
            rows = follower.person.everything("/conversations/", page_size=100)
            follower.wait_for({row["conversation_id"]: shown(row) for row in rows}, deadline)


def test_events_come_before_every_process_uses_redis_again(tmp_path, service):
    """After an error, a process leaves Redis alone for some seconds."""
    server = Server(Database(tmp_path), tmp_path, requests.Session, CACHE_URL=service.url)
    with running(server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        stream = EventStream(bob).wait_until_ready()
        service.kill()
        server.everywhere(lambda: alice.send(conversation_id, "Redis is gone"))
        service.start()
        store = redis.from_url(service.url)
        while store.pubsub_numsub("chats.changes.0") != [(b"chats.changes.0", 1)]:
            pass
        store.close()
        sent = alice.send(conversation_id, "Redis is back").json()
        clock = {"conversation_id": conversation_id, "updated_at": sent["sent_at"]}
        stream.until("conversation", **clock)
        stream.close()


@pytest.mark.parametrize("how", ["full", "foreign"])
def test_announcements_come_from_a_redis_that_is_full_and_has_other_users(tmp_path, service, how):
    server = Server(Database(tmp_path), tmp_path, requests.Session, CACHE_URL=service.url)
    with running(server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        stream = EventStream(bob).wait_until_ready()
        with redis.from_url(service.url) as store:
            while not store.pubsub_numsub("chats.changes.0")[0][1]:
                pass
            if how == "full":
                store.config_set("maxmemory", 1)
            else:
                for text in ("", "nonsense", b"\xff", ","):
                    store.publish("chats.changes.0", text)
        for _ in range(3):
            # It fails to store the page, so that Redis is left alone.
            server.everywhere(lambda: bob.get("/conversations/"))
            sent = alice.send(conversation_id, "Hello").json()
            clock = {"conversation_id": conversation_id, "updated_at": sent["sent_at"]}
            stream.until("conversation", **clock)
        stream.close()
        assert "polled instead" not in server.error_log.read_text()


def test_readyz_says_that_changes_cannot_be_announced(tmp_path, service):
    server = Server(Database(tmp_path), tmp_path, requests.Session, CACHE_URL=service.url)
    with running(server), redis.from_url(service.url) as store:
        assert server.request("GET", "/readyz").status_code == 200
        store.execute_command("ACL", "SETUSER", "default", "-publish")
        response = server.request("GET", "/readyz")
        assert (response.status_code, response.json()["database"]) == (503, "ok")
        assert "unavailable" in response.json()["cache"]
