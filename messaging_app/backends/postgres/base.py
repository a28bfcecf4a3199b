from time import monotonic
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from messaging_app.backends import PREPARED
from messaging_app.backends.postgres.session import COMMAND_LIMITS, as_options
from messaging_app.backends.postgres.validation import DatabaseValidation

HEALTHY_SECONDS = 1
# For the response to a health check.
HEALTH_CHECK_SECONDS = 5


class Connection(psycopg.Connection):
    """Closes itself and raises OperationalError if the server does not respond in time.

    TCP's timeouts do not detect a server that hangs, because its kernel still sends
    acknowledgements.
    """

    # For each statement. None is no limit.
    max_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, timeout or self.max_seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()
            raise


class Cursor(base.ServerBindingCursor):
    """Prepares only the statements that say so, and reads rows in binary form, which is faster.

    After five runs PostgreSQL may plan a prepared statement for the average of its parameters. A
    page of a long conversation then reads its whole history.
    """

    def execute(self, query: Any, params: Any = None, **kwargs: Any) -> Any:
        kwargs["prepare"] = isinstance(query, str) and query.startswith(PREPARED)
        # Not without parameters: several statements in one have no binary form.
        kwargs["binary"] = bool(params)
        return super().execute(query, params, **kwargs)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend, with a limit for each statement.

    The health check runs at most every HEALTHY_SECONDS instead of in each request. It also drops a
    connection to a server that no longer accepts writes.
    """

    validation_class = DatabaseValidation
    # Set on every connection, unless `options` in the settings has another value.
    limits = COMMAND_LIMITS
    healthy_until = 0.0

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        if options := conn_params.get("options"):
            conn_params["options"] = f"{as_options(self.limits)} {options}"
        if conn_params["cursor_factory"] is base.ServerBindingCursor:
            conn_params["cursor_factory"] = Cursor
        return Connection.connect(**conn_params)

    def is_usable(self) -> bool:
        if self.errors_occurred or monotonic() > self.healthy_until:
            self.healthy_until = monotonic() + HEALTHY_SECONDS if self.is_healthy() else 0
        return self.healthy_until > 0

    def is_healthy(self) -> bool:
        self.connection.max_seconds = HEALTH_CHECK_SECONDS
        try:
            [read_only] = self.connection.execute("SHOW transaction_read_only").fetchone()
        except self.Database.Error:
            return False
        finally:
            del self.connection.max_seconds
        must_be_writable = self.settings_dict["OPTIONS"]["target_session_attrs"] == "read-write"
        return not (must_be_writable and read_only == "on")
