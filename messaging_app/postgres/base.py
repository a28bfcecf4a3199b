from time import monotonic

from django.db.backends.postgresql import base

HEALTHY_SECONDS = 1


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with a health check at most every HEALTHY_SECONDS instead of in each request.

    Of several hosts, the one that served last is tried first, because a connection to one that is
    gone takes until `connect_timeout`.
    """

    healthy_until = 0
    # A host and its port, by alias. For all threads.
    last_servers = {}

    def get_new_connection(self, conn_params):
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
        usable = super().is_usable() and not self.is_demoted()
        self.healthy_until = monotonic() + HEALTHY_SECONDS if usable else 0
        return usable

    def is_demoted(self):
        """Whether a server that can be written to was asked for, and this one no longer can.

        Through a pooler, a connection outlives the server's change of role.
        """
        if self.settings_dict["OPTIONS"].get("target_session_attrs") not in {
            "read-write",
            "primary",
        }:
            return False
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SHOW transaction_read_only")
                return cursor.fetchone() == ("on",)
        except self.Database.Error:
            return True
