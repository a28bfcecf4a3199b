"""What the stream of events is made from; test_events.py in system/ has the stream itself."""

import asyncio
import socket
from contextlib import aclosing
from uuid import uuid4

import pytest
from django.db.utils import ConnectionHandler

from chats.events import changes_file
from chats.events.announcements import announce
from chats.events.hub import Hub
from chats.events.memberships import Change, Memberships
from chats.events.slots import SLOTS_FILE, STREAMS_PER_USER, Slots
from chats.events.streams import COMMENT, Stream, Subscriber
from chats.events.watcher import get_rest_seconds
from chats.models import Participation
from chats.services import leave, mark_as_read, send, start
from chats.statements import get_parameters
from messaging_app import streaming
from messaging_app.conf.databases import parse_database
from messaging_app.middleware import RequestRefused
from messaging_app.serve import create_listeners


@pytest.fixture
def memberships(alice, bob, conversation):
    """Of Alice and Bob, as they are now."""
    memberships = Memberships()
    memberships.follow(set(get_parameters(alice.pk, bob.pk)))
    return memberships


def names(changes):
    return sorted((change.user, change.event) for change in changes)


def get_updates(memberships, *conversations):
    keys = [conversation.pk for conversation in conversations]
    updates = memberships.update_conversations(keys) if keys else memberships.update()
    return [change for changes in updates for change in changes]


class TestMemberships:
    def test_both_updates_find_the_same(self, alice, bob, carol, conversation):
        """All that can change at once."""
        other, _ = start({carol.pk}, actor=alice)
        users = set(get_parameters(alice.pk, bob.pk, carol.pk))
        complete, partial = Memberships(), Memberships()
        complete.follow(users)
        partial.follow(users)
        message, _ = send(conversation, "Hello", actor=alice)
        mark_as_read(conversation, message.sent_at, actor=bob)
        leave(other, actor=carol)
        new, _ = start({bob.pk}, actor=carol)
        changes = get_updates(complete)
        a, b, c = get_parameters(alice.pk, bob.pk, carol.pk)
        expected = [(a, "conversation"), (a, "conversation"), (b, "conversation")]
        expected += [(b, "conversation"), (b, "read"), (c, "conversation"), (c, "left")]
        assert names(changes) == sorted(expected)
        changed = [conversation, other, new]
        assert sorted(get_updates(partial, *changed)) == sorted(changes)
        assert complete.known == partial.known
        assert get_updates(complete) == get_updates(partial, *changed) == []

    def test_other_conversations_are_not_read(self, memberships, alice, bob, conversation):
        other, _ = start({bob.pk}, actor=alice)
        send(conversation, "Hello", actor=alice)
        changes = get_updates(memberships, other)
        assert {change.conversation for change in changes} == set(get_parameters(other.pk))
        assert len(get_updates(memberships)) == 2

    def test_nobody_else_is_told(self, memberships, carol, mallory):
        start({mallory.pk}, actor=carol)
        assert get_updates(memberships) == []

    @pytest.mark.parametrize("number", [1, 40])
    def test_queries_do_not_grow(self, make_user, django_assert_num_queries, number):
        users = [make_user(f"User{n}") for n in range(number + 1)]
        conversations = [start({user.pk}, actor=users[0])[0] for user in users[1:]]
        memberships = Memberships()
        with django_assert_num_queries(1):
            memberships.follow(set(get_parameters(*[user.pk for user in users])))
        Participation.objects.filter(user=users[0]).delete()
        with django_assert_num_queries(1):
            assert len(get_updates(memberships, *conversations)) == number
        with django_assert_num_queries(1):
            assert len(memberships.read_passwords()) == len(users)
        with django_assert_num_queries(1):
            assert get_updates(memberships) == []

    def test_nothing_is_read_while_nobody_writes(self, memberships, django_assert_num_queries):
        # The version.
        with django_assert_num_queries(1):
            memberships.read_version()
        # The memberships.
        with django_assert_num_queries(1):
            get_updates(memberships)
        with django_assert_num_queries(1):
            memberships.read_version()
        with django_assert_num_queries(0):
            get_updates(memberships)
        memberships.reset()
        with django_assert_num_queries(1):
            get_updates(memberships)

    def test_passwords_are_those_of_active_users(self, memberships, alice, bob):
        bob.is_active = False
        bob.save()
        assert memberships.read_passwords() == {get_parameters(alice.pk)[0]: alice.password}

    def test_users_without_a_stream_are_forgotten(self, memberships, alice):
        memberships.follow(set(get_parameters(alice.pk)))
        assert list(memberships.known) == get_parameters(alice.pk)


