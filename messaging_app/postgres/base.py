from time import monotonic

from django.db.backends.postgresql import base

from messaging_app.databases import STANDBY, WRITABLE

HEALTHY_SECONDS = 1
# What `transaction_read_only` must not be, by the value of `target_session_attrs`.
REFUSED = dict.fromkeys(WRITABLE, "on") | dict.fromkeys(STANDBY, "off")


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with what several servers need.

    The health check runs at most every HEALTHY_SECONDS instead of in each request. It also drops a
    connection to a server that has been demoted or promoted.
    """

    healthy_until = 0
    # The host and port that served last, by alias. For all threads.
    last_servers = {}

    def get_new_connection(self, conn_params):
        """Tries the server that served last first: one that is gone takes `connect_timeout`."""
        if "," in conn_params.get("host", ""):
            hosts, ports = conn_params["host"].split(","), conn_params["port"].split(",")
            servers = list(zip(hosts, ports, strict=True))
            servers.sort(key=lambda server: server != self.last_servers.get(self.alias))
            hosts, ports = map(",".join, zip(*servers, strict=True))
            conn_params = conn_params | {"host": hosts, "port": ports}
        connection = super().get_new_connection(conn_params)
        self.last_servers[self.alias] = (connection.info.host, str(connection.info.port))
        return connection

    def is_usable(self):
        if not self.errors_occurred and monotonic() < self.healthy_until:
            return True
        usable = self.is_healthy()
        self.healthy_until = monotonic() + HEALTHY_SECONDS if usable else 0
        return usable

    def is_healthy(self):
        try:
            [is_read_only] = self.connection.execute("SHOW transaction_read_only").fetchone()
        except self.Database.Error:
            return False
        return is_read_only != REFUSED.get(self.settings_dict["OPTIONS"]["target_session_attrs"])
