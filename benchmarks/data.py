"""The data to measure on: an inbox, long conversations, people with many conversations, and one
with ten old messages."""

from datetime import UTC, datetime, timedelta

from django.db import transaction

from chats.management.commands.make_data import (
    analyze,
    insert,
    make_conversations,
    make_people,
    mark_everything_as_read,
    move_clocks_to_last_messages,
)
from chats.models import Message, Participation, User
from chats.serializers import MESSAGE_BODY_MAX_CHARACTERS

PASSWORD = "tide over the moor"  # noqa: S105
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2020, 12, 31, tzinfo=UTC)
INBOX_CONVERSATIONS = 40
CONVERSATION_COUNTS = (10, 100, 1_000)
TEXT = "The room is free in May, and it has a view of the sea. When would you like to come?"


def make(sizes):
    """Fill an empty database. A person's name says what they are for: `inbox@…` has 40
    conversations of `sizes[0]` messages, some of them unread; `size.1000@…` has one conversation of
    1,000 messages, `many.100@…` 100 conversations of ten messages, `old@…` three conversations with
    ten messages older than all others, `long@…` one conversation of 100 messages of the greatest
    length."""
    with transaction.atomic():
        companions = [make_companion(), *make_users("companion.1", "companion.2")]
        for size in sizes:
            make_history([*make_users(f"size.{size}"), *companions], 1, size, timedelta(days=1))
        for count in CONVERSATION_COUNTS:
            people = make_users(f"many.{count}", *(f"{count}.{n}" for n in range(3)))
            make_history(people, count, 10, timedelta(days=2))
        people = [*make_users("old"), *companions]
        make_history(people, 2, 3)
        make_history(people, 1, 4)
        text = "x" * (MESSAGE_BODY_MAX_CHARACTERS - len("99. "))
        make_history([*make_users("long"), *companions], 1, 100, text=text)
        people = make_users("inbox", *(f"inbox.companion.{n}" for n in range(3)))
        after = timedelta(days=3)
        conversations = make_history(people, INBOX_CONVERSATIONS, sizes[0], after)
        move_clocks_to_last_messages()
        mark_everything_as_read()
        mark_some_as_unread(people[0], conversations, sizes[0], BEGIN + after)
    analyze()


def make_companion():
    """The one who can sign in."""
    email = "companion.0@example.com"
    return User.objects.create_user(email, PASSWORD, first_name="Ann", last_name="Adams")


def make_users(*names):
    return make_people(
        User(email=f"{name}@example.com", first_name="Ann", last_name="Adams") for name in names
    )


def make_history(people, count, size, after=timedelta(0), text=TEXT):
    """`count` conversations of `size` messages, which go to them in turn, a millisecond apart."""
    begin = BEGIN + after
    conversations = make_conversations([people] * count, begin)
    messages = (
        Message(
            conversation=conversations[n % count],
            sender=people[n // count % len(people)],
            message_body=f"{n}. {text}",
            sent_at=begin + timedelta(milliseconds=n),
            updated_at=begin + timedelta(milliseconds=n),
        )
        for n in range(count * size)
    )
    insert(messages, count * size)
    return conversations


def mark_some_as_unread(user, conversations, size, begin):
    """In a quarter of the conversations, the last 13 messages."""
    read_at = begin + timedelta(milliseconds=len(conversations) * (size - 13) - 1)
    participations = Participation.objects.filter(user=user, conversation__in=conversations[::4])
    participations.update(read_at=read_at)


def forget_sends():
    """Delete what an earlier run has sent."""
    Message.objects.filter(sent_at__gt=END).delete()
