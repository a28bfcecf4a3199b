import os
from pathlib import Path
from typing import Any

from django.core import checks
from django.db import DatabaseError
from django.db.backends.base.validation import BaseDatabaseValidation
from django.db.backends.sqlite3.base import DatabaseWrapper

READ_ONLY = "the file and its folder have to be writable"


class DatabaseValidation(BaseDatabaseValidation):
    """Reports a file that cannot be opened, read or written.

    Runs in `migrate` and `check --database`, at the start of docker/serve, and in /readyz.
    """

    connection: DatabaseWrapper

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        reason = self.get_reason()
        text = (
            f"The SQLite file of the database “{self.connection.alias}” cannot be used: {reason}."
        )
        return [checks.Error(text, id="sqlite.E001")] if reason else []

    def get_reason(self) -> str:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM sqlite_master LIMIT 1")
        except DatabaseError as error:
            return str(error)
        if self.connection.is_in_memory_db():
            return ""
        file = Path(self.connection.settings_dict["NAME"])
        return "" if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK) else READ_ONLY
