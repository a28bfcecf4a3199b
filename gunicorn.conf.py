"""Read by `gunicorn messaging_app.wsgi`. GUNICORN_CMD_ARGS and the command line go before it."""

import json
import logging

from gunicorn import glogging

# For 2 cores: one process can wait for its GIL while the others work, and a thread for the
# database, Redis or a slow client. Each thread has a database connection of its own.
workers = 3
worker_class = "gthread"
threads = 4
keepalive = 15

# In seconds. A worker that no longer gets to run, and requests still going on after so long a
# reload, are ended; a single request that hangs is not.
timeout = 60
graceful_timeout = 30
# For PostgreSQL's client library: no statement, and no transaction whose process has stopped,
# holds up others for longer.
raw_env = ["PGOPTIONS=-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s"]

# The most that gunicorn allows: a `?search=` may be long. Bodies: API_REQUEST_MAX_BYTES.
limit_request_line = 8190
limit_request_fields = 64
# Nobody is believed for the path and the scheme; TRUSTED_PROXIES is Django's affair.
forwarded_allow_ips = ""
control_socket_disable = True

accesslog = "-"


class AccessFormatter(logging.Formatter):
    """A JSON line a request. Without its query, in which people search for what was written,
    and without any header that a client sent but its User-Agent."""

    def format(self, record):
        atoms = record.args
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "request_id": atoms.get("{x-request-id}o"),
            "address": atoms["h"],
            "method": atoms["m"],
            "path": atoms["U"],
            "status": int(atoms["s"]),
            "bytes": atoms["B"],
            "milliseconds": atoms["D"] / 1000,
            "pid": record.process,
            "user_agent": atoms["a"],
        }
        return json.dumps(line)


def is_free_of_input(record):
    """gunicorn quotes a request that it cannot read, and what secrets are in it."""
    return not record.getMessage().startswith("Invalid request")


class Logger(glogging.Logger):
    # JSON does the escaping.
    atoms_wrapper_class = dict

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(is_free_of_input)
        for handler in self.access_log.handlers:
            handler.setFormatter(AccessFormatter())


logger_class = Logger
