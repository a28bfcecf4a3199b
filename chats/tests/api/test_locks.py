"""Which rows a write locks, and in which order.

First the people, in the order of their keys, then the conversations, in the order of theirs; then
the clock moves; then the change is written. SQLite has no row locks, because it has one writer at
a time.
"""

import json
import re

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework_simplejwt.tokens import RefreshToken

from chats.accounts.sessions import end_sessions
from chats.clock import lock
from chats.models import Conversation, Message, User
from chats.safety.reports import report
from chats.services import (
    add_participant,
    delete,
    delete_for_staff,
    edit,
    erase,
    leave,
    remove_participant,
    rename,
    send,
    start,
)
from chats.tests.conftest import PASSWORD
from messaging_app.backends import PREPARED

TABLES = {
    "chats_user": "user",
    "chats_conversation": "conversation",
    "chats_conversation_participants": "participation",
    "chats_message": "message",
    "chats_report": "report",
}
row_locks = pytest.mark.skipif(
    not connection.features.has_select_for_update, reason="has no row locks"
)


def get_statements(call):
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"].removeprefix(PREPARED) for query in queries]


def describe(sql):
    """`lock user` or `update conversation`, for example. None for what neither locks nor writes
    one of TABLES."""
    verb = sql.split()[0].lower()
    if verb == "select":
        verb = "lock" if "FOR NO KEY UPDATE" in sql else None
    found = re.search(r'(?:^\s*UPDATE|FROM|INTO) "?(\w+)', sql)
    return f"{verb} {TABLES[found[1]]}" if verb and found and found[1] in TABLES else None


def get_steps(call):
    return [step for step in map(describe, get_statements(call)) if step]


def save_title(conversation):
    conversation.title = "Holiday"
    conversation.save()


TIME = "2019-05-01T09:00:00Z"
PEOPLE = ["lock user"]
CLOCK = ["lock conversation", "update conversation"]
JOIN = ["insert participation", "update participation"]
WRITES = {
    "start": (
        lambda m, alice, carol: start({carol.pk}, actor=alice),
        ["insert conversation", *PEOPLE, "insert participation"],
    ),
    "send": (
        lambda m, alice, carol: send(m.conversation, "News", actor=alice),
        [*CLOCK, "insert message"],
    ),
    "edit": (
        lambda m, alice, carol: edit(m, "Edited", actor=alice),
        [*CLOCK, "update message"],
    ),
    "delete": (
        lambda m, alice, carol: delete(m, actor=alice),
        [*CLOCK, "update message"],
    ),
    "delete as staff": (
        lambda m, alice, carol: delete_for_staff(m),
        [*CLOCK, "update message", "update report"],
    ),
    "report": (
        lambda m, alice, carol: report(m, "", actor=alice),
        ["lock conversation", "insert report"],
    ),
    "rename": (
        lambda m, alice, carol: rename(m.conversation, "Holiday", actor=alice),
        CLOCK,
    ),
    "add a participant": (
        lambda m, alice, carol: add_participant(m.conversation, carol.pk, actor=alice),
        [*PEOPLE, *CLOCK, *JOIN],
    ),
    "remove a participant": (
        lambda m, alice, carol: remove_participant(m.conversation, alice.pk, actor=alice),
        [*CLOCK, "delete participation"],
    ),
    "leave": (
        lambda m, alice, carol: leave(m.conversation, actor=alice),
        [*CLOCK, "delete participation"],
    ),
    "save a title": (
        lambda m, alice, carol: save_title(m.conversation),
        CLOCK,
    ),
    "save a message": (
        lambda m, alice, carol: m.save(),
        [*CLOCK, "update message"],
    ),
    "remove a message": (
        lambda m, alice, carol: m.delete(),
        [*CLOCK, "delete report", "delete message"],
    ),
    "remove messages": (
        lambda m, alice, carol: Message.objects.all().delete(),
        [*CLOCK, "delete report", "delete message"],
    ),
    "participants.add": (
        lambda m, alice, carol: m.conversation.participants.add(carol),
        [*PEOPLE, *CLOCK, *JOIN],
    ),
    "conversations.add": (
        lambda m, alice, carol: carol.conversations.add(m.conversation),
        [*PEOPLE, *CLOCK, *JOIN],
    ),
    "participants.remove": (
        lambda m, alice, carol: m.conversation.participants.remove(alice),
        [*CLOCK, "delete participation"],
    ),
    "participants.clear": (
        lambda m, alice, carol: m.conversation.participants.clear(),
        [*CLOCK, "delete participation"],
    ),
    "conversations.clear": (
        lambda m, alice, carol: alice.conversations.clear(),
        [*CLOCK, "delete participation"],
    ),
}


@pytest.mark.parametrize(("write", "steps"), WRITES.values(), ids=WRITES.keys())
def test_users_are_locked_before_the_conversation_and_both_before_the_write(
    alice, carol, message, write, steps
):
    if not connection.features.has_select_for_update:
        steps = [step for step in steps if not step.startswith("lock")]
    # Each at its first time: some lock a row that they have locked already.
    assert list(dict.fromkeys(get_steps(lambda: write(message, alice, carol)))) == steps


def query_for(user):
    return User.objects.filter(pk=user.pk)


LEAVE = [*CLOCK, "delete participation"]
ENDS = {
    # Their conversations are left in transactions of their own before.
    "delete": (
        User.delete,
        [*LEAVE, *PEOPLE, "lock conversation"],
        ["update report", "delete user"],
    ),
    "erase": (erase, [*LEAVE, *PEOPLE, "lock conversation"], ["update report", "update user"]),
    "delete users": (
        lambda carol: query_for(carol).delete(),
        [*PEOPLE, *CLOCK],
        ["update report", "delete user"],
    ),
}


