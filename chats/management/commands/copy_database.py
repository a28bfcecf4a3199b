from pathlib import Path

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.base import BaseCommand, CommandError
from django.core.management.color import no_style
from django.db import DatabaseError, connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from tqdm import tqdm

from chats.clock import batched

SOURCE = "source"
BATCH = 1_000
# Made by `migrate`.
MADE_ALREADY = {ContentType, Permission}


class Command(BaseCommand):
    help = (
        "Copy every row, as it is, from the database of SOURCE_DATABASE_URL into that of "
        "DATABASE_URL, which is migrated and otherwise empty. All of it or nothing; meanwhile "
        "nobody can write to a source in SQLite."
    )

    def handle(self, **options):
        if SOURCE not in connections:
            raise CommandError("Set SOURCE_DATABASE_URL to the database to copy from.")
        check_files()
        try:
            self.copy_all()
        # ValueError: a value in SQLite that Django cannot read.
        except (DatabaseError, ValueError) as error:
            raise CommandError(
                f"Nothing is copied: {str(error).strip()}\nIf a row is damaged, `check_data` with "
                "the DATABASE_URL of the source names it."
            ) from error

    def copy_all(self):
        for database in (connections[SOURCE], connection):
            executor = MigrationExecutor(database)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                raise CommandError(f"Run this program's `migrate` on {database.alias} first.")
        models = [
            model for model in apps.get_models(include_auto_created=True) if model._meta.managed
        ]
        with transaction.atomic(SOURCE), transaction.atomic():
            if connections[SOURCE].vendor == "postgresql":
                # All tables are read as they are now, while others go on writing.
                with connections[SOURCE].cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for model in models:
                if model not in MADE_ALREADY and model._base_manager.exists():
                    raise CommandError(f"The database to copy to has {names(model)} already.")
            for model in MADE_ALREADY:
                model._base_manager.all()._raw_delete(connection.alias)
            for model in models:
                self.copy(model)
            with connection.cursor() as cursor:
                for statement in connection.ops.sequence_reset_sql(no_style(), models):
                    cursor.execute(statement)

    def copy(self, model):
        rows = model._base_manager.using(SOURCE)
        total = rows.count()
        fields = model._meta.concrete_fields
        with tqdm(total=total, desc=names(model), unit=" rows") as bar:
            for batch in batched(rows.iterator(BATCH), BATCH):
                # bulk_create() would set the times that Django sets when it adds a row.
                model._base_manager._insert(batch, fields, using=connection.alias, raw=True)
                bar.update(len(batch))
        if (copied := model._base_manager.count()) != total:
            raise CommandError(f"Of {total} {names(model)}, {copied} arrived; nothing is changed.")


def check_files():
    """SQLite would make an empty file of a wrong name, and wait for itself."""
    source = connections[SOURCE]
    if source.vendor != "sqlite":
        return
    file = Path(source.settings_dict["NAME"])
    if not file.exists():
        raise CommandError(f"The database to copy from does not exist: {file}")
    if (
        connection.vendor == "sqlite"
        and file.resolve() == Path(connection.settings_dict["NAME"]).resolve()
    ):
        raise CommandError("The database to copy from is the one to copy to.")


def names(model):
    return str(model._meta.verbose_name_plural)
