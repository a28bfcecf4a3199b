"""Read by `gunicorn messaging_app.wsgi`. GUNICORN_CMD_ARGS and the command line override it."""

import contextlib
import json
import logging
import math
import os
import socket
import time
from collections import defaultdict

from gunicorn import glogging
from gunicorn.sock import close_sockets, create_sockets

# Three processes for two cores: a process uses one core at most. While a thread waits for the
# database, Redis or a slow client, the others work. Each thread has its own database connection.
workers = 3
worker_class = "gthread"
threads = 4
keepalive = 15

# In seconds: when a worker that does not respond is killed, and how long a reload waits for
# requests. A single request that hangs is not ended.
timeout = 60
graceful_timeout = 30
# PostgreSQL ends a statement, or an idle transaction, after 30 seconds. After about six seconds it
# closes the connections of a machine that has disappeared, so that its locks are released.
# messaging_app/conf/databases.py adds PGOPTIONS to each connection.
POSTGRES_TIMEOUTS = (
    "-c statement_timeout=30s -c idle_in_transaction_session_timeout=30s -c tcp_user_timeout=5s "
    "-c tcp_keepalives_idle=3 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2 "
    "-c client_connection_check_interval=1s"
)
raw_env = [f"PGOPTIONS={POSTGRES_TIMEOUTS} {os.environ.get('PGOPTIONS', '')}"]

# The most that gunicorn allows. Bodies: API_REQUEST_MAX_BYTES.
limit_request_line = 8190
limit_request_fields = 64
# gunicorn trusts no proxy. Django trusts TRUSTED_PROXIES.
forwarded_allow_ips = ""
control_socket_disable = True

accesslog = "-"

# If the program leaves a body unread, gunicorn reads the rest and keeps the connection, provided
# that the body is shorter than this.
DRAINED_BODY_BYTES = 64 * 1024
# The most that is read of a body whose connection is going to be closed.
CLOSING_BODY_BYTES = 16 * 1024 * 1024
CLOSING_SECONDS = 5
CLOSING_IDLE_SECONDS = 1


def on_starting(server):
    """Give each worker a listening socket, between which the kernel spreads the connections.

    Workers that share one keep what they happen to accept, often nearly everything one of them. The
    sockets belong to the arbiter, so that a connection waits in them while its worker is replaced.
    """
    is_inherited = {"GUNICORN_FD", "LISTEN_FDS"} & os.environ.keys()
    if not is_inherited and all(isinstance(address, tuple) for address in server.cfg.address):
        # Exits if another server listens there. Sockets with SO_REUSEPORT would share it silently.
        close_sockets(create_sockets(server.cfg, server.log))
        server.cfg.set("reuse_port", True)
        server.LISTENERS = [
            listener
            for _ in range(server.cfg.workers)
            for listener in create_sockets(server.cfg, server.log)
        ]
        server.cfg.set("reuse_port", False)


def get_listeners(server):
    """The listening sockets for each address."""
    listeners = defaultdict(list)
    for listener in server.LISTENERS:
        listeners[str(listener)].append(listener)
    return listeners.values()


def count_workers(server, listener):
    return sum(listener in worker.sockets for worker in server.WORKERS.values())


def pre_fork(server, worker):
    """Give the worker the sockets that the fewest other workers have, one for each address."""
    worker.sockets = [
        min(listeners, key=lambda listener: count_workers(server, listener))
        for listeners in get_listeners(server)
    ]


def post_fork(server, worker):
    """Close the worker's copies of the others' sockets, or these would outlive the others."""
    for listener in server.LISTENERS:
        if listener not in worker.sockets:
            listener.close()


def child_exit(server, worker):
    """Close sockets that no worker accepts from any more, because their number was reduced."""
    if len(server.WORKERS) < server.num_workers:
        # Another worker will take over its sockets.
        return
    for listener in worker.sockets:
        if listener in server.LISTENERS and not count_workers(server, listener):
            server.LISTENERS.remove(listener)
            listener.close()


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
