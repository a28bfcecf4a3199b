"""Read by `gunicorn messaging_app.wsgi`. GUNICORN_CMD_ARGS and the command line override it."""

import contextlib
import json
import logging
import math
import os
import socket
import time

from gunicorn import glogging

# For 2 cores: while one process waits for its GIL the others work, and while one thread waits for
# the database, Redis or a slow client the others do. Each thread has its own database connection.
workers = 3
worker_class = "gthread"
threads = 4
keepalive = 15

# In seconds: when a worker that does not respond is killed, and how long a reload waits for
# requests. A single request that hangs is not ended.
timeout = 60
graceful_timeout = 30
# PostgreSQL ends a statement, or an idle transaction, after this time. Its client library reads
# PGOPTIONS.
POSTGRES_TIMEOUTS = "-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s"
raw_env = [f"PGOPTIONS={POSTGRES_TIMEOUTS} {os.environ.get('PGOPTIONS', '')}"]

# The most that gunicorn allows. Bodies: API_REQUEST_MAX_BYTES.
limit_request_line = 8190
limit_request_fields = 64
# gunicorn trusts no proxy. Django trusts TRUSTED_PROXIES.
forwarded_allow_ips = ""
control_socket_disable = True

accesslog = "-"

# gunicorn reads less than this of a body that the program left unread, and keeps the connection.
DRAINED_BODY_BYTES = 64 * 1024
# The most that is read of a body whose connection is going to be closed.
CLOSING_BODY_BYTES = 16 * 1024 * 1024
CLOSING_SECONDS = 5
CLOSING_IDLE_SECONDS = 1


def get_body_bytes(req):
    headers = dict(req.headers)
    return math.inf if "TRANSFER-ENCODING" in headers else int(headers.get("CONTENT-LENGTH", 0))


def pre_request(worker, req):
    """Make the response to a long or chunked body say `Connection: close`.

    The program may refuse such a body unread. gunicorn would say `keep-alive` and then close the
    connection, and a client that keeps its connections would get an error on its next request.
    """
    if get_body_bytes(req) >= DRAINED_BODY_BYTES:
        req.force_close()


def post_request(worker, req, environ, resp):
    """Read what the client is still sending before its connection is closed.

    Closing a socket with unread data resets the connection, and the client may lose the response.
    gunicorn would read 64 KiB at most. It would also wait for 2 seconds, in the thread that accepts
    all connections, for a client that does not close its end.
    """
    if resp is None or not resp.headers_sent or not resp.should_close():
        return
    connection = environ["gunicorn.socket"]
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        if get_body_bytes(req):
            drain(connection)
    with contextlib.suppress(OSError):
        # So that gunicorn has nothing to wait for when it closes the socket.
        connection.shutdown(socket.SHUT_RD)


def drain(connection):
    deadline, drained = time.monotonic() + CLOSING_SECONDS, 0
    while drained < CLOSING_BODY_BYTES and (seconds := deadline - time.monotonic()) > 0:
        connection.settimeout(min(seconds, CLOSING_IDLE_SECONDS))
        if not (data := connection.recv(DRAINED_BODY_BYTES)):
            return
        drained += len(data)


class AccessFormatter(logging.Formatter):
    """Writes a JSON line for each request, without the query string, in which people search for
    text, and with no request header but the User-Agent."""

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
    """gunicorn quotes a request that it cannot read, secrets included."""
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
