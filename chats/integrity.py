"""What always holds in the database, and how to find the rows for which it does not.

Only faults that data can have: the database refuses others, as long as its constraints exist. Each
check is one query, whose result is bounded.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import (
    AutoField,
    Count,
    Exists,
    F,
    ForeignKey,
    Model,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    UniqueConstraint,
    Value,
)
from django.db.models.functions import Cast, Length, Lower, Now, Replace

from chats.models import MAX_PARTICIPANTS, Conversation, Message, Participation, User
from chats.passwords import ERASED_PASSWORD
from chats.safety.models import Block, Report
from chats.serializers import MESSAGE_BODY_MAX_CHARACTERS

# For each check.
FAULTS_SHOWN = 100

ERASED_ADDRESS = "@erased.invalid"
ERASED = User.objects.filter(password=ERASED_PASSWORD)


class Check(NamedTuple):
    rows: QuerySet
    fault: str


def without_hyphens(key: Any) -> Replace:
    """As SQLite stores keys, but not PostgreSQL, and not the log."""
    return Replace(key, Value("-"), output_field=TextField())


CHECKS = [
    Check(
        Conversation.objects.filter(
            Exists(
                Message.objects.filter(
                    conversation=OuterRef("pk"), updated_at__gt=OuterRef("updated_at")
                )
            )
        ),
        "updated_at is before that of a message",
    ),
    Check(
        Conversation.objects.filter(updated_at__gt=Now() + timedelta(minutes=1)),
        "updated_at is over a minute in the future",
    ),
    Check(Message.objects.filter(updated_at__lt=F("sent_at")), "updated_at is before sent_at"),
    Check(
        Message.objects.filter(message_body="", updated_at=F("sent_at")),
        "message_body is empty, but the message was not deleted",
    ),
    Check(
        Message.objects.alias(length=Length("message_body")).filter(
            length__gt=MESSAGE_BODY_MAX_CHARACTERS
        ),
        f"message_body has more than {MESSAGE_BODY_MAX_CHARACTERS} characters",
    ),
    Check(
        Participation.objects.filter(read_at__gt=F("conversation__updated_at")),
        "read_at is after updated_at of the conversation",
    ),
    Check(
        Conversation.objects.filter(
            pk__in=Participation.objects.values("conversation")
            .annotate(count=Count("pk"))
            .filter(count__gt=MAX_PARTICIPANTS)
            .values("conversation")
        ),
        f"there are more than {MAX_PARTICIPANTS} participants",
    ),
    Check(User.objects.exclude(email=Lower("email")), "email is not in lower case"),
    Check(
        ERASED.exclude(
            first_name="Deleted",
            last_name="user",
            email__endswith=ERASED_ADDRESS,
            phone_number="",
            is_active=False,
            is_staff=False,
            is_superuser=False,
        ),
        "the user was erased, but has personal data or rights",
    ),
    *(
        Check(rows.filter(**{f"{name}__in": ERASED.values("pk")}), f"{name} was erased")
        for rows, name in [
            (Participation.objects.all(), "user"),
            (Block.objects.all(), "blocker"),
            (Block.objects.all(), "blocked"),
            (Report.objects.all(), "reporter"),
            (User.groups.through.objects.all(), "user"),
            (User.user_permissions.through.objects.all(), "user"),
        ]
    ),
    Check(
        Report.objects.filter(message__sender__in=ERASED.values("pk")).exclude(
            Q(message_body=F("message__message_body")) | Q(message__message_body="")
        ),
        "the sender was erased, but message_body is another one than that of the message",
    ),
    Check(
        LogEntry.objects.alias(key=without_hyphens("object_id"))
        .filter(content_type__app_label="chats", content_type__model="user")
        .filter(key__in=ERASED.values(key=without_hyphens(Cast("pk", TextField()))))
        .exclude(object_repr__endswith=ERASED_ADDRESS),
        "the user was erased, but object_repr is not their address",
    ),
    Check(Report.objects.filter(reporter=F("message__sender")), "the reporter is the sender"),
    Check(Report.objects.filter(closed_at__lt=F("created_at")), "closed_at is before created_at"),
    Check(Block.objects.filter(blocker=F("blocked")), "blocker and blocked are the same user"),
]


def find_faults() -> Iterator[str]:
    """A line for each fault. Looks at rows only if the file and the migrations have none."""
    faults = [*find_damage(), *find_wrong_migrations()]
    yield from faults
    if faults:
        return
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    yield from find_invalid_indexes()
    for model in models:
        yield from find_missing_constraints(model)
        yield from find_late_sequence(model)
    for check in [*get_reference_checks(models), *CHECKS]:
        yield from find_rows(check)


def find_rows(check: Check) -> Iterator[str]:
    meta = check.rows.model._meta
    # As text, because a key may be damaged.
    rows = check.rows.order_by().annotate(key=Cast("pk", TextField()))
    keys = rows.values_list("key", flat=True)[: FAULTS_SHOWN + 1]
    for key in islice(keys, FAULTS_SHOWN):
        yield f"{meta.verbose_name} {hyphenate(key)}: {check.fault}"
    if len(keys) > FAULTS_SHOWN:
        yield f"{meta.verbose_name}: there are more of which {check.fault}"


def hyphenate(key: str) -> str:
    """SQLite has UUIDs without hyphens."""
    return str(UUID(key)) if re.fullmatch("[0-9a-f]{32}", key) else key


def find_wrong_migrations() -> Iterator[str]:
    executor = MigrationExecutor(connection)
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield f"migration {migration}: not applied"
    for name in set(executor.loader.applied_migrations).difference(executor.loader.disk_migrations):
        yield f"migration {'.'.join(name)}: applied, but unknown to this version"


def find_damage() -> Iterator[str]:
    """Of SQLite's file, and of its indexes and constraints. At most 100 lines."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        # Takes a third off the time of a large file. `quick_check` is quicker still, but does not
        # compare indexes with their tables, so it misses most copies of a file that was in use.
        cursor.execute("PRAGMA mmap_size = 0x10000000000")
        cursor.execute("PRAGMA integrity_check")
        yield from (f"file: {text}" for (text,) in cursor.fetchall() if text != "ok")


