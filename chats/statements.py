"""Statements written in SQL.

The ORM takes longer to build them than the database to run them. USER_BY_ID runs in every
authenticated request: a poll takes 580 µs with it and 710 with the ORM. CONVERSATION_OF_USER takes
70 µs instead of 220, MOVE_CLOCK 25 instead of 490, and READ_STATES 400 instead of 1,060 for 20
conversations. Django 5.2 has no aggregate for CLOCKS_OF_USER on both databases. It takes 20 ms for
16,000 conversations; reading their clocks takes 150 ms.
"""

from uuid import UUID

from django.db import connection

from chats.models import Conversation, Participation, User

MAX_UNREAD_COUNT = 100
# A participant's own messages and deleted ones are passed over. This bounds how many.
MAX_UNREAD_SCANNED = 1_000


def list_columns(model, alias):
    """Not `*`: a prepared statement must not find another column after a migration."""
    return ", ".join(f"{alias}.{field.column}" for field in model._meta.concrete_fields)


USER_BY_ID = f"""
    SELECT {list_columns(User, "chats_user")} FROM chats_user WHERE user_id = %s
"""  # noqa: S608
CONVERSATION_OF_USER = f"""
    SELECT {list_columns(Conversation, "conversation")} FROM chats_conversation conversation
    JOIN chats_conversation_participants participant USING (conversation_id)
    WHERE conversation_id = %s AND participant.user_id = %s
"""  # noqa: S608
MOVE_CLOCK = """
    UPDATE chats_conversation SET updated_at = %s
    WHERE conversation_id = %s AND EXISTS (
        SELECT 1 FROM chats_conversation_participants participant
        WHERE participant.conversation_id = chats_conversation.conversation_id
        AND participant.user_id = %s
    )
"""
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
CLOCKS_OF_USER = """
    SELECT count(*), {concatenate} FROM (
        SELECT conversation_id, updated_at FROM chats_conversation conversation
        JOIN chats_conversation_participants participant USING (conversation_id)
        WHERE participant.user_id = %s ORDER BY conversation_id
    ) clocks
"""
CONCATENATE = {
    "sqlite": "group_concat(conversation_id || updated_at)",
    "postgresql": "md5(string_agg(conversation_id::text || updated_at::text, ','))",
}


def get_user(user_id):
    """`User.objects.get(pk=user_id)`, for a user_id in a string. Raises User.DoesNotExist."""
    for user in User.objects.raw(USER_BY_ID, get_parameters(UUID(user_id))):
        return user
    raise User.DoesNotExist


def get_conversation(user, conversation_id, lock=False):
    """`Conversation.objects.for_user(user).get(pk=conversation_id)`, locked if asked for.

    Raises Conversation.DoesNotExist.
    """
    statement = CONVERSATION_OF_USER
    if lock and connection.features.has_select_for_update:
        statement += connection.ops.for_update_sql(no_key=True, of=["conversation"])
    for conversation in Conversation.objects.raw(
        statement, get_parameters(conversation_id, user.pk)
    ):
        conversation.seen_by = user
        return conversation
    raise Conversation.DoesNotExist


def move_clock(user, conversation_id, updated_at):
    """`Conversation.objects.for_user(user).filter(pk=conversation_id).update(updated_at=…)`"""
    clock = Conversation._meta.get_field("updated_at").get_db_prep_value(updated_at, connection)
    with connection.cursor() as cursor:
        cursor.execute(MOVE_CLOCK, [clock, *get_parameters(conversation_id, user.pk)])
        return cursor.rowcount


def get_read_states(user, conversation_ids):
    """`(read_at, unread_count)` by conversation_id, for those in which the user takes part."""
    statement = READ_STATES.format(
        columns=list_columns(Participation, "participant"),
        keys=", ".join(["%s"] * len(conversation_ids)),
    )
    limits = [MAX_UNREAD_SCANNED, MAX_UNREAD_COUNT]
    keys = get_parameters(user.pk, *conversation_ids)
    rows = Participation.objects.raw(statement, [*limits, *keys])
    return {row.conversation_id: (row.read_at, row.unread_count) for row in rows}


def get_clocks(user):
    """The number of the user's conversations, and a text that changes whenever one of their clocks
    does, or the user joins or leaves one."""
    statement = CLOCKS_OF_USER.format(concatenate=CONCATENATE[connection.vendor])
    with connection.cursor() as cursor:
        cursor.execute(statement, get_parameters(user.pk))
        return cursor.fetchone()


def get_parameters(*keys):
    return [User._meta.pk.get_db_prep_value(key, connection) for key in keys]
