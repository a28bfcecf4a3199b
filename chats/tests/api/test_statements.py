"""The compiled statements find what the ORM finds, and `for_user()` says who takes part."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection, transaction

from chats.models import Conversation, Participation, User
from chats.services import leave, send, start
from chats.statements import (
    build_inbox,
    get_clocks,
    get_conversation,
    get_inbox_rows,
    get_read_states,
    get_user,
    move_clock,
)
from messaging_app.backends import PREPARED


@pytest.fixture(params=["participant", "former participant", "outsider"])
def user(request, alice, bob, mallory, conversation):
    """Alice takes part in three conversations, Bob has left one of them."""
    others = [start({bob.pk}, actor=alice)[0] for _ in range(2)]
    send(others[0], "Hello, Bob", actor=alice)
    leave(conversation, actor=bob)
    return {"participant": alice, "former participant": bob, "outsider": mallory}[request.param]


def get_columns(row):
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.parametrize("lock", [False, True])
def test_conversation_is_found_by_its_participants_only(user, lock):
    expected = set(Conversation.objects.for_user(user))
    found = set()
    for conversation in Conversation.objects.all():
        try:
            with transaction.atomic():
                row = get_conversation(user, conversation.pk, lock=lock)
        except Conversation.DoesNotExist:
            continue
        found.add(row)
        assert get_columns(row) == get_columns(conversation)
        assert row.has_participant(user)
    assert found == expected


def test_clock_is_moved_by_participants_only(user):
    expected = set(Conversation.objects.for_user(user))
    before = dict(Conversation.objects.values_list("pk", "updated_at"))
    moved = set()
    for conversation in Conversation.objects.all():
        try:
            clock = move_clock(conversation, user)
        except Conversation.DoesNotExist:
            clock = before[conversation.pk]
        else:
            moved.add(conversation)
            assert clock > before[conversation.pk]
        conversation.refresh_from_db()
        assert conversation.updated_at == clock
    assert moved == expected


def test_clocks_are_of_the_conversations_of_the_user(user, alice):
    def read():
        clocks = get_clocks(user)
        assert clocks.number == Conversation.objects.for_user(user).count()
        return clocks.digest

    for conversation in Conversation.objects.all():
        before = read()
        send(conversation, "News", actor=alice)
        takes_part = conversation in Conversation.objects.for_user(user)
        assert (read() != before) == takes_part


def test_the_digest_tells_conversations_with_equal_clocks_apart(alice, bob, conversation):
    other, _ = start({bob.pk}, actor=bob)
    Conversation.objects.update(updated_at=conversation.updated_at)
    before = get_clocks(alice)
    Participation.objects.filter(user=alice).update(conversation=other)
    after = get_clocks(alice)
    assert (after.number, after.digest != before.digest) == (1, True)


def test_read_states_are_of_the_conversations_of_the_user(user):
    ids = list(Conversation.objects.values_list("pk", flat=True))
    participations = Participation.objects.filter(conversation__in=ids, user=user)
    states = get_read_states(user, ids)
    assert set(states) == {row.pk for row in Conversation.objects.for_user(user)}
    assert {pk: state.read_at for pk, state in states.items()} == {
        row.conversation_id: row.read_at for row in participations
    }


def test_a_user_is_found_by_their_id(alice, bob):
    for user in (alice, bob):
        assert get_columns(get_user(str(user.pk))) == get_columns(User.objects.get(pk=user.pk))
    with pytest.raises(User.DoesNotExist):
        get_user(str(uuid4()))


def test_deleted_user_takes_part_in_nothing(conversation, db):
    nobody = SimpleNamespace(pk=uuid4())
    with pytest.raises(Conversation.DoesNotExist):
        get_conversation(nobody, conversation.pk)
    assert get_clocks(nobody).number == 0
    assert get_read_states(nobody, [conversation.pk]) == {}


@pytest.mark.parametrize("count", [1, 2, 50])
def test_inbox_is_what_the_orm_returns(user, count):
    expected = Conversation.objects.as_seen_by(user).latest_activity_first()[:count]
    found = build_inbox(get_inbox_rows(user, count))
    assert [get_columns(row) | {"read_at": row.read_at} for row in found] == [
        get_columns(row) | {"read_at": row.read_at} for row in expected
    ]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite plans each statement anew.")
@pytest.mark.skipif(settings.DATABASE_POOLER, reason="Behind a pooler nothing is prepared.")
def test_postgres_plans_pages_anew_each_time(api, alice, conversation):
    """With a plan for an average conversation, a page of a long one reads its whole history."""
    client = api(alice)
    path = f"/api/conversations/{conversation.pk}/messages/"
    for n in range(8):
        for parameters in ({}, {"sent_at_after": f"2026-01-0{n + 1}T00:00:00Z"}):
            assert client.get(path, parameters).status_code == 200
            assert client.get("/api/messages/", parameters).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        prepared = [statement for (statement,) in cursor.fetchall()]
    assert prepared
    assert all(statement.startswith(PREPARED) for statement in prepared)