@row_locks
@pytest.mark.parametrize(("end", "locks", "change"), ENDS.values(), ids=ENDS.keys())
def test_deleted_user_is_locked_before_their_conversations(carol, conversation, end, locks, change):
    """So that nobody adds them to a conversation in between."""
    conversation.participants.add(carol)
    key = carol.pk.hex
    statements = get_statements(lambda: end(carol))
    steps = [step for step in map(describe, statements) if step]
    assert steps == [*locks, "delete participation", *change]
    [people] = [sql for sql in statements if describe(sql) == "lock user"]
    assert key in people


@row_locks
@pytest.mark.parametrize(
    "delete_conversation",
    [Conversation.delete, lambda c: Conversation.objects.filter(pk=c.pk).delete()],
    ids=["delete", "delete conversations"],
)
def test_a_conversation_is_locked_before_it_is_deleted(message, delete_conversation):
    first, *_ = get_steps(lambda: delete_conversation(message.conversation))
    assert first == "lock conversation"


@row_locks
@pytest.mark.parametrize("end", ["conversation", "user"])
def test_added_users_are_locked(conversation, carol, end):
    """So an erasure that is in progress ends first, and the person is not added to it unseen."""
    add = {
        "conversation": lambda: conversation.participants.add(carol),
        "user": lambda: carol.conversations.add(conversation),
    }[end]
    [people] = [sql for sql in get_statements(add) if describe(sql) == "lock user"]
    assert carol.pk.hex in people


@row_locks
def test_an_import_locks_users_before_it_adds_participants(db, tmp_path):
    rows = [
        {"type": "user", "id": "1", "email": "a@b.co", "first_name": "A", "last_name": "B"},
        {"type": "conversation", "id": "1", "participants": ["1"], "created_at": TIME},
        {"type": "message", "id": "1", "conversation": "1", "sender": "1", "sent_at": TIME}
        | {"message_body": "Old"},
    ]
    file = tmp_path / "history.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert get_steps(lambda: call_command("import_history", file, source="old")) == [
        "insert user",
        "insert conversation",
        *("lock conversation", "insert message", "update conversation"),
        *("lock user", "lock conversation", "insert participation", "update conversation"),
    ]


def test_several_rows_are_locked_in_the_order_of_their_keys(alice, bob, carol):
    """Whatever order the queryset has: two who lock the same rows do not wait for each other."""
    for other in (bob, carol, bob):
        start({other.pk}, actor=alice)
    for queryset in (
        Conversation.objects.order_by("-pk"),
        Conversation.objects.latest_activity_first(),
        User.objects.order_by("-first_name"),
    ):
        locked = []
        [sql] = get_statements(lambda queryset=queryset, rows=locked: rows.extend(lock(queryset)))
        key = queryset.model._meta.pk.column
        table = queryset.model._meta.db_table
        assert f'ORDER BY "{table}"."{key}" ASC' in sql
        assert [row.pk for row in locked] == sorted(row.pk for row in queryset)


@row_locks
def test_the_conversations_of_a_bulk_write_are_locked_in_the_order_of_their_keys(alice, bob, carol):
    for _ in range(3):
        conversation, _ = start({bob.pk, carol.pk}, actor=alice)
        send(conversation, "Hello", actor=alice)
    # And no row of another table.
    ordered = (
        r'ORDER BY "chats_conversation"."conversation_id" ASC +'
        r'FOR NO KEY UPDATE OF "chats_conversation"$'
    )
    for write in (
        Message.objects.all().delete,
        bob.conversations.clear,
        query_for(carol).delete,
    ):
        [locks] = [sql for sql in get_statements(write) if describe(sql) == "lock conversation"]
        assert re.search(ordered, locks)


@row_locks
def test_deleted_conversations_are_locked_in_the_order_of_their_keys(alice, bob):
    """One after the other, although the queryset has another order."""
    keys = sorted(start({bob.pk}, actor=alice)[0].pk.hex for _ in range(3))
    delete = Conversation.objects.order_by("-pk").delete
    locks = [sql for sql in get_statements(delete) if describe(sql) == "lock conversation"]
    found = [key for sql in locks[:-1] for key in keys if key in sql]
    assert list(dict.fromkeys(found)) == keys


@row_locks
@pytest.mark.django_db(transaction=True)
def test_a_session_is_locked_after_its_user_where_it_changes(api, alice):
    """So that nobody gets a token for a user who is being erased, or a second successor."""

    def get_locks(path, body):
        responses = []
        statements = get_statements(lambda: responses.append(api().post(path, body)))
        assert responses[0].status_code == 200
        locks = re.findall(r'FOR NO KEY UPDATE OF "(\w+)"', "\n".join(statements))
        return locks, responses[0].json()

    user, session = "chats_user", "token_blacklist_outstandingtoken"
    credentials = {"email": alice.email, "password": PASSWORD}
    locks, tokens = get_locks("/api/token/", credentials)
    assert locks == [user]
    locks, _ = get_locks("/api/token/verify/", {"token": tokens["refresh"]})
    assert locks == []
    for path in ("/api/token/refresh/", "/api/token/blacklist/"):
        locks, _ = get_locks(path, {"refresh": tokens["refresh"]})
        assert locks == [user, session]


@row_locks
def test_a_user_is_locked_before_staff_end_their_sessions(alice):
    """So that no refresh goes on with a session that ends."""
    RefreshToken.for_user(alice)
    statements = get_statements(lambda: end_sessions(alice))
    [locked] = [n for n, sql in enumerate(statements) if describe(sql) == "lock user"]
    [ended] = [n for n, sql in enumerate(statements) if "INSERT" in sql and "blacklisted" in sql]
    assert locked < ended
