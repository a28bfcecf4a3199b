from time import monotonic

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base

from messaging_app.conf.databases import STANDBY, WRITABLE

HEALTHY_SECONDS = 1
# For the response to a health check.
HEALTH_CHECK_SECONDS = 5
# The value of `transaction_read_only` that rules a server out, by `target_session_attrs`.
REFUSED = dict.fromkeys(WRITABLE, "on") | dict.fromkeys(STANDBY, "off")


class Connection(psycopg.Connection):
    """Closes itself and raises OperationalError if the server does not respond in time.

    Only this notices a server that hangs: its kernel still acknowledges what arrives.
    """

    # For each statement. None is no limit.
    max_seconds = None

    def wait(self, gen, interval=0.1, timeout=None):
        try:
            return super().wait(gen, interval, timeout or self.max_seconds)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.close()
            raise


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend, for several hosts.

    The health check runs at most every HEALTHY_SECONDS instead of in each request. It also drops a
    connection to a server that has been demoted or promoted.
    """

    healthy_until = 0
    # The server that each alias used last. Shared by all threads.
    last_servers = {}

    def get_new_connection(self, conn_params):
        """Connects to the first host that has the role in `target_session_attrs`.

        The role is queried, because PgBouncer reports a cached one. The host used last is tried
        first, because an unreachable one costs `connect_timeout`.
        """
        errors = []
        for server in self.get_servers(conn_params):
            try:
                return self.connect_to(server, conn_params)
            except self.Database.OperationalError as error:
                errors.append(str(error))
        raise self.Database.OperationalError("\n".join(errors))

    def get_servers(self, conn_params):
        """The `host` and `port` of each, if there are several."""
        hosts = conn_params.get("host", "").split(",")
        if len(hosts) == 1:
            return [{}]
        ports = conn_params["port"].split(",")
        servers = [{"host": host, "port": port} for host, port in zip(hosts, ports, strict=True)]
        return sorted(servers, key=lambda server: server != self.last_servers.get(self.alias))

    def connect_to(self, server, conn_params):
        """Raises OperationalError if it does not have the role in `target_session_attrs`."""
        conn_params = conn_params | server | {"autocommit": True}
        if settings.DATABASE_POOLER:
            conn_params["target_session_attrs"] = "any"
        self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection = Connection.connect(**conn_params)
        connection.max_seconds = self.settings_dict.get("MAX_SECONDS", Connection.max_seconds)
        if not self.is_healthy(connection):
            connection.close()
            message = f'The server "{conn_params.get("host")}" is gone, or has another role.'
            raise self.Database.OperationalError(message)
        self.last_servers[self.alias] = server
        return connection

    def is_usable(self):
        if not self.errors_occurred and monotonic() < self.healthy_until:
            return True
        usable = self.is_healthy(self.connection)
        self.healthy_until = monotonic() + HEALTHY_SECONDS if usable else 0
        return usable

    def is_healthy(self, connection):
        usual, connection.max_seconds = connection.max_seconds, HEALTH_CHECK_SECONDS
        try:
            [read_only] = connection.execute("SHOW transaction_read_only").fetchone()
        except self.Database.Error:
            return False
        finally:
            connection.max_seconds = usual
        return read_only != REFUSED.get(self.settings_dict["OPTIONS"]["target_session_attrs"])
