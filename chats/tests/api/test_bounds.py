"""What a request, a long change and the cache cost at most."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chats.clock import move_clocks
from chats.models import Conversation, User
from chats.services import send, start
from chats.statements import get_read_states
from chats.tests.support.rows import import_messages
from messaging_app.backends.cache import LocMemCache, get_size
from messaging_app.conf.caches import LOCAL_CACHES

MIB = 1024 * 1024


@pytest.mark.parametrize(("own", "expected"), [(498, 1), (499, 100)])
def test_unread_count_is_100_if_500_messages_follow(alice, bob, conversation, own, expected):
    import_messages(conversation, bob, own)
    import_messages(conversation, alice, 1)
    states = get_read_states(bob, [conversation.pk])
    assert states[conversation.pk].unread_count == expected


def test_deleted_messages_do_not_hide_unread_ones(alice, bob, conversation):
    import_messages(conversation, alice, 1_000, message_body="")
    import_messages(conversation, alice, 5)
    assert get_read_states(bob, [conversation.pk])[conversation.pk].unread_count == 5


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL plans by size")
def test_unread_count_is_read_from_an_index(bob, conversation):
    with CaptureQueriesContext(connection) as queries:
        get_read_states(bob, [conversation.pk])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {queries[0]['sql']}")
        plan = [row[-1] for row in cursor.fetchall()]
    assert [step for step in plan if "message USING INDEX message_not_deleted" in step]


def test_local_memory_holds_at_most_32_mib_of_pages():
    assert LOCAL_CACHES["default"]["MAX_BYTES"] == 32 * MIB
    cache = LocMemCache("test_bounds", {"MAX_BYTES": 20_000})
    for n in range(100):
        cache.set(f"{n}", "x" * 1_000)
        cache.set(f"{n}", "x" * (1_000 + n))
        cache.get("0")
    sizes = [get_size(key, value) for key, value in cache._cache.items()]
    assert 18_000 < sum(sizes) <= 20_000
    assert cache.used_bytes["test_bounds"] == sum(sizes)
    # The entry that was used last, and the latest ones.
    assert [cache.has_key(f"{n}") for n in (0, 1, 99)] == [True, False, True]
    cache.set("large", "x" * 30_000)
    assert not cache._cache
    cache.set("small", 1)
    cache.delete("small")
    assert cache.used_bytes["test_bounds"] == 0


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


@pytest.mark.django_db(transaction=True)
class TestDeletionOfAConversation:
    """It deletes the messages in chunks, and others write in between."""

    @pytest.fixture(autouse=True)
    def deleted(self, conversation, bob, monkeypatch):
        """The number of messages that each transaction has deleted."""
        monkeypatch.setattr("chats.models.MESSAGES_PER_TRANSACTION", 2)
        import_messages(conversation, bob, 5)
        deleted = [0]

        def record(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith('DELETE FROM "chats_message"'):
                deleted[-1] += result.rowcount
                transaction.on_commit(lambda: deleted.append(0))
            return result

        with connection.execute_wrapper(record):
            yield deleted
        assert not Conversation.objects.exists()
        assert [number for number in deleted if number] == [2, 2, 1]

    def test_in_a_shell(self, conversation):
        conversation.delete()

    def test_by_a_queryset(self):
        Conversation.objects.all().delete()

    def test_in_the_admin(self, client, conversation):
        client.force_login(User.objects.create_superuser("root@example.com"))
        client.post(f"/admin/chats/conversation/{conversation.pk}/delete/", {"post": "yes"})

    def test_by_an_action(self, client, conversation):
        client.force_login(User.objects.create_superuser("root@example.com"))
        body = {"action": "delete_selected", "_selected_action": conversation.pk, "post": "yes"}
        client.post("/admin/chats/conversation/", body)
