"""Whether the database's tables are those that the models describe.

A second, empty schema is made from the models, and the catalogues of both are compared. A restore
that goes on after an error leaves tables, columns and constraints out.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.apps import apps
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model
from django.db.utils import ConnectionHandler

# Without names, which depend on the migrations that gave a table its form. So does the type of an
# identity column.
PARTS = {
    "postgresql": """
        SELECT relname, 'column ' || attname || ' '
            || CASE attidentity WHEN '' THEN format_type(atttypid, atttypmod) ELSE 'IDENTITY' END
            || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE pg_table_is_visible(pg_class.oid) AND attnum > 0 AND NOT attisdropped
        UNION
        SELECT relname, pg_get_constraintdef(pg_constraint.oid)
        FROM pg_class JOIN pg_constraint ON conrelid = pg_class.oid
        WHERE pg_table_is_visible(pg_class.oid) AND contype IN ('c', 'f')
        UNION
        SELECT relname, regexp_replace(
            pg_get_indexdef(indexrelid), '^CREATE (.*INDEX) .+ ON .+ USING btree', '\\1'
        ) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
        FROM pg_class JOIN pg_index ON indrelid = pg_class.oid
        WHERE pg_table_is_visible(pg_class.oid)
        UNION
        SELECT relname, 'disabled triggers of foreign keys'
        FROM pg_class JOIN pg_trigger ON tgrelid = pg_class.oid
        WHERE pg_table_is_visible(pg_class.oid) AND tgisinternal AND tgenabled = 'D'
    """,
    "sqlite": """
        SELECT tables.name, 'column ' || part.name || ' ' || type
            || CASE WHEN "notnull" THEN ' NOT NULL' ELSE '' END
            || CASE WHEN pk THEN ' PRIMARY KEY' ELSE '' END
        FROM (SELECT name FROM sqlite_master WHERE type = 'table') tables,
            pragma_table_info(tables.name) part
        UNION
        SELECT tables.name,
            'FOREIGN KEY (' || "from" || ') REFERENCES ' || "table" || '(' || "to" || ')'
        FROM sqlite_master tables, pragma_foreign_key_list(tables.name)
        WHERE type = 'table'
        UNION
        SELECT tables.name, CASE WHEN "unique" THEN 'UNIQUE INDEX ' ELSE 'INDEX ' END || coalesce(
            substr(made.sql, instr(made.sql, ' (') + 1),
            (SELECT '("' || group_concat(name, '", "') || '")' FROM pragma_index_info(made.name))
        )
        FROM sqlite_master tables, pragma_index_list(tables.name) part
            JOIN sqlite_master made ON made.name = part.name
        WHERE tables.type = 'table'
    """,
}
# What the models do not have is a fault if the database may refuse rows because of it, or if
# somebody has left it unfinished. Whoever needs one more index may make it.
UNWANTED = re.compile("(UNIQUE|CHECK|FOREIGN|disabled).*|column .* NOT NULL|.* INVALID")


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


def find_wrong_migrations() -> Iterator[str]:
    executor = MigrationExecutor(connection)
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield f"migration {migration}: not applied"
    for name in set(executor.loader.applied_migrations).difference(executor.loader.disk_migrations):
        yield f"migration {'.'.join(name)}: applied, but unknown to this version"


def find_wrong_tables() -> Iterator[str]:
    with fresh_schema() as other:
        expected = read_parts(other)
    found = read_parts(connection)
    for model in get_models():
        table = model._meta.db_table
        if table not in found:
            yield f"table {table}: missing"
            continue
        for part in sorted(expected[table] - found[table]):
            yield f"table {table}: lacks {part}"
        for part in sorted(found[table] - expected[table]):
            if UNWANTED.fullmatch(part):
                yield f"table {table}: unexpected {part}"


def get_models() -> list[type[Model]]:
    return [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]


@contextmanager
def fresh_schema() -> Iterator[BaseDatabaseWrapper]:
    """A connection that sees only new tables: SQLite's in memory, PostgreSQL's temporary ones."""
    if connection.vendor == "sqlite":
        memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        other = ConnectionHandler({"default": memory})["default"]
        create_tables(other)
        yield other
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL search_path = pg_temp")
        create_tables(connection)
        yield connection
        transaction.set_rollback(True)


def create_tables(database: BaseDatabaseWrapper) -> None:
    with database.schema_editor() as editor:
        for model in get_models():
            # With the tables of its many-to-many fields.
            if not model._meta.auto_created:
                editor.create_model(model)


def read_parts(database: BaseDatabaseWrapper) -> dict[str, set[str]]:
    """By table."""
    parts: dict[str, set[str]] = {}
    with database.cursor() as cursor:
        cursor.execute(PARTS[database.vendor])
        for table, part in cursor.fetchall():
            parts.setdefault(table, set()).add(part)
    return parts
