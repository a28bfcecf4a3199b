"""Statements that are too frequent, or too large, for the ORM to build them each time.

| statement                       | processor time, relative to the ORM |
|---------------------------------|-------------------------------------|
| the caller                      | 0.2                                 |
| a conversation of the caller    | 0.15                                |
| the move of its clock           | 0.1                                 |
| the inbox's rows, not built     | 0.15                                |
| clocks of 16,000 conversations  | 0.1                                 |

All but the read states are compiled once from a queryset. Who takes part is written in
`for_user()` alone.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from chats.clock import get_next_value
from chats.events.announcements import announce
from chats.models import Conversation, Participation, User
from messaging_app.backends import PREPARED

MAX_UNREAD_COUNT = 100
# At most this many messages after `read_at` are examined. If there are as many, the user's own
# among them, the number is MAX_UNREAD_COUNT: it is never too low.
MAX_UNREAD_SCANNED = 500

ANY_KEY = UUID(int=0)
CONVERSATION_ID, READ_AT = map(Participation._meta.get_field, ["conversation", "read_at"])
Row = Sequence[Any]


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
def compile_clock_update() -> str:
    conversations = Conversation.objects.for_user(ANY_KEY).filter(pk=ANY_KEY).values("pk")
    return f"""
        UPDATE chats_conversation SET updated_at = %s
        WHERE conversation_id IN ({get_sql(conversations)})
    """  # noqa: S608


@cache
def compile_inbox() -> str:
    conversations = Conversation.objects.as_seen_by(ANY_KEY).latest_activity_first()
    # SQLite would count the participants of all the user's conversations, before it sorts them.
    return f"""
        SELECT page.*, (
            SELECT count(*) FROM chats_conversation_participants participant
            WHERE participant.conversation_id = page.conversation_id
        )
        FROM ({get_sql(conversations)} LIMIT %s) page
        ORDER BY page.updated_at DESC, page.conversation_id DESC
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
    SELECT participant.conversation_id, participant.read_at, (
        SELECT CASE count(*) WHEN %s THEN %s ELSE count(nullif(sender_id, participant.user_id)) END
        FROM (
            SELECT message.sender_id FROM chats_message message {index}
            WHERE message.conversation_id = participant.conversation_id
            AND message.sent_at > participant.read_at
            AND NOT (message.message_body = '')
            ORDER BY message.sent_at LIMIT %s
        ) scanned
    ) AS unread_count
    FROM chats_conversation_participants participant
    WHERE participant.user_id = %s AND participant.conversation_id IN ({keys})
"""


class ReadState(NamedTuple):
    read_at: datetime
    unread_count: int


class Clocks(NamedTuple):
    """The clocks of a user's conversations: their number, and a digest."""

    number: int
    # Changes whenever one of the clocks does, or the user joins or leaves a conversation.
    digest: str


def get_sql(queryset: QuerySet) -> str:
    """The SQL of the queryset, with a placeholder for each key in the order of the filters."""
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
    conversation.loaded_for = user
    return conversation


def get_one(model: Any, sql: str, *keys: UUID) -> Any:
    rows = fetch(sql, get_parameters(*keys))
    if not rows:
        raise model.DoesNotExist
    return build(model, rows[0])


def fetch(sql: str, parameters: list) -> list[Row]:
    """The rows as the database driver returns them."""
    with connection.cursor() as cursor:
        cursor.execute(PREPARED + sql, parameters)
        return cursor.fetchall()


def build(model: Any, row: Row) -> Any:
    """The model instance of a row with all columns of its table, as `raw()` makes it."""
    fields = model._meta.concrete_fields
    names = [field.attname for field in fields]
    return model.from_db(connection.alias, names, convert(row, *fields))


def convert(row: Row, *fields: Any) -> list:
    """The values of the fields: SQLite returns text for a datetime, for example."""
    values = list(row)
    for position, converter, column in get_converters(*fields):
        values[position] = converter(values[position], column, connection)
    return values


@cache
def get_converters(*fields: Any) -> list[tuple[int, Callable, Any]]:
    columns = [field.get_col(field.model._meta.db_table) for field in fields]
    return [
        (position, converter, column)
        for position, column in enumerate(columns)
        for converter in (
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        )
    ]


def get_inbox_rows(user: User, count: int) -> list[Row]:
    """The first rows of the user's list of conversations, for build_inbox()."""
    return fetch(compile_inbox(), [*get_parameters(user.pk), count])


def build_inbox(rows: list[Row]) -> list[Conversation]:
    """What `as_seen_by(user).with_participant_count()` returns."""
    conversations = []
    for *columns, read_at, participant_count in rows:
        conversation = build(Conversation, columns)
        [conversation.read_at] = convert([read_at], READ_AT)
        conversation.participant_count = participant_count
        conversations.append(conversation)
    return conversations


def move_clock(conversation: Conversation, user: User) -> datetime:
    """Move the clock of a locked conversation and return it.

    Checks the membership again, now that the row is locked: after waiting for a lock, PostgreSQL
    reads the locked row again, but not joined rows such as the participation. Raises
    Conversation.DoesNotExist.
    """
    updated_at = get_next_value(conversation.updated_at, timezone.now())
    clock = Conversation._meta.get_field("updated_at").get_db_prep_value(updated_at, connection)
    with connection.cursor() as cursor:
        parameters = [clock, *get_parameters(user.pk, conversation.pk)]
        cursor.execute(PREPARED + compile_clock_update(), parameters)
        if not cursor.rowcount:
            raise Conversation.DoesNotExist
    announce([conversation.pk])
    return updated_at


def get_read_states(user: User, conversation_ids: Collection[UUID]) -> dict[UUID, ReadState]:
    """Returns `{conversation_id: ReadState}`. Conversations in which the user does not take part
    are left out."""
    keys = ", ".join(["%s"] * len(conversation_ids))
    # By its statistics, SQLite prefers an index that makes it read the whole messages.
    index = "INDEXED BY message_not_deleted" if connection.vendor == "sqlite" else ""
    limits = [MAX_UNREAD_SCANNED, MAX_UNREAD_COUNT, MAX_UNREAD_SCANNED]
    parameters = [*limits, *get_parameters(user.pk, *conversation_ids)]
    states = {}
    for *columns, unread_count in fetch(READ_STATES.format(keys=keys, index=index), parameters):
        conversation_id, read_at = convert(columns, CONVERSATION_ID, READ_AT)
        states[conversation_id] = ReadState(read_at, min(unread_count, MAX_UNREAD_COUNT))
    return states


def get_clocks(user: User) -> Clocks:
    [(number, digest)] = fetch(compile_clocks(), get_parameters(user.pk))
    return Clocks(number, digest or "")
