"""What a request, a long change and the cache cost at most."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chats.caching import MAX_BYTES
from chats.clock import move_clocks
from chats.models import Conversation, Message, User
from chats.services import send, start
from chats.statements import MAX_UNREAD_SCANNED, get_read_states

MIB = 1024 * 1024


def test_an_unread_count_looks_at_1000_messages_and_no_further(alice, bob, conversation):
    clock = conversation.updated_at
    messages = [
        Message(
            conversation=conversation,
            sender=bob if n < MAX_UNREAD_SCANNED else alice,
            message_body="Hello",
            sent_at=clock + timedelta(microseconds=n + 1),
            updated_at=clock + timedelta(microseconds=n + 1),
        )
        for n in range(MAX_UNREAD_SCANNED + 1)
    ]
    Message.objects.bulk_create(messages)
    # Alice's message comes after 1,000 of Bob's own.
    assert get_read_states(bob, [conversation.pk])[conversation.pk].unread_count == 0
    Message.objects.filter(pk=messages[0].pk).delete()
    assert get_read_states(bob, [conversation.pk])[conversation.pk].unread_count == 1


def test_local_memory_holds_at_most_64_mib_of_pages():
    entries = {
        alias: cache["OPTIONS"]["MAX_ENTRIES"]
        for alias, cache in settings.LOCAL_CACHES.items()
        if alias != "throttles"
    }
    assert set(entries) == set(MAX_BYTES)
    assert sum(entries[alias] * MAX_BYTES[alias] for alias in entries) <= 64 * MIB


@pytest.mark.django_db(transaction=True)
def test_others_write_between_the_chunks_of_a_deletion(alice, carol, monkeypatch):
    monkeypatch.setattr("chats.models.CONVERSATIONS_PER_TRANSACTION", 2)
    for _ in range(5):
        start({carol.pk}, actor=alice)
    left, commits = [], []

    def record(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith('UPDATE "chats_conversation"'):
            left.append((result.rowcount, len(commits)))
            transaction.on_commit(lambda: commits.append(True))
        return result

    with connection.execute_wrapper(record):
        carol.delete()
    assert left == [(2, 0), (2, 1), (1, 2)]
    assert not User.objects.filter(pk=carol.pk).exists()
    assert Conversation.objects.for_user(alice).count() == 5


def test_clocks_are_moved_in_statements_of_a_bounded_size(alice, bob, monkeypatch):
    monkeypatch.setattr("chats.clock.KEYS_PER_QUERY", 2)
    for _ in range(5):
        start({bob.pk}, actor=alice)
    with CaptureQueriesContext(connection) as queries:
        assert len(move_clocks(Conversation.objects.for_user(alice))) == 5
    updates = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert len(updates) == 3


@pytest.mark.parametrize(
    "path",
    [
        "/api/conversations/{pk}/messages/?",
        "/api/messages/?",
        "/api/messages/?conversation={pk}&",
    ],
)
def test_a_page_reads_one_row_more_than_it_shows(api, alice, conversation, path):
    """The row more says whether there is a next page."""
    for n in range(5):
        send(conversation, f"{n}", actor=alice)
    with CaptureQueriesContext(connection) as queries:
        response = api(alice).get(f"{path.format(pk=conversation.pk)}page_size=2")
    assert [row["message_body"] for row in response.json()["results"]] == ["4", "3"]
    [sql] = [query["sql"] for query in queries if '"chats_message"."message_body"' in query["sql"]]
    assert sql.endswith("LIMIT 3")


@pytest.mark.parametrize(("ordering", "bound"), [("-sent_at", "<"), ("sent_at", ">")])
def test_a_later_page_starts_in_the_index_at_its_cursor(api, alice, conversation, ordering, bound):
    """So a page far from the start costs no more than the first one."""
    for n in range(3):
        send(conversation, f"{n}", actor=alice)
    path = f"/api/conversations/{conversation.pk}/messages/"
    first = api(alice).get(path, {"page_size": 1, "ordering": ordering}).json()
    with CaptureQueriesContext(connection) as queries:
        assert api(alice).get(first["next"]).status_code == 200
    [sql] = [query["sql"] for query in queries if 'FROM "chats_message"' in query["sql"]]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # It would scan the whole table, because that is so small.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN (COSTS OFF) {sql}")
            condition = f" AND (sent_at {bound}= "
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            condition = f" AND sent_at{bound}?)"
        plan = [str(row[-1]) for row in cursor.fetchall()]
    conditions = [line for line in plan if "Index Cond" in line or "USING INDEX" in line]
    # PostgreSQL needs the redundant condition for it. SQLite finds the bound without it.
    assert [condition in line for line in conditions if "sent_at" in line] == [True], plan
