"""What holds for each field of every model, and how to find the rows for which it does not.

Each check is one query, whose result is bounded. Only the texts of people that have validators are
read.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import (
    AutoField,
    BooleanField,
    CharField,
    DateTimeField,
    Exists,
    F,
    Field,
    ForeignKey,
    Func,
    IntegerField,
    Model,
    OuterRef,
    QuerySet,
    TextField,
    UUIDField,
)
from django.db.models.functions import Cast, Length

from chats.fields import CleanedFieldMixin
from chats.integrity.schema import get_models

# For each check.
FAULTS_SHOWN = 100

TIMES = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
COLUMN = "%(expressions)s"
# How Django writes values into SQLite, which stores anything in any column.
SQLITE_FORMS: dict[tuple[type[Field], ...], str] = {
    (UUIDField,): (
        f"typeof({COLUMN}) = 'text' AND length({COLUMN}) = 32 AND {COLUMN} NOT GLOB '*[^0-9a-f]*'"
    ),
    (DateTimeField,): (
        f"typeof({COLUMN}) = 'text' AND {COLUMN} > '0001' "
        # A day less and one more, so that the 30th of February is another day. Without the
        # fraction, which datetime() rounds.
        f"AND datetime(substr({COLUMN}, 1, 19), '-1 day', '+1 day') = substr({COLUMN}, 1, 19) "
        f"AND (length({COLUMN}) = 19 OR length({COLUMN}) = 26 "
        f"AND substr({COLUMN}, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]')"
    ),
    # length() counts the characters before a NUL, which PostgreSQL cannot store.
    (CharField, TextField): f"typeof({COLUMN}) = 'text' AND instr({COLUMN}, char(0)) = 0",
    (BooleanField,): f"typeof({COLUMN}) = 'integer' AND {COLUMN} IN (0, 1)",
    (IntegerField,): f"typeof({COLUMN}) = 'integer'",
}


class Check(NamedTuple):
    rows: QuerySet
    fault: str


def find_unreadable_values() -> Iterator[str]:
    """Requests that meet one of these values may fail."""
    for model in get_models():
        for field in model._meta.concrete_fields:
            for check in get_form_checks(model, field):
                yield from find_rows(check)


def get_form_checks(model: type[Model], field: Field) -> Iterator[Check]:
    rows = model._base_manager.exclude(**{field.name: None})
    if connection.vendor == "sqlite":
        for fields, form in SQLITE_FORMS.items():
            if isinstance(field, fields):
                has_form = Func(F(field.name), template=f"({form})", output_field=BooleanField())
                yield Check(
                    rows.alias(has_form=has_form).filter(has_form=False),
                    f"{field.name} is not of the form that the program writes",
                )
    elif isinstance(field, DateTimeField):
        yield Check(
            rows.exclude(**{f"{field.name}__range": TIMES}),
            f"{field.name} is not in the years 1 to 9999",
        )


def get_field_checks(models: Iterable[type[Model]]) -> Iterator[Check]:
    for model in models:
        for field in model._meta.concrete_fields:
            name, rows = field.name, model._base_manager.all()
            if isinstance(field, ForeignKey):
                target = field.related_model._base_manager
                found = target.filter(**{field.target_field.name: OuterRef(field.attname)})
                named = rows.exclude(**{name: None})
                yield Check(named.filter(~Exists(found)), f"{name} does not exist")
            elif field.choices:
                values = [value for value, _ in field.flatchoices]
                yield Check(rows.exclude(**{f"{name}__in": values}), f"{name} is not a choice")
            elif field.max_length and not isinstance(field, (UUIDField, CleanedFieldMixin)):
                too_long = rows.alias(length=Length(name)).filter(length__gt=field.max_length)
                yield Check(too_long, f"{name} has more than {field.max_length} characters")


def find_refused_texts(model: type[Model]) -> Iterator[str]:
    """Texts that a form would refuse or change, such as an address that nobody can sign in with.
    Empty ones are allowed."""
    fields = [
        field for field in model._meta.concrete_fields if isinstance(field, CleanedFieldMixin)
    ]
    if not fields:
        return
    rows = with_key(model._base_manager.all())
    names = [field.name for field in fields]
    faults = (
        f"{model._meta.verbose_name} {hyphenate(key)}: {fault}"
        for key, *texts in rows.values_list("key", *names).iterator()
        for field, text in zip(fields, texts, strict=True)
        if (fault := refuse(field, text))
    )
    yield from islice(faults, FAULTS_SHOWN)
    if next(faults, None):
        yield f"{model._meta.verbose_name}: there are more with such a text"


def refuse(field: Field, text: str) -> str | None:
    try:
        is_clean = not text or field.clean(text, None) == text
    except ValidationError as error:
        return f"{field.name}: {' '.join(error.messages)}"
    return None if is_clean else f"{field.name} is not normalized"


def find_rows(check: Check) -> Iterator[str]:
    meta = check.rows.model._meta
    keys = with_key(check.rows).values_list("key", flat=True)[: FAULTS_SHOWN + 1]
    for key in islice(keys, FAULTS_SHOWN):
        yield f"{meta.verbose_name} {hyphenate(key)}: {check.fault}"
    if len(keys) > FAULTS_SHOWN:
        yield f"{meta.verbose_name}: there are more of which {check.fault}"


def with_key(rows: QuerySet) -> QuerySet:
    """As text, because a key may be damaged."""
    return rows.order_by().annotate(key=Cast("pk", TextField()))


def hyphenate(key: str) -> str:
    """SQLite has UUIDs without hyphens."""
    return str(UUID(key)) if re.fullmatch("[0-9a-f]{32}", key) else key


def find_late_sequence(model: type[Model]) -> Iterator[str]:
    """PostgreSQL's would give a new row a key that exists."""
    if connection.vendor != "postgresql" or not isinstance(model._meta.pk, AutoField):
        return
    table, column = model._meta.db_table, model._meta.pk.column
    last = model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", [table, column])
        [(sequence,)] = cursor.fetchall()
        cursor.execute(f"SELECT last_value - (NOT is_called)::int FROM {sequence}")  # noqa: S608
        [(value,)] = cursor.fetchall()
    if last and value < last:
        yield f"table {table}: the sequence is at {value}, before the row {last}"
