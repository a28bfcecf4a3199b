"""Statements that are too frequent, or too large, for the ORM to build them each time.

| statement                       | processor time, relative to the ORM |
|---------------------------------|-------------------------------------|
| the caller                      | 0.5                                 |
| a conversation of the caller    | 0.3                                 |
| the move of its clock           | 0.1                                 |
| read states of 20 conversations | 0.35                                |
| clocks of 16,000 conversations  | 0.1                                 |

Each is compiled once, from `for_user()` where it reads the caller's rows: who takes part is
written there alone.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from chats.clock import get_next_value
from chats.models import Conversation, Participation, User

MAX_UNREAD_COUNT = 100
# At most this many messages after `read_at` are examined; own and deleted ones among them do not
# count as unread.
MAX_UNREAD_SCANNED = 1_000

ANY_KEY = UUID(int=0)


@cache
def compile_user() -> str:
    return get_sql(User.objects.filter(pk=ANY_KEY))


@cache
def compile_conversation(lock: bool) -> str:
    conversations = Conversation.objects.for_user(ANY_KEY).filter(pk=ANY_KEY)
    if lock:
        conversations = conversations.select_for_update(no_key=True, of=("self",))
    return get_sql(conversations)


@cache
def compile_move() -> str:
    conversations = Conversation.objects.for_user(ANY_KEY).filter(pk=ANY_KEY).values("pk")
    return f"""
        UPDATE chats_conversation SET updated_at = %s
        WHERE conversation_id IN ({get_sql(conversations)})
    """  # noqa: S608


@cache
def compile_clocks() -> str:
    conversations = Conversation.objects.for_user(ANY_KEY).order_by("pk")
    clocks = get_sql(conversations.values("conversation_id", "updated_at"))
    digest = {
        "sqlite": "group_concat(conversation_id || updated_at)",
        "postgresql": "md5(string_agg(conversation_id::text || updated_at::text, ','))",
    }[connection.vendor]
    return f"SELECT count(*), {digest} FROM ({clocks}) clocks"  # noqa: S608


READ_STATES = """
    SELECT {columns}, (
        SELECT count(*) FROM (
            SELECT 1 FROM (
                SELECT sender_id, message_body FROM chats_message message
                WHERE message.conversation_id = participant.conversation_id
                AND message.sent_at > participant.read_at
                ORDER BY message.sent_at LIMIT %s
            ) scanned
            WHERE sender_id <> participant.user_id AND message_body <> '' LIMIT %s
        ) unread
    ) AS unread_count
    FROM chats_conversation_participants participant
    WHERE participant.user_id = %s AND participant.conversation_id IN ({keys})
"""


class ReadState(NamedTuple):
    read_at: datetime
    unread_count: int


class Clocks(NamedTuple):
    """Those of all conversations of a user."""

    conversations: int
    # Changes whenever one of the clocks does, or the user joins or leaves a conversation.
    digest: str


def get_sql(queryset: QuerySet) -> str:
    """With a placeholder for each key, in the order of the filters."""
    sql, _ = queryset.query.sql_with_params()
    return sql


def get_parameters(*keys: UUID) -> list:
    return [User._meta.pk.get_db_prep_value(key, connection) for key in keys]


def get_user(user_id: str) -> User:
    """`User.objects.get(pk=user_id)`, for a user_id in a string. Raises User.DoesNotExist."""
    return get_one(User, compile_user(), UUID(user_id))


def get_conversation(user: User, conversation_id: UUID, lock: bool = False) -> Conversation:
    """`Conversation.objects.for_user(user).get(pk=conversation_id)`, locked if asked for.

    Raises Conversation.DoesNotExist.
    """
    sql = compile_conversation(lock)
    conversation = get_one(Conversation, sql, user.pk, conversation_id)
    conversation.seen_by = user
    return conversation


def get_one(model: Any, sql: str, *keys: UUID) -> Any:
    rows = list(model.objects.raw(sql, get_parameters(*keys)))
    if not rows:
        raise model.DoesNotExist
    return rows[0]


def move_clock(conversation: Conversation, user: User) -> datetime:
    """Move the clock of a locked conversation and return it.

    Checks the membership again, now that the row is locked: when a wait for a lock is over,
    PostgreSQL reads the locked row again, but not the rows joined to it. Raises
    Conversation.DoesNotExist.
    """
    updated_at = get_next_value(conversation.updated_at, timezone.now())
    clock = Conversation._meta.get_field("updated_at").get_db_prep_value(updated_at, connection)
    with connection.cursor() as cursor:
        cursor.execute(compile_move(), [clock, *get_parameters(user.pk, conversation.pk)])
        if not cursor.rowcount:
            raise Conversation.DoesNotExist
    return updated_at


def get_read_states(user: User, conversation_ids: Collection[UUID]) -> dict[UUID, ReadState]:
    """Returns `{conversation_id: ReadState}`. Conversations in which the user does not take part
    are left out."""
    columns = ", ".join(f"participant.{field.column}" for field in Participation._meta.fields)
    keys = ", ".join(["%s"] * len(conversation_ids))
    limits = [MAX_UNREAD_SCANNED, MAX_UNREAD_COUNT]
    rows: Any = Participation.objects.raw(
        READ_STATES.format(columns=columns, keys=keys),
        [*limits, *get_parameters(user.pk, *conversation_ids)],
    )
    return {row.conversation_id: ReadState(row.read_at, row.unread_count) for row in rows}


def get_clocks(user: User) -> Clocks:
    with connection.cursor() as cursor:
        cursor.execute(compile_clocks(), get_parameters(user.pk))
        return Clocks(*cursor.fetchone())
