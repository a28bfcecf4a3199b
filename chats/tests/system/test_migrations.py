"""A database that the previous version filled keeps everything when it is migrated."""

import json
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, connection

from chats.tests.support.servers import Database, environment, manage, run

FILL = """
from datetime import UTC, datetime, timedelta
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

key = ("chats", "0002_one_line_names")
apps = MigrationExecutor(connection).loader.project_state([key]).apps
User, Conversation, Message = (
    apps.get_model("chats", name) for name in ("User", "Conversation", "Message")
)
Participant = Conversation.participants.through
begin = datetime(2026, 1, 1, tzinfo=UTC)
users = User.objects.bulk_create(
    User(email=f"{n}@example.com", first_name=f"{n}", last_name="Test") for n in range(200)
)
# The last message of a conversation is as old as its clock, or older.
conversations = Conversation.objects.bulk_create(
    Conversation(created_at=begin, updated_at=begin + timedelta(days=1, microseconds=n))
    for n in range(1000)
)
Participant.objects.bulk_create(
    Participant(conversation=conversation, user=users[(n + 7 * i) % 200])
    for n, conversation in enumerate(conversations)
    for i in range(1 + n % 5)
)
Message.objects.bulk_create(
    Message(
        conversation=conversation,
        sender=users[(n + i) % 200],
        message_body=f"{n} {i}",
        sent_at=conversation.updated_at - timedelta(microseconds=i),
    )
    for n, conversation in enumerate(conversations)
    for i in range(n % 10)
)
"""
SCHEMA = """
import json
from django.db import connection

def describe(table):
    columns = connection.introspection.get_table_description(cursor, table)
    constraints = connection.introspection.get_constraints(cursor, table).values()
    parts = ("columns", "primary_key", "unique", "foreign_key", "index")
    return {
        "columns": {column.name: (str(column.type_code), column.null_ok) for column in columns},
        "constraints": sorted(repr([found[part] for part in parts]) for found in constraints),
    }

with connection.cursor() as cursor:
    tables = connection.introspection.table_names(cursor)
    print(json.dumps({table: describe(table) for table in tables if "chats" in table}))
"""
COUNTS = {
    "chats_user": 200,
    "chats_conversation": 1000,
    "chats_conversation_participants": 3000,
    "chats_message": 4500,
}
FILLED = {
    "SELECT count(*) FROM chats_conversation_participants participation "
    "JOIN chats_conversation USING (conversation_id) WHERE read_at = updated_at": 3000,
    "SELECT count(*) FROM chats_message WHERE updated_at = sent_at": 4500,
    "SELECT count(*) FROM chats_conversation WHERE title = ''": 1000,
}
TWICE = """
INSERT INTO chats_conversation_participants (user_id, conversation_id, read_at)
SELECT user_id, conversation_id, read_at FROM chats_conversation_participants
"""
REFUSED = [
    TWICE,
    "UPDATE chats_message SET sent_at = '2026-01-01 00:00:00'",
    "UPDATE chats_message SET updated_at = '2026-01-01 00:00:00'",
    "UPDATE chats_message SET updated_at = NULL",
    "UPDATE chats_conversation SET title = NULL",
    "UPDATE chats_conversation_participants SET read_at = NULL",
]
WAITING = """
SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE datname = %s AND relation IS NOT NULL AND NOT granted
"""
GO_ON = """
from chats.models import User
from chats.services import mark_as_read, send, start
alice, bob = User.objects.order_by("pk")[:2]
conversation, _ = start({bob.pk}, actor=alice, title="After")
message, _ = send(conversation, "After", actor=alice)
assert mark_as_read(conversation, message.sent_at, actor=bob) == (message.sent_at, 0)
"""


@pytest.fixture
def database(tmp_path, django_db_blocker):
    """As the previous version left it."""
    with django_db_blocker.unblock():
        database = Database(tmp_path, migrate=["chats", "0002"])
        try:
            shell(database, FILL)
            yield database
        finally:
            database.drop()


def shell(database, code):
    done = run("shell", "-v0", "-c", code, DATABASE_URL=database.url)
    assert done.returncode == 0, done.stderr
    return done.stdout


def get_schema(database):
    return json.loads(shell(database, SCHEMA))


def get_rows(database, schema):
    """Of each table, without the columns that the schema does not have."""
    return {
        table: database.execute(f"SELECT {', '.join(parts['columns'])} FROM {table} ORDER BY 1")  # noqa: S608
        for table, parts in schema.items()
    }


def check_migrated(database, schema, rows):
    assert get_rows(database, schema) == rows
    for statement, count in FILLED.items():
        assert database.execute(statement) == [(count,)]
    for statement in REFUSED:
        with pytest.raises(IntegrityError):
            database.execute(statement)


def test_migrations_keep_every_row_forwards_and_backwards(database):
    schema = get_schema(database)
    rows = get_rows(database, schema)
    assert COUNTS.items() <= {table: len(kept) for table, kept in rows.items()}.items()
    manage("migrate", DATABASE_URL=database.url)
    check_migrated(database, schema, rows)
    manage("migrate", "chats", "0002", DATABASE_URL=database.url)
    assert get_schema(database) == schema
    assert get_rows(database, schema) == rows
    manage("migrate", DATABASE_URL=database.url)
    check_migrated(database, schema, rows)
    shell(database, GO_ON)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no locks of tables")
def test_migration_and_send_do_not_wait_for_each_other(tmp_path, django_db_blocker):
    """Of those after 0007, which has the last release's tables and an index more."""
    with django_db_blocker.unblock():
        database = Database(tmp_path, migrate=["chats", "0007"])
    command = [sys.executable, "manage.py", "migrate"]
    variables = environment(DATABASE_URL=database.url)
    try:
        with psycopg.connect(database.url) as sending:
            # As inserting a message does, before it looks at the sender.
            sending.execute("LOCK TABLE chats_message IN ROW EXCLUSIVE MODE")
            migrating = subprocess.Popen(command, env=variables, cwd=settings.BASE_DIR)  # noqa: S603
            with psycopg.connect(database.url, autocommit=True) as watching:
                while not watching.execute(WAITING, [database.name]).fetchall():
                    assert migrating.poll() is None
            sending.execute("SELECT FROM chats_user")
        assert migrating.wait() == 0
    finally:
        database.drop()
