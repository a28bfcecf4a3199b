"""Rows that are written and read without the program, which moves no clock."""

from datetime import timedelta

from chats.models import Conversation, Message


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


def read_tables(*models):
    return [list(model._base_manager.order_by("pk").values()) for model in models]


def read_row(row):
    """Its columns, or None if it is gone."""
    return type(row)._base_manager.filter(pk=row.pk).values().first()


def change(row, **columns):
    """As another request does, of which the object in hand knows nothing."""
    type(row)._base_manager.filter(pk=row.pk).update(**columns)


def deactivate(user):
    change(user, is_active=False)
