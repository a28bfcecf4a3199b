from time import monotonic

from django.db.backends.postgresql import base

from messaging_app.databases import STANDBY, WRITABLE

HEALTHY_SECONDS = 1
# The value of `transaction_read_only` that rules a server out, by `target_session_attrs`.
REFUSED = dict.fromkeys(WRITABLE, "on") | dict.fromkeys(STANDBY, "off")


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's PostgreSQL backend, for several hosts.

    The health check runs at most every HEALTHY_SECONDS instead of in each request. It also drops a
    connection to a server that has been demoted or promoted.
    """

    healthy_until = 0
    # The server that each alias used last. Shared by all threads.
    last_servers = {}

    def get_new_connection(self, conn_params):
        """Connects to the first of the hosts that has the role that is asked for.

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
        """Raises OperationalError if it does not have the role that is asked for."""
        conn_params = conn_params | server | {"target_session_attrs": "any", "autocommit": True}
        connection = super().get_new_connection(conn_params)
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
        try:
            [is_read_only] = connection.execute("SHOW transaction_read_only").fetchone()
        except self.Database.Error:
            return False
        return is_read_only != REFUSED.get(self.settings_dict["OPTIONS"]["target_session_attrs"])
