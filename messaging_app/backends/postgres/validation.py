from typing import Any

from django.core import checks
from django.db import OperationalError
from django.db.backends.base.validation import BaseDatabaseValidation

from messaging_app.backends.postgres.session import REQUIRED

SETTINGS = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
# The tables that the role may not read and write.
CLOSED_TABLES = """
SELECT current_user, name FROM unnest(%s::text[]) AS name
WHERE to_regclass(quote_ident(name)) IS NOT NULL AND NOT (
    has_table_privilege(quote_ident(name), 'SELECT')
    AND has_table_privilege(quote_ident(name), 'INSERT')
    AND has_table_privilege(quote_ident(name), 'UPDATE')
    AND has_table_privilege(quote_ident(name), 'DELETE')
)
ORDER BY name LIMIT 1
"""
ENCODING = (
    "The encoding of the database is {}, and has to be UTF8: not every text could be stored. "
    "Create another database with ENCODING 'UTF8', and copy the rows."
)
LOCALE = (
    "The locale of the database changes ASCII letters: upper('i') is “{}”, so searches would miss "
    "texts. Create another database with another locale, and copy the rows."
)
SETTING = (
    "PostgreSQL's {} is “{}”, and has to be “{}”. Change it for the role or the database, in "
    "libpq's environment variables such as PGOPTIONS, or in PgBouncer's connect_query."
)
PRIVILEGES = (
    "The role {} may not read and write the table {}. Grant it SELECT, INSERT, UPDATE and DELETE "
    "on all tables, or make it their owner."
)


class DatabaseValidation(BaseDatabaseValidation):
    """Reports settings of PostgreSQL with which the program does not work.

    Runs in `migrate` and `check --database`, at the start of docker/serve, and in /readyz.
    """

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(SETTINGS, [list(REQUIRED)])
                found = dict(cursor.fetchall())
                cursor.execute("SELECT upper('i')")
                [(letter,)] = cursor.fetchall()
                cursor.execute(CLOSED_TABLES, [self.connection.introspection.django_table_names()])
                closed_tables = cursor.fetchall()
        except OperationalError as error:
            text = f"The settings of the database were not checked: {error}"
            return [checks.Warning(text, id="postgres.W001")]
        errors = [
            ENCODING.format(found[name])
            if name == "server_encoding"
            else SETTING.format(name, found[name], values[0])
            for name, values in REQUIRED.items()
            if found[name] not in values
        ]
        if letter != "I":
            errors.append(LOCALE.format(letter))
        errors += [PRIVILEGES.format(*found) for found in closed_tables]
        return [checks.Error(error, id="postgres.E001") for error in errors]
