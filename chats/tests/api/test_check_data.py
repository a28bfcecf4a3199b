"""`manage.py check_data` names each fault that is planted, and none in healthy data."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from chats.integrity.fields import FAULTS_SHOWN, find_unreadable_values
from chats.management.commands.check_data import find_faults
from chats.models import MAX_PARTICIPANTS, Conversation, Message, Participation, User
from chats.safety.models import Block, Report
from chats.safety.reports import report
from chats.safety.services import block
from chats.services import delete, delete_for_staff, edit, erase, mark_as_read, send, start
from chats.tests.support.rows import change

LATER = timedelta(days=1)


class World:
    """Alice and Bob talk. Carol, who wrote to them, is erased."""

    def __init__(self, alice, bob, carol):
        self.alice, self.bob, self.carol = alice, bob, carol
        self.conversation, _ = start({bob.pk, carol.pk}, actor=alice)
        self.message, _ = send(self.conversation, "Hello", actor=alice)
        edit(self.message, "Hello, Bob", actor=alice)
        self.deleted, _ = send(self.conversation, "Oops", actor=alice)
        delete(self.deleted, actor=alice)
        self.left_behind, _ = send(self.conversation, "Bye", actor=carol)
        report(self.message, "", actor=bob)
        report(self.left_behind, "", actor=bob)
        self.report = Report.objects.get(message=self.left_behind)
        mark_as_read(self.conversation, self.left_behind.sent_at, actor=bob)
        block(carol.pk, actor=alice)
        LogEntry.objects.log_actions(alice.pk, [carol], CHANGE)
        erase(carol)
        for row in (self.conversation, self.message, self.carol, self.report):
            row.refresh_from_db()


@pytest.fixture
def world(alice, bob, carol):
    return World(alice, bob, carol)


def execute(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def turn_clock_back(world):
    change(world.conversation, updated_at=world.message.sent_at)
    Participation.objects.update(read_at=world.message.sent_at)
    return f"conversation {world.conversation.pk}: updated_at is before that of a message"


def run_ahead(world):
    change(world.conversation, updated_at=timezone.now() + LATER)
    return f"conversation {world.conversation.pk}: updated_at is over a minute in the future"


def edit_before_sending(world):
    change(world.message, sent_at=world.message.updated_at + timedelta(microseconds=1))
    return f"message {world.message.pk}: updated_at is before sent_at"


def empty_a_text(world):
    change(world.left_behind, message_body="")
    change(world.report, message_body="")
    return f"message {world.left_behind.pk}: message_body is empty, but the message was not deleted"


def lengthen_a_text(world):
    change(world.message, message_body="x" * 10_001)
    return f"message {world.message.pk}: message_body has more than 10000 characters"


def blank_a_text(world):
    change(world.message, message_body="   ")
    return f"message {world.message.pk}: message_body has only spaces"


def change_before_the_start(world):
    change(world.conversation, created_at=world.conversation.updated_at + timedelta(seconds=1))
    return f"conversation {world.conversation.pk}: updated_at is before created_at"


def read_what_is_not_sent(world):
    row = Participation.objects.get(user=world.alice)
    change(row, read_at=world.conversation.updated_at + LATER)
    return f"participation {row.pk}: read_at is after updated_at of the conversation"


def fill_a_conversation(world):
    users = User.objects.bulk_create(
        User(email=f"{n}@example.com", password="!") for n in range(MAX_PARTICIPANTS - 1)
    )
    read_at = world.conversation.updated_at
    Participation.objects.bulk_create(
        Participation(conversation=world.conversation, user=user, read_at=read_at) for user in users
    )
    return f"conversation {world.conversation.pk}: there are more than 256 participants"


def write_an_address_in_capitals(world):
    execute("UPDATE chats_user SET email = 'Bob@example.com' WHERE first_name = 'Bob'")
    return f"user {world.bob.pk}: email is not normalized"


def keep_a_name(world):
    change(world.carol, last_name="Carlsen")
    return f"user {world.carol.pk}: the user was erased, but has personal data or rights"


def keep_a_membership(world):
    read_at = world.conversation.updated_at
    row = Participation(conversation=world.conversation, user=world.carol, read_at=read_at)
    Participation.objects.bulk_create([row])
    row = Participation.objects.get(user=world.carol)
    return f"participation {row.pk}: user was erased"


def keep_a_block(world):
    row = Block.objects.create(blocker=world.carol, blocked=world.bob)
    return f"block {row.pk}: blocker was erased"


def keep_who_is_blocked(world):
    row = Block.objects.create(blocker=world.bob, blocked=world.carol)
    return f"block {row.pk}: blocked was erased"


def keep_a_reporter(world):
    change(world.report, reporter=world.carol, message=world.message, message_body="Hello, Bob")
    return f"report {world.report.pk}: reporter was erased"


def keep_a_group(world):
    world.carol.groups.add(Group.objects.create(name="Support"))
    row = User.groups.through.objects.get()
    return f"user-group relationship {row.pk}: user was erased"


def keep_a_permission(world):
    world.carol.user_permissions.add(Permission.objects.first())
    row = User.user_permissions.through.objects.get()
    return f"user-permission relationship {row.pk}: user was erased"


def keep_a_reported_text(world):
    change(world.report, message_body="What Carol took back")
    return (
        f"report {world.report.pk}: the sender was erased, but message_body is another one than "
        "that of the message"
    )


def keep_an_address_in_the_log(world):
    entry = LogEntry.objects.get()
    change(entry, object_repr="carol@example.com")
    return f"log entry {entry.pk}: the user was erased, but object_repr is not their address"


def report_oneself(world):
    change(world.report, reporter=world.alice, message=world.message)
    return f"report {world.report.pk}: the reporter is the sender"


def close_before_the_report(world):
    change(world.report, closed_at=world.report.created_at - LATER)
    return f"report {world.report.pk}: closed_at is before created_at"


def block_oneself(world):
    row = Block.objects.create(blocker=world.bob, blocked=world.bob)
    return f"block {row.pk}: blocker and blocked are the same user"


def lose_a_conversation(world):
    conversation = Conversation.objects.create()
    message = Message(
        conversation=conversation, sender=world.bob, message_body="x", sent_at=timezone.now()
    )
    message.updated_at = message.sent_at
    Message.objects.bulk_create([message])
    Conversation.objects.filter(pk=conversation.pk)._raw_delete(connection.alias)
    return f"message {message.pk}: conversation does not exist"


def lose_an_index(world):
    execute("DROP INDEX user_email_any_case")
    column = {"sqlite": '(LOWER("email"))', "postgresql": "lower((email)::text)"}[connection.vendor]
    return f"table chats_user: lacks UNIQUE INDEX ({column})"


def lose_a_table(world):
    execute("DROP TABLE chats_block")
    return "table chats_block: missing"


def lose_a_column(world):
    execute("ALTER TABLE chats_conversation DROP COLUMN title")
    kind = {"sqlite": "varchar(100)", "postgresql": "character varying(100)"}[connection.vendor]
    return f"table chats_conversation: lacks column title {kind} NOT NULL"


def require_another_column(world):
    execute("ALTER TABLE chats_user ADD nickname varchar(9) NOT NULL DEFAULT ''")
    kind = {"sqlite": "varchar(9)", "postgresql": "character varying(9)"}[connection.vendor]
    column = f"column nickname {kind} NOT NULL"
    return f"table chats_user: unexpected {column}"


def forget_a_migration(world):
    [(_, name)] = MigrationExecutor(connection).loader.graph.leaf_nodes("chats")
    MigrationRecorder(connection).record_unapplied("chats", name)
    return f"migration chats.{name}: not applied"


def apply_a_later_migration(world):
    MigrationRecorder(connection).record_applied("chats", "9999_later")
    return "migration chats.9999_later: applied, but unknown to this version"


@pytest.mark.parametrize(
    "plant",
    [
        turn_clock_back,
        run_ahead,
        edit_before_sending,
        empty_a_text,
        lengthen_a_text,
        blank_a_text,
        change_before_the_start,
        read_what_is_not_sent,
        fill_a_conversation,
        write_an_address_in_capitals,
        keep_a_name,
        keep_a_membership,
        keep_a_block,
        keep_who_is_blocked,
        keep_a_reporter,
        keep_a_group,
        keep_a_permission,
        keep_a_reported_text,
        keep_an_address_in_the_log,
        report_oneself,
        close_before_the_report,
        block_oneself,
        lose_a_conversation,
        lose_an_index,
        lose_a_table,
        lose_a_column,
        require_another_column,
        forget_a_migration,
        apply_a_later_migration,
    ],
    ids=lambda plant: plant.__name__,
)
def test_planted_fault_is_the_only_one_found(world, plant):
    connection.check_constraints()
    with transaction.atomic():
        expected = plant(world)
        assert list(find_faults()) == [expected]
        # Some would break a foreign key when the test's transaction ends.
        transaction.set_rollback(True)


def test_index_and_column_of_ones_own_are_no_faults(world):
    connection.check_constraints()
    execute("CREATE INDEX by_sender ON chats_message (sender_id, sent_at)")
    execute("ALTER TABLE chats_user ADD nickname text")
    assert list(find_faults()) == []


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite cannot do these")
class TestPostgres:
    def test_late_sequence_is_found(self, world):
        row = Block.objects.create(pk=1_000, blocker=world.alice, blocked=world.bob)
        [fault] = find_faults()
        assert fault.startswith("table chats_block: the sequence is at ")
        assert fault.endswith(f", before the row {row.pk}")

    @pytest.mark.parametrize(
        ("change", "faults"),
        [
            (
                "chats_block ALTER id DROP IDENTITY",
                ["lacks column id IDENTITY NOT NULL", "unexpected column id bigint NOT NULL"],
            ),
            (
                "chats_message ALTER message_body DROP NOT NULL",
                ["lacks column message_body text NOT NULL"],
            ),
            (
                "chats_message ALTER sent_at TYPE timestamp",
                [
                    "lacks column sent_at timestamp with time zone NOT NULL",
                    "unexpected column sent_at timestamp without time zone NOT NULL",
                ],
            ),
            (
                "chats_block DROP CONSTRAINT block_once, ADD UNIQUE (blocked_id)",
                [
                    "lacks UNIQUE INDEX (blocker_id, blocked_id)",
                    "unexpected UNIQUE INDEX (blocked_id)",
                ],
            ),
            (
                "chats_block ADD FOREIGN KEY (id) REFERENCES chats_report",
                ["unexpected FOREIGN KEY (id) REFERENCES chats_report(id)"],
            ),
            (
                "auth_group_permissions DROP CONSTRAINT auth_group_permissions_pkey",
                ["lacks UNIQUE INDEX (id)"],
            ),
            # As `pg_restore --disable-triggers` leaves it when it dies.
            (
                "chats_block DISABLE TRIGGER ALL",
                ["unexpected disabled triggers of foreign keys"],
            ),
        ],
    )
    def test_changed_table_is_found(self, world, change, faults):
        self.alter(change)
        table = change.partition(" ")[0]
        assert list(find_faults()) == [f"table {table}: {fault}" for fault in faults]

    def test_lost_foreign_key_is_found(self, world):
        with connection.cursor() as cursor:
            constraints = connection.introspection.get_constraints(cursor, "chats_report")
        [name] = [name for name, found in constraints.items() if found["columns"] == ["message_id"]]
        self.alter(f"chats_report DROP CONSTRAINT {name}")
        [fault] = find_faults()
        assert fault.startswith("table chats_report: lacks FOREIGN KEY (message_id) REFERENCES ")

    def test_invalid_index_is_found(self, world):
        self.alter("chats_block DROP CONSTRAINT block_once")
        with connection.cursor() as cursor:
            cursor.execute("CREATE UNIQUE INDEX block_once ON chats_block (blocker_id, blocked_id)")
            # As after a CREATE INDEX CONCURRENTLY that failed.
            cursor.execute(
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'block_once'::regclass"
            )
        index = "UNIQUE INDEX (blocker_id, blocked_id)"
        assert list(find_faults()) == [
            f"table chats_block: lacks {index}",
            f"table chats_block: unexpected {index} INVALID",
        ]

    def alter(self, change):
        connection.check_constraints()
        execute(f"ALTER TABLE {change}")


def test_many_faults_of_a_kind_are_summed_up(world):
    users = [User(email=f"{n}@example.com", password="!") for n in range(FAULTS_SHOWN + 1)]
    User.objects.bulk_create(users)
    Block.objects.bulk_create(Block(blocker=user, blocked=user) for user in users)
    *_, last = faults = list(find_faults())
    assert len(faults) == FAULTS_SHOWN + 1
    assert last == "block: there are more of which blocker and blocked are the same user"


def test_report_may_keep_a_text_that_staff_removed(world):
    """After the sender was erased."""
    delete_for_staff(world.left_behind)
    assert list(find_faults()) == []


SQLITE_FAULTS = [
    ("conversation", "updated_at", "'zzz'"),
    ("conversation", "updated_at", "'2026-02-30 10:00:00'"),
    ("conversation", "updated_at", "'2026-01-01 10:00:00.5'"),
    ("message", "sent_at", "1700000000"),
    ("message", "message_body", "x'68656c6c6f'"),
    ("message", "message_body", "'a' || char(0) || 'b'"),
    ("message", "message_id", "'abc'"),
    ("message", "message_id", "'0b8f3c52-6f0e-4d8e-9b57-3c2f6a7e1d94'"),
    ("user", "is_active", "2"),
]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL refuses such a value")
@pytest.mark.parametrize(("table", "column", "value"), SQLITE_FAULTS)
def test_value_that_the_program_does_not_write_is_found(world, table, column, value):
    row = {"user": world.bob, "message": world.deleted}.get(table, world.conversation)
    with connection.cursor() as cursor:
        update = f"UPDATE chats_{table} SET {column} = {value} WHERE {table}_id = %s"  # noqa: S608
        cursor.execute(update, [row.pk.hex])
        key = value.strip("'") if column == "message_id" else row.pk
        assert list(find_faults()) == [
            f"{table} {key}: {column} is not of the form that the program writes"
        ]
        # Some would break a foreign key when the test's transaction ends.
        transaction.set_rollback(True)


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
@pytest.mark.parametrize(("year", "month", "day"), [(1, 1, 1), (2024, 2, 29), (9999, 12, 31)])
def test_every_time_that_the_program_writes_has_the_form(world, year, month, day, microsecond):
    moment = datetime(year, month, day, 23, 59, 59, microsecond, tzinfo=UTC)
    change(world.alice, created_at=moment)
    assert list(find_unreadable_values()) == []


@pytest.mark.parametrize("value", ["infinity", "20000-01-01 00:00:00+00"])
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such times")
def test_time_that_python_does_not_have_is_found(world, value):
    execute("UPDATE chats_conversation SET updated_at = %s", [value])
    assert list(find_faults()) == [
        f"conversation {world.conversation.pk}: updated_at is not in the years 1 to 9999"
    ]


ONE_LINE = "Enter one line of text, without control or invisible characters: remove U+000A"
PHONE_NUMBER = "Write the number as E.164 has it"


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("first_name", "Bob\nBobson", f"first_name: {ONE_LINE}"),
        ("first_name", " Bob", "first_name is not normalized"),
        ("role", "king", "role is not a choice"),
        ("phone_number", "hello", f"phone_number: {PHONE_NUMBER}"),
        ("email", "bob", "email: Enter a valid email address."),
        ("password", "", "password is empty"),
    ],
)
def test_refused_value_of_a_user_is_found(world, column, value, fault):
    # Not change(), which cleans texts.
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE chats_user SET {column} = %s WHERE first_name = 'Bob'",  # noqa: S608
            [value],
        )
    [found] = find_faults()
    assert found.startswith(f"user {world.bob.pk}: {fault}")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL refuses such a text")
def test_text_that_is_too_long_is_found(world):
    title = "x" * 500
    change(world.conversation, title=title)
    change(world.bob, password=title)
    limit = "Ensure this value has at most 100 characters (it has 500)."
    assert list(find_faults()) == [
        f"conversation {world.conversation.pk}: title: {limit}",
        f"user {world.bob.pk}: password has more than 128 characters",
    ]


def test_healthy_data_has_none(world, settings, capsys):
    settings.DEBUG = True
    call_command("seed_demo")
    call_command("check_data")
    assert capsys.readouterr().out.endswith("There is no fault.\n")


def test_fault_is_a_line_and_the_command_fails(world, capsys):
    expected = block_oneself(world)
    with pytest.raises(CommandError, match="Faults: 1"):
        call_command("check_data")
    assert capsys.readouterr().out == f"{expected}\n"