def find_missing_constraints(model: type[Model]) -> Iterator[str]:
    """A restore that goes on after an error leaves constraints out."""
    meta = model._meta
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, meta.db_table)
        described = connection.introspection.get_table_description(cursor, meta.db_table)
    for named in (*meta.constraints, *meta.indexes):
        if named.name not in found:
            yield f"table {meta.db_table}: {named.name} is missing"
        elif isinstance(named, UniqueConstraint) and not found[named.name]["unique"]:
            yield f"table {meta.db_table}: {named.name} is not unique"
    nullable = {column.name for column in described if column.null_ok}
    unique = [each["columns"] for each in found.values() if each["unique"] or each["primary_key"]]
    references = [each["columns"] for each in found.values() if each["foreign_key"]]
    for field in meta.concrete_fields:
        if field.column in nullable and not field.null:
            yield f"table {meta.db_table}: {field.column} can be NULL"
        if field.unique and [field.column] not in unique:
            yield f"table {meta.db_table}: {field.column} is not unique"
        if field.remote_field and [field.column] not in references:
            yield f"table {meta.db_table}: {field.column} is not a foreign key"
    columns = {field.name: field.column for field in meta.concrete_fields}
    for names in meta.unique_together:
        if [columns[name] for name in names] not in unique:
            yield f"table {meta.db_table}: {', '.join(names)} are not unique"


def find_invalid_indexes() -> Iterator[str]:
    """What a CREATE INDEX CONCURRENTLY that failed leaves behind: no query uses it."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid")
        yield from (f"index {name}: not valid" for (name,) in cursor.fetchall())


def find_late_sequence(model: type[Model]) -> Iterator[str]:
    """PostgreSQL's would give a new row a key that exists."""
    if connection.vendor != "postgresql" or not isinstance(model._meta.pk, AutoField):
        return
    table, column = model._meta.db_table, model._meta.pk.column
    last = model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [table, column])
        [(sequence,)] = cursor.fetchall()
        if sequence is None:
            yield f"table {table}: {column} has no sequence"
            return
        cursor.execute(f"SELECT last_value - (NOT is_called)::int FROM {sequence}")  # noqa: S608
        [(value,)] = cursor.fetchall()
    if last and value < last:
        yield f"table {table}: the sequence is at {value}, before the row {last}"


def get_reference_checks(models: list[type[Model]]) -> Iterator[Check]:
    for model in models:
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKey):
                target = field.related_model._base_manager
                found = target.filter(**{field.target_field.name: OuterRef(field.attname)})
                named = model._base_manager.exclude(**{field.name: None})
                yield Check(named.filter(~Exists(found)), f"{field.name} does not exist")