@pytest.mark.once
@pytest.mark.django_db
def test_change_is_found_after_sqlite_was_opened_again(tmp_path, monkeypatch):
    """It counts the commits of others, from the same number for each connection."""
    databases = {"default": parse_database(f"sqlite:///{tmp_path}/events.sqlite3")}
    watching, writing = (ConnectionHandler(databases)["default"] for _ in range(2))
    monkeypatch.setattr("chats.events.memberships.connection", watching)
    monkeypatch.setattr("chats.statements.connection", watching)
    memberships = Memberships()
    for _ in range(2):
        memberships.read_version()
        assert get_updates(memberships) == []
    assert not memberships.is_outdated
    number, _ = memberships.version
    with writing.cursor() as cursor:
        cursor.execute("CREATE TABLE changes (number)")
    watching.close()
    memberships.read_version()
    assert memberships.next_version[0] == number
    assert memberships.is_outdated
    watching.close()
    writing.close()


def change(event, conversation="c", text=None):
    return Change("user", conversation, event, (text or event).encode())


def read(*calls):
    """What a client gets that reads after these calls."""

    async def run():
        stream = Stream(Subscriber(None, "user", "", 0), slot=0)
        stream.begin()
        await stream.read()
        for name, *arguments in calls:
            getattr(stream, name)(*arguments)
        return await stream.read(comment_seconds=0)

    return asyncio.run(run())


class TestSlowClient:
    def test_has_one_event_of_each_kind_for_each_conversation(self):
        sent = read(*[("add", change("conversation", text=f"{n} ")) for n in range(10)])
        assert sent == b"9 "
        assert read(("add", change("read")), ("add", change("conversation"))) == b"readconversation"

    def test_hears_nothing_after_left(self):
        calls = [("add", change(event)) for event in ("conversation", "read", "left")]
        assert read(*calls) == b"left"
        assert read(*calls, ("add", change("conversation"))) == b"conversation"

    def test_hears_nothing_after_the_end(self):
        calls = [("end", b"retry"), ("add", change("conversation")), ("end",)]
        assert read(*calls) == b"retry"

    def test_nothing_is_a_comment(self):
        assert read() == COMMENT
        assert read(("end",)) == b""

    def test_is_disconnected(self, monkeypatch):
        """A part is not taken in time."""
        monkeypatch.setattr(streaming, "PART_SECONDS", 0)

        async def run():
            loop = asyncio.get_running_loop()
            stream = Stream(Subscriber(None, "user", "", 0), slot=0)
            stream.begin()
            await streaming.send_stream(
                stream, loop.create_future, lambda message: loop.create_future()
            )

        with pytest.raises(TimeoutError):
            asyncio.run(run())


def test_slots_of_a_user_are_counted_and_released(alice, bob):
    slots = Slots()
    taken = [slots.take(alice.pk) for _ in range(STREAMS_PER_USER)]
    assert len(set(taken)) == STREAMS_PER_USER
    assert slots.take(alice.pk) is None
    assert slots.take(bob.pk) not in {None, *taken}
    slots.release(taken[3])
    assert slots.take(alice.pk) == taken[3]
    slots.file.close()


def test_slots_do_without_a_file_that_was_deleted(alice, tmp_path, monkeypatch):
    monkeypatch.setenv(SLOTS_FILE, str(tmp_path / "slots"))
    slots = Slots()
    assert slots.take(alice.pk) is not None
    slots.file.close()


