from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from chats.integrity.fields import find_unreadable_values
from chats.integrity.rows import find_wrong_rows
from chats.integrity.schema import find_damage, find_wrong_migrations, find_wrong_tables


class Command(BaseCommand):
    help = (
        "Check that the database holds what the program promises, after a restore for example. "
        "Each fault is a line that names the row. Changes nothing."
    )

    def handle(self, **options):
        count = 0
        for fault in find_faults():
            self.stdout.write(fault)
            count += 1
        if count:
            raise CommandError(f"Faults: {count}")
        self.stdout.write("There is no fault.")


def find_faults() -> Iterator[str]:
    """A line for each fault. What finds some is the last: the next relies on it."""
    found = False
    for find in (
        find_damage,
        find_wrong_migrations,
        find_wrong_tables,
        find_unreadable_values,
        find_wrong_rows,
    ):
        try:
            for fault in find():
                found = True
                yield fault
        except DatabaseError as error:
            found = True
            yield f"database: {str(error).strip()}"
        if found:
            return
