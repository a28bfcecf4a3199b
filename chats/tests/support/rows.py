"""Rows that are written and read without the program, which moves no clock."""

from datetime import UTC, datetime, timedelta

from django.contrib.admin.models import LogEntry

from chats.models import Conversation, Message, Participation
from messaging_app.admin import READING

START = datetime(2026, 1, 1, tzinfo=UTC)


def import_messages(conversation, sender, count, start=None, message_body="Hello"):
    """As an import tool writes them, a microsecond apart: from `start`, or after the clock, which
    is then moved to the last of them."""
    start = start or conversation.updated_at + timedelta(microseconds=1)
    moments = [start + timedelta(microseconds=n) for n in range(count)]
    messages = Message.objects.bulk_create(
        Message(
            conversation=conversation,
            sender=sender,
            message_body=message_body,
            sent_at=moment,
            updated_at=moment,
        )
        for moment in moments
    )
    clock = max([conversation.updated_at, *moments])
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=clock)
    conversation.refresh_from_db()
    return messages


def import_conversations(count, *people, message_body=None):
    """All of one moment, each with a message of the last person if there is a text."""
    conversations = Conversation.objects.bulk_create(
        Conversation(created_at=START, updated_at=START) for _ in range(count)
    )
    Participation.objects.bulk_create(
        Participation(conversation=conversation, user=user, read_at=START)
        for conversation in conversations
        for user in people
    )
    if message_body:
        Message.objects.bulk_create(
            Message(
                conversation=conversation,
                sender=people[-1],
                message_body=message_body,
                sent_at=START,
                updated_at=START,
            )
            for conversation in conversations
        )
    return conversations


def get_changes():
    """The log of staff, without what they only read."""
    return LogEntry.objects.exclude(action_flag=READING)


def read_tables(*models):
    """Of the log of staff, only what they changed."""
    tables = [get_changes() if model is LogEntry else model._base_manager.all() for model in models]
    return [list(table.order_by("pk").values()) for table in tables]


def read_row(row):
    """Its columns, or None if it is gone."""
    return type(row)._base_manager.filter(pk=row.pk).values().first()


def change(row, **columns):
    """As another request does, of which the object in hand knows nothing."""
    type(row)._base_manager.filter(pk=row.pk).update(**columns)


def deactivate(user):
    change(user, is_active=False)
