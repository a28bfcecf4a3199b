"""What a user has written, as lines of JSON that end with a checksum."""

import logging
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from itertools import chain
from uuid import UUID

import orjson
from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet
from rest_framework.exceptions import Throttled

from chats.accounts.serializers import ProfileSerializer
from chats.events.slots import get_slots
from chats.models import Conversation, Message, Participation, User, prefetch_participants
from chats.serializers import serialize

logger = logging.getLogger(__name__)

IN_PROGRESS = "Another export of yours is in progress."
RETRY_AFTER_SECONDS = 5
# A part ends with the line that exceeds this.
PART_BYTES = 128 * 1024
# No index has the messages of a sender in the order of their keys, so each query for keys may read
# all of these messages. So many keys take 2 MB.
KEYS_PER_QUERY = 20_000
MESSAGES_PER_QUERY = 500
# Each has up to MAX_PARTICIPANTS.
CONVERSATIONS_PER_QUERY = 10
CONVERSATION_FIELDS = ["conversation_id", "title", "created_at", "participants", "read_at"]
MESSAGE_FIELDS = ["message_id", "conversation", "message_body", "sent_at", "updated_at"]


def start_export(user: User) -> Generator[bytes]:
    """The parts of the export, each of which is read when it is asked for. They end without a last
    line if the user is deactivated or erased, or the database is not available.

    Raises Throttled while another export of the user is in progress on this machine.
    """
    parts = hold_slot(user)
    # Takes the slot. From now on, it is released when the iterator is closed or dropped.
    next(parts)
    return parts


def hold_slot(user: User) -> Generator[bytes]:
    slots = get_slots()
    slot = slots.take_for_export(user.pk)
    if slot is None:
        raise Throttled(RETRY_AFTER_SECONDS, IN_PROGRESS)
    try:
        yield b""
        yield from read_parts(user)
    except (OperationalError, InterfaceError) as error:
        logger.warning("An export has ended early: %s", error)
    finally:
        slots.release(slot)


def read_parts(user: User) -> Iterator[bytes]:
    digest, number = sha256(), 0
    profile = to_line("profile", user, ProfileSerializer.Meta.fields)
    for lines in chain([[profile]], read_conversations(user), read_messages(user)):
        if not User.objects.active().filter(pk=user.pk).exists():
            return
        part = b"".join(lines)
        digest.update(part)
        number += len(lines)
        yield part
    end = {"type": "end", "lines": number, "sha256": digest.hexdigest()}
    yield orjson.dumps(end, option=orjson.OPT_APPEND_NEWLINE)


def read_conversations(user: User) -> Iterator[list[bytes]]:
    participations = Participation.objects.filter(user=user).order_by("conversation_id")
    conversations = Conversation.objects.as_seen_by(user).prefetch_related(prefetch_participants())

    def read_lines(keys: list[UUID]) -> tuple[list[bytes], int]:
        rows = conversations.filter(pk__in=keys).order_by("pk")
        return get_lines("conversation", rows, CONVERSATION_FIELDS, keys)

    return read_all(participations, "conversation_id", read_lines, CONVERSATIONS_PER_QUERY)


def read_messages(user: User) -> Iterator[list[bytes]]:
    messages = Message.objects.filter(sender=user).order_by("pk")
    # Without the sender: SQLite would read all of their messages.
    shown = Message.objects.only("conversation", "message_body", "sent_at", "updated_at")

    def read_lines(keys: list[UUID]) -> tuple[list[bytes], int]:
        rows = shown.filter(pk__in=keys).order_by("pk")
        return get_lines("message", rows, MESSAGE_FIELDS, keys)

    return read_all(messages, "message_id", read_lines, MESSAGES_PER_QUERY)


def read_all(
    rows: QuerySet,
    field: str,
    read_lines: Callable[[list[UUID]], tuple[list[bytes], int]],
    max_count: int,
) -> Iterator[list[bytes]]:
    """The lines of the rows, which are ordered by `field`. `read_lines(keys)` returns those of the
    first keys, and how many keys these are."""
    last, count = UUID(int=0), max_count
    after = rows.values_list(field, flat=True)
    while keys := list(after.filter(**{f"{field}__gt": last})[:KEYS_PER_QUERY]):
        last, position = keys[-1], 0
        while position < len(keys):
            lines, used = read_lines(keys[position : position + count])
            position += used
            # Of long rows, fewer than `max_count` are a part. Do not read many more than that.
            count = min(max_count, 2 * used)
            if lines:
                yield lines


def get_lines(
    kind: str, rows: QuerySet, fields: list[str], keys: list[UUID]
) -> tuple[list[bytes], int]:
    """The lines of the rows with these keys, up to PART_BYTES, and how many of the keys these are.
    A row may be gone."""
    lines, size = [], 0
    for row in rows:
        lines.append(to_line(kind, row, fields))
        size += len(lines[-1])
        if size > PART_BYTES:
            return lines, bisect_right(keys, row.pk)
    return lines, len(keys)


def to_line(kind: str, row: object, fields: list[str]) -> bytes:
    line = {"type": kind, **serialize(row, fields)}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
