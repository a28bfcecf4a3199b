"""The export of a user's data. test_export.py in system/ has it as servers send it."""

import json
from hashlib import sha256

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from chats.events.slots import get_slots
from chats.models import Message, User
from chats.safety import export
from chats.services import delete, edit, erase, leave, mark_as_read, send, start
from chats.tests.support.expected import own_profile, public_profile, timestamp
from chats.tests.support.rows import deactivate, import_conversations, import_messages

EXPORT = "/api/users/me/export/"


def read_body(response):
    """To its end, where the test client closes the response, without closing the connection to the
    database."""
    return b"".join(response.streaming_content)


@pytest.fixture
def read(api):
    """`read(alice)`: the lines of her export, whose end was checked."""

    def read(user):
        response = api(user).get(EXPORT)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/x-ndjson"
        assert response.headers["Content-Disposition"].startswith("attachment;")
        assert response.headers["Cache-Control"] == "no-store"
        content = read_body(response)
        assert content.endswith(b"\n")
        *lines, end = content.splitlines(keepends=True)
        digest = sha256(b"".join(lines)).hexdigest()
        assert json.loads(end) == {"type": "end", "lines": len(lines), "sha256": digest}
        return [json.loads(line) for line in lines]

    return read


def conversation_line(conversation, read_at, *participants):
    return {
        "type": "conversation",
        "conversation_id": str(conversation.pk),
        "title": conversation.title,
        "created_at": timestamp(conversation.created_at),
        "participants": [
            public_profile(user) for user in sorted(participants, key=lambda user: user.pk)
        ],
        "read_at": timestamp(read_at),
    }


def message_line(message):
    message.refresh_from_db()
    return {
        "type": "message",
        "message_id": str(message.pk),
        "conversation": str(message.conversation_id),
        "message_body": message.message_body or None,
        "sent_at": timestamp(message.sent_at),
        "updated_at": timestamp(message.updated_at),
    }


def test_has_what_the_user_has_written_and_where_they_take_part(read, alice, bob, carol):
    holiday, _ = start({bob.pk, carol.pk}, actor=alice, title="Holiday 🏖")
    left, _ = start({bob.pk}, actor=alice)
    start({carol.pk}, actor=bob)
    messages = [send(holiday, f"Line\n{n}", actor=alice)[0] for n in range(3)]
    edit(messages[0], "Edited", actor=alice)
    delete(messages[1], actor=alice)
    messages.append(send(left, "Goodbye", actor=alice)[0])
    last, _ = send(holiday, "Of Bob", actor=bob)
    mark_as_read(holiday, last.sent_at, actor=alice)
    leave(left, actor=alice)
    messages.sort(key=lambda message: message.pk)
    assert read(alice) == [
        {"type": "profile", **own_profile(alice)},
        conversation_line(holiday, last.sent_at, alice, bob, carol),
        *map(message_line, messages),
    ]


def test_of_somebody_who_has_written_nothing(read, mallory):
    assert read(mallory) == [{"type": "profile", **own_profile(mallory)}]


@pytest.mark.parametrize("text", ["short", "🌍" * 9_000])
def test_has_each_row_once_whatever_the_limits(monkeypatch, read, alice, bob, conversation, text):
    monkeypatch.setattr(export, "KEYS_PER_QUERY", 7)
    monkeypatch.setattr(export, "MESSAGES_PER_QUERY", 5)
    monkeypatch.setattr(export, "CONVERSATIONS_PER_QUERY", 2)
    import_conversations(15, alice, bob)
    import_messages(conversation, alice, 40, message_body=text)
    lines = read(alice)
    ids = [line.get("message_id", line.get("conversation_id")) for line in lines[1:]]
    expected = [
        sorted(str(pk) for pk in rows.values_list("pk", flat=True))
        for rows in (alice.conversations.all(), alice.sent_messages.all())
    ]
    assert ids == expected[0] + expected[1]


def test_parts_are_bounded_in_bytes(alice, conversation):
    """A part has at most a line more."""
    import_messages(conversation, alice, 100, message_body="\x01" * 10_000)
    line = 61_000
    sizes = [len(part) for part in export.start_export(alice)]
    assert max(sizes) < export.PART_BYTES + line
    assert sum(sizes) > 100 * 60_000


def test_queries_do_not_grow(api, alice, bob, conversation, make_user):
    def count():
        with CaptureQueriesContext(connection) as queries:
            list(export.start_export(alice))
        return len(queries)

    send(conversation, "Hello", actor=alice)
    few = count()
    import_messages(conversation, alice, 400)
    import_conversations(8, alice, bob)
    assert count() == few


def test_rows_that_are_gone_are_left_out(alice, conversation, monkeypatch):
    monkeypatch.setattr(export, "MESSAGES_PER_QUERY", 2)
    messages = import_messages(conversation, alice, 6)
    messages.sort(key=lambda message: message.pk)
    parts = export.start_export(alice)
    # Profile, conversation, and two messages.
    first = [next(parts) for _ in range(3)]
    Message.objects.filter(pk__in=[message.pk for message in messages[2:5]]).delete()
    rest = b"".join(parts).splitlines()
    assert json.loads(first[2].splitlines()[1])["message_id"] == str(messages[1].pk)
    assert [json.loads(line).get("message_id") for line in rest] == [str(messages[5].pk), None]


@pytest.mark.parametrize("end", [deactivate, erase])
def test_has_no_end_if_the_user_is_deactivated_or_erased(alice, conversation, end):
    send(conversation, "Hello", actor=alice)
    parts = export.start_export(alice)
    assert json.loads(next(parts))["type"] == "profile"
    end(User.objects.get(pk=alice.pk))
    assert list(parts) == []


def test_has_no_end_if_the_database_is_away(alice, caplog):
    def refuse(*arguments):
        raise OperationalError("away")

    parts = export.start_export(alice)
    with connection.execute_wrapper(refuse):
        assert list(parts) == []
    assert [record.getMessage() for record in caplog.records] == ["An export has ended early: away"]
    assert list(export.start_export(alice))


class TestSecondExport:
    def test_is_a_429_until_the_first_is_closed(self, api, alice, bob):
        first = api(alice).get(EXPORT)
        for method in ("get", "head"):
            response = getattr(api(alice), method)(EXPORT)
            assert (response.status_code, response.headers["Retry-After"]) == (429, "5")
        response = api(alice).get(EXPORT)
        assert response.json() == {
            "detail": "Another export of yours is in progress. Expected available in 5 seconds."
        }
        other = api(bob).get(EXPORT)
        assert other.status_code == 200
        read_body(other)
        read_body(first)
        again = api(alice).get(EXPORT)
        assert again.status_code == 200
        read_body(again)

    def test_leaves_the_streams_their_slots(self, alice):
        slots = get_slots()
        parts = export.start_export(alice)
        taken = [slots.take(alice.pk) for _ in range(11)]
        assert [slot is None for slot in taken] == [False] * 10 + [True]
        for slot in taken[:10]:
            slots.release(slot)
        parts.close()

    def test_does_not_wait_for_one_that_was_dropped(self, alice):
        parts = export.start_export(alice)
        del parts
        export.start_export(alice).close()


def test_head_has_the_headers_of_get(api, alice):
    response = api(alice).head(EXPORT)
    assert (response.status_code, b"".join(response.streaming_content)) == (200, b"")
    assert response.headers["Content-Type"] == "application/x-ndjson"
    export.start_export(alice).close()


def test_errors_are_json_whatever_the_client_accepts(api):
    response = api().get(EXPORT, HTTP_ACCEPT="application/x-ndjson")
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