def test_expired_tokens_end_their_streams_without_the_database():
    async def run():
        hub = Hub(max_streams=2)
        expired = hub.open(Subscriber(uuid4(), "user", "", expires_at=0))
        other = hub.open(Subscriber(uuid4(), "user", "", expires_at=float("inf")))
        hub.end_expired(hub.get_all())
        assert (expired.has_ended, other.has_ended) == (True, False)

    asyncio.run(run())


def test_nothing_is_announced_if_no_clock_has_moved(settings, django_capture_on_commit_callbacks):
    settings.CACHE_URL = "redis://127.0.0.1:1"
    with django_capture_on_commit_callbacks() as callbacks:
        announce([])
    assert callbacks == []


class TestChangesFile:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "changes"

    def read(self, path, *steps):
        """What a reader gets in each step."""

        async def run():
            async with asyncio.timeout(10), aclosing(changes_file.read(path)) as changes:
                found = [await anext(changes)]
                for step in steps:
                    step()
                    found.append(await anext(changes, "ended"))
                return found

        return asyncio.run(run())

    def test_reader_gets_what_is_appended_from_now_on(self, path):
        keys = [uuid4() for _ in range(4)]
        path.touch()
        changes_file.append(path, keys[:1])
        steps = [lambda: changes_file.append(path, keys[1:3])]
        steps.append(lambda: changes_file.append(path, keys[3:]))
        assert self.read(path, *steps) == [[], keys[1:3], keys[3:]]

    def test_half_of_an_id_waits_for_the_other_half(self, path):
        key, other = uuid4(), uuid4()

        def write(data):
            with path.open("ab") as file:
                file.write(data)

        steps = [lambda: write(key.bytes + other.bytes[:5]), lambda: write(other.bytes[5:])]
        assert self.read(path, *steps) == [[], [key], [other]]

    def test_nothing_is_written_while_nobody_listens(self, path):
        changes_file.append(path, [uuid4()])
        assert not path.exists()

    def test_long_file_is_emptied_and_its_readers_begin_again(self, path, monkeypatch):
        monkeypatch.setattr(changes_file, "MAX_BYTES", 40)
        key = uuid4()
        path.touch()
        changes_file.append(path, [uuid4()] * 3)
        assert self.read(path, lambda: changes_file.append(path, [key])) == [[], "ended"]
        assert path.read_bytes() == key.bytes

    def test_readers_of_a_deleted_file_begin_again(self, path):
        assert self.read(path, path.unlink) == [[], "ended"]

    def test_change_is_kept_though_it_cannot_be_announced(self, path, caplog):
        path.mkdir()
        changes_file.append(path, [uuid4()])
        assert "A change was not announced" in caplog.text


def test_clients_that_are_gone_are_disconnected(settings):
    settings.HOST, settings.PORT, settings.WORKERS = "127.0.0.1", 0, 1
    [listener] = create_listeners()
    with listener:
        milliseconds = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert milliseconds == 30_000


def test_server_that_cannot_stream_says_so(api, alice):
    assert api(alice).head("/api/events/").status_code == 404
    response = api(alice).get("/api/events/")
    assert response.status_code == 404
    assert response.json() == {
        "detail": "This server does not stream events. Poll the lists instead."
    }


def test_hub_knows_when_other_users_have_streams():
    async def run():
        hub = Hub(max_streams=2)
        changes = []

        def note():
            changes.append(hub.has_other_users)
            hub.has_other_users = False

        streams = []
        for _ in range(2):
            streams.append(hub.open(Subscriber(uuid4(), "user", "", 0)))
            note()
        for stream in streams:
            hub.close(stream)
            note()
        assert changes == [True, False, False, True]

    asyncio.run(run())


def test_round_that_only_waited_is_followed_by_as_long_a_rest():
    assert get_rest_seconds(0.1, 0.5, used_seconds=0.01) == 0.5
    assert get_rest_seconds(0.1, 0.5, used_seconds=0.4) == 1.6


def test_process_without_room_refuses_a_stream():
    async def run():
        hub = Hub(max_streams=1)
        hub.open(Subscriber(uuid4(), "user", "", 0))
        with pytest.raises(RequestRefused) as error:
            hub.open(Subscriber(uuid4(), "user", "", 0))
        assert error.value.status == 503

    asyncio.run(run())
