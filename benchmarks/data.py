"""What is measured on: long conversations, people with many, and one with ten old messages."""

import uuid
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from tqdm import tqdm

from chats.models import Conversation, Message, User
from chats.serializers import MESSAGE_BODY_MAX_CHARACTERS

PASSWORD = "tide over the moor"  # noqa: S105
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2020, 12, 31, tzinfo=UTC)
CONVERSATION_COUNTS = (10, 100, 1_000)
BATCH = 5_000
TEXT = "The room is free in May, and it has a view of the sea. When would you like to come?"


def make(sizes):
    """In an empty database. Every person is called by what they are for: `size.1000@…` has one
    conversation of so many messages, `many.100@…` so many conversations of ten messages,
    `old@…` three conversations with ten messages before all others, `long@…` one of a hundred
    messages that are as long as they may be."""
    with transaction.atomic():
        companions = [make_user(f"companion.{n}") for n in range(3)]
        for size in sizes:
            people = [make_user(f"size.{size}"), *companions]
            make_conversations(people, 1, size, BEGIN + timedelta(days=1), f"{size} messages")
        for count in CONVERSATION_COUNTS:
            people = [make_user(f"many.{count}"), *(make_user(f"{count}.{n}") for n in range(3))]
            begin = BEGIN + timedelta(days=2)
            make_conversations(people, count, 10, begin, f"{count} conversations")
        people = [make_user("old"), *companions]
        make_conversations(people, 2, 3, BEGIN, "old messages")
        make_conversations(people, 1, 4, BEGIN, "old messages")
        text = "x" * (MESSAGE_BODY_MAX_CHARACTERS - len("99. "))
        people = [make_user("long"), *companions]
        make_conversations(people, 1, 100, BEGIN, "long messages", text)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def make_user(name):
    email = f"{name}@example.com"
    if name == "companion.0":
        return User.objects.create_user(email, PASSWORD, first_name="Ann", last_name="Adams")
    return User.objects.create(email=email, first_name="Ann", last_name="Adams", password="!")  # noqa: S106


def forget_sends():
    """What was sent by an earlier run."""
    Message.objects.filter(sent_at__gt=END).delete()


def make_conversations(people, count, size, begin, label, text=TEXT):
    """Messages go to them in turn, a millisecond apart from `begin` on."""
    last = begin + timedelta(milliseconds=count * size)
    conversations = Conversation.objects.bulk_create(
        Conversation(created_at=begin, updated_at=last + timedelta(microseconds=k))
        for k in range(count)
    )
    through = Conversation.participants.through
    through.objects.bulk_create(
        through(conversation=conversation, user=user)
        for conversation in conversations
        for user in people
    )
    batch = []
    for n in tqdm(range(count * size), desc=label, unit=" messages"):
        batch.append(
            Message(
                pk=uuid.uuid4(),
                conversation=conversations[n % count],
                sender=people[n % len(people)],
                message_body=f"{n}. {text}",
                sent_at=begin + timedelta(milliseconds=n),
            )
        )
        if len(batch) == BATCH:
            Message.objects.bulk_create(batch)
            batch = []
    Message.objects.bulk_create(batch)
