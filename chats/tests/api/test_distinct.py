"""What starting a distinct conversation costs, however often somebody has left it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import Conversation
from chats.services import DISTINCT_EXAMINED, leave, start_distinct

CONVERSATIONS = "/api/conversations/"
ROUNDS = 60


@pytest.fixture
def left(alice, bob):
    """The distinct conversations that Alice has started with Bob and left, the oldest first."""
    conversations = []
    for _ in range(ROUNDS):
        conversation, _ = start_distinct({bob.pk}, actor=alice)
        leave(conversation, actor=alice)
        conversations.append(conversation)
    return conversations


def get_statements(call):
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"] for query in queries]


def test_the_start_costs_the_same_after_60_rounds_of_start_and_leave(alice, bob, carol):
    def start_and_leave(other):
        conversation, is_new = start_distinct({other.pk}, actor=alice)
        assert is_new
        leave(conversation, actor=alice)

    first = get_statements(lambda: start_and_leave(bob))
    for _ in range(ROUNDS):
        start_and_leave(bob)
    last = get_statements(lambda: start_and_leave(bob))
    assert len(last) == len(first)
    # The candidates, of which the statement reads no more than these.
    [candidates] = [sql for sql in last if "COUNT(" in sql]
    assert f"LIMIT {DISTINCT_EXAMINED})" in candidates
    assert Conversation.objects.for_user(bob).count() == ROUNDS + 2


@pytest.mark.parametrize("number", [1, DISTINCT_EXAMINED])
def test_exact_conversation_among_the_newest_is_found_from_both_sides(
    api, alice, bob, left, number
):
    exact = left[-number]
    exact.participants.add(alice)
    for caller, other in [(alice, bob), (bob, alice)]:
        body = {"participants": [str(other.pk)], "distinct": True}
        response = api(caller).post(CONVERSATIONS, body)
        assert (response.status_code, response.json()["conversation_id"]) == (200, str(exact.pk))
    assert Conversation.objects.count() == ROUNDS


def test_conversation_beyond_the_newest_is_not_found(alice, bob, left):
    left[-DISTINCT_EXAMINED - 1].participants.add(alice)
    conversation, is_new = start_distinct({bob.pk}, actor=alice)
    assert is_new
    assert conversation not in left


def test_older_of_two_exact_conversations_is_found(alice, bob, left):
    """So that everybody gets the same one."""
    for conversation in left[-2:]:
        conversation.participants.add(alice)
    assert start_distinct({bob.pk}, actor=alice) == (left[-2], False)
    assert start_distinct({alice.pk}, actor=bob) == (left[-2], False)


def test_racing_distinct_starts_get_the_same_conversation(alice, bob):
    """Bob's request is through between Alice's search and her insertion."""
    first = []

    def start_as_bob(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if "COUNT(" in sql and not first:
            first.append(None)
            first[0] = start_distinct({alice.pk}, actor=bob, title="Bob's")
        return result

    with connection.execute_wrapper(start_as_bob):
        found = start_distinct({bob.pk}, actor=alice, title="Alice's")
    [(conversation, is_new)] = first
    assert (is_new, found) == (True, (conversation, False))
    assert Conversation.objects.get().title == "Bob's"


def test_distinct_conversation_has_no_title_by_default(alice, bob):
    assert start_distinct({bob.pk}, actor=alice)[0].title == ""
