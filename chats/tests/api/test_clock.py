"""Every write that a reader can see moves the conversation's clock strictly forward."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from chats.models import Conversation, Message, User
from chats.services import (
    add_participant,
    delete,
    delete_for_staff,
    edit,
    mark_as_read,
    remove_participant,
    rename,
    send,
    start,
)


@pytest.fixture
def clock(conversation):
    """`clock()` reads it."""

    def clock(of=conversation):
        return Conversation.objects.values_list("updated_at", flat=True).get(pk=of.pk)

    return clock


FAR_AHEAD = datetime(2099, 12, 31, tzinfo=UTC)


def save_title(conversation):
    conversation.title = "Holiday"
    conversation.save()


WRITES = {
    "send": lambda c, alice, carol: send(c, "Hello", actor=alice),
    "create": lambda c, alice, carol: c.messages.create(sender=alice, message_body="Hello"),
    "save a message": lambda c, alice, carol: Message(
        conversation=c, sender=alice, message_body="Hello"
    ).save(),
    "save it again": lambda c, alice, carol: c.messages.get(message_body="Old").save(),
    "delete a message": lambda c, alice, carol: c.messages.get(message_body="Old").delete(),
    "delete messages": lambda c, alice, carol: c.messages.all().delete(),
    "delete a sender's": lambda c, alice, carol: alice.sent_messages.all().delete(),
    "edit": lambda c, alice, carol: edit(c.messages.get(message_body="Old"), "New", actor=alice),
    "delete": lambda c, alice, carol: delete(c.messages.get(message_body="Old"), actor=alice),
    "delete as staff": lambda c, alice, carol: delete_for_staff(c.messages.get(message_body="Old")),
    "save one column": lambda c, alice, carol: c.messages.get(message_body="Old").save(
        update_fields=["message_body"]
    ),
    "rename": lambda c, alice, carol: rename(c, "Holiday", actor=alice),
    "save a title": lambda c, alice, carol: save_title(c),
    "add_participant": lambda c, alice, carol: add_participant(c, carol.pk, actor=alice),
    "remove_participant": lambda c, alice, carol: remove_participant(
        c, User.objects.get(first_name="Bob").pk, actor=alice
    ),
    "add": lambda c, alice, carol: c.participants.add(carol),
    "remove": lambda c, alice, carol: c.participants.remove(alice),
    "set": lambda c, alice, carol: c.participants.set([alice]),
    "clear": lambda c, alice, carol: c.participants.clear(),
    "add from the user": lambda c, alice, carol: carol.conversations.add(c),
    "remove from the user": lambda c, alice, carol: alice.conversations.remove(c),
    "set from the user": lambda c, alice, carol: carol.conversations.set([c]),
    "clear from the user": lambda c, alice, carol: alice.conversations.clear(),
    "delete a user": lambda c, alice, carol: User.objects.get(first_name="Bob").delete(),
    "delete users": lambda c, alice, carol: User.objects.filter(first_name="Bob").delete(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("start", [None, FAR_AHEAD], ids=["now", "2099"])
def test_every_write_moves_the_clock_forward(alice, carol, conversation, clock, write, start):
    send(conversation, "Old", actor=alice)
    if start:
        Conversation.objects.update(updated_at=start)
    before = clock()
    write(conversation, alice, carol)
    assert clock() > before
    if start:
        # A set() removes and adds.
        assert clock() <= start + timedelta(microseconds=2)


def test_clocks_of_other_conversations_stand_still(alice, bob, carol, conversation, clock):
    other, _ = start({carol.pk}, actor=alice)
    before = clock(other)
    for write in ("send", "delete messages", "remove", "add from the user", "delete users"):
        WRITES[write](conversation, alice, carol)
    assert clock(other) == before


def test_sent_at_of_a_new_message_is_the_clock(alice, conversation, clock):
    for write in ("send", "create", "save a message"):
        WRITES[write](conversation, alice, None)
        assert conversation.messages.order_by("-sent_at").first().sent_at == clock()


TIME = datetime(2019, 5, 1, 9, 30, tzinfo=UTC)
CREATIONS = {
    "create": lambda c, row: Message.objects.create(**row),
    "create in the conversation": lambda c, row: c.messages.create(**row),
    "get_or_create": lambda c, row: Message.objects.get_or_create(pk=uuid4(), defaults=row),
    "update_or_create": lambda c, row: Message.objects.update_or_create(pk=uuid4(), defaults=row),
    "save": lambda c, row: Message(**row).save(),
    "save with a key": lambda c, row: Message(pk=uuid4(), **row).save(force_insert=True),
}


@pytest.mark.parametrize("create", CREATIONS.values(), ids=CREATIONS.keys())
@pytest.mark.parametrize("field", ["sent_at", "updated_at"])
def test_new_message_with_a_time_of_its_own_is_refused(alice, conversation, clock, create, field):
    before = clock()
    row = {"conversation": conversation, "sender": alice, "message_body": "Old", field: TIME}
    with pytest.raises(ValueError, match="import_history"):
        create(conversation, row)
    assert (clock(), Message.objects.exists()) == (before, False)


def test_times_of_a_new_conversation_and_user_are_kept(alice):
    times = {"created_at": TIME, "updated_at": TIME + timedelta(days=1)}
    for create in (
        lambda: Conversation.objects.create(**times),
        lambda: Conversation.objects.get_or_create(pk=uuid4(), defaults=times)[0],
        lambda: Conversation.objects.update_or_create(pk=uuid4(), defaults=times)[0],
    ):
        row = Conversation.objects.get(pk=create().pk)
        assert {name: getattr(row, name) for name in times} == times
    user = User.objects.create_user("old@example.com", created_at=TIME)
    assert User.objects.get(pk=user.pk).created_at == TIME


@pytest.mark.parametrize("fields", [{}, {"update_fields": ["message_body"]}], ids=str)
def test_saved_message_keeps_sent_at_and_moves_updated_at(message, clock, fields):
    before = message.sent_at
    message.message_body = "Edited in a shell"
    message.save(**fields)
    message.refresh_from_db()
    assert (message.sent_at, message.message_body) == (before, "Edited in a shell")
    assert message.updated_at == clock() > before


def test_moved_message_moves_the_clocks_of_both_conversations(
    alice, carol, message, conversation, clock
):
    other, _ = start({carol.pk}, actor=alice)
    before = clock(), clock(other)
    message.conversation = other
    message.save()
    assert (clock() > before[0], clock(other) > before[1]) == (True, True)
    message.refresh_from_db()
    assert message.sent_at == clock(other)


def test_message_of_an_unknown_conversation_is_not_saved(alice, db):
    with pytest.raises(Conversation.DoesNotExist):
        Message(sender=alice, conversation_id=uuid4(), message_body="Hello").save()


def test_saved_conversation_never_moves_the_clock_back(alice, conversation, clock):
    stale = Conversation.objects.get(pk=conversation.pk)
    send(conversation, "Hello", actor=alice)
    current = clock()
    assert stale.updated_at < current
    stale.save()
    assert clock() == current
    stale.save(update_fields=["created_at", "updated_at"])
    stale.save(update_fields=["updated_at"])
    assert clock() == current
    created_at = datetime(2020, 1, 1, tzinfo=UTC)
    stale.created_at = created_at
    stale.save()
    stale.refresh_from_db()
    assert (stale.created_at, stale.updated_at) == (created_at, current)


def test_clock_stands_still_when_nothing_changes(alice, bob, conversation, clock):
    before = clock()
    conversation.participants.add(alice, bob)
    add_participant(conversation, bob.pk, actor=alice)
    remove_participant(conversation, uuid4(), actor=alice)
    alice.conversations.add(conversation)
    conversation.participants.set([alice, bob])
    rename(conversation, "", actor=alice)
    conversation.save()
    mark_as_read(conversation, FAR_AHEAD, actor=alice)
    assert clock() == before
    message, _ = send(conversation, "Hello", actor=alice)
    before = clock()
    edit(message, "Hello", actor=alice)
    assert clock() == before
    delete(message, actor=alice)
    delete_for_staff(message)
    after = clock()
    delete(message, actor=alice)
    assert (clock(), after > before) == (after, True)


def test_failed_write_does_not_move_the_clock(alice, mallory, conversation, clock):
    before = clock()
    with pytest.raises(Conversation.DoesNotExist):
        send(conversation, "Let me in", actor=mallory)
    with pytest.raises(Conversation.DoesNotExist):
        add_participant(conversation, mallory.pk, actor=mallory)
    with pytest.raises(Conversation.DoesNotExist):
        remove_participant(conversation, alice.pk, actor=mallory)
    assert clock() == before
    assert not Message.objects.exists()


def test_bulk_deletion_has_constant_queries(
    alice, bob, conversation, clock, django_assert_max_num_queries
):
    other, _ = start({bob.pk}, actor=alice)
    for touched in (conversation, other):
        for n in range(30):
            send(touched, f"{n}", actor=alice)
    before = clock(), clock(other)
    # Savepoints 4, conversations, lock, move, messages.
    with django_assert_max_num_queries(8):
        Message.objects.all().delete()
    assert (clock() > before[0], clock(other) > before[1]) == (True, True)
    assert not Message.objects.exists()


@pytest.mark.parametrize("field", ["sent_at", "updated_at"])
def test_times_of_messages_are_unique_in_a_conversation(alice, message, field):
    later = message.sent_at + timedelta(seconds=1)
    times = {"sent_at": later, "updated_at": later, field: message.sent_at}
    double = Message(
        conversation=message.conversation, sender=alice, message_body="Another", **times
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.bulk_create([double])


def test_sender_of_a_message_cannot_be_deleted(alice, message, clock):
    before = clock()
    for delete_user in (alice.delete, User.objects.filter(pk=alice.pk).delete):
        with pytest.raises(ProtectedError):
            delete_user()
    assert Message.objects.get() == message
    assert clock() == before


def test_managers_have_no_delete(db):
    for model in (Message, User):
        assert not hasattr(model.objects, "delete")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL compiles plans")
def test_jit_is_off(db):
    """Compiling the statement that moves the clocks of 40,000 conversations took half an hour."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)


@pytest.mark.parametrize("update_fields", [None, ["conversation"]])
def test_message_moved_to_another_conversation_is_its_last(alice, bob, message, update_fields):
    other, _ = start({bob.pk}, actor=alice)
    send(other, "Earlier", actor=alice)
    message.conversation = other
    message.save(update_fields=update_fields)
    other.refresh_from_db()
    message.refresh_from_db()
    assert message.sent_at == message.updated_at == other.updated_at
    assert other.messages.newest_first().first() == message
