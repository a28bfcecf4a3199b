"""Starts granian at HOST and PORT, with WORKERS processes."""

import multiprocessing
import os
import resource
import socket
import sys
from importlib import import_module
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer, WorkerProcess

from chats.events.slots import SLOTS_FILE
from messaging_app.conf.debug import refuse_debug
from messaging_app.conf.log import log_exception, log_uncaught
from messaging_app.exporter import exporting, keep_folder

HEAD_MAX_BYTES = 32 * 1024
# A connection is closed if no complete head arrives in this time.
HEAD_SECONDS = 30
# In each process. The streams of events leave some to other requests.
MAX_CONNECTIONS = 12_000
STREAMS_PART = 5 / 6
# New connections that no process has accepted.
BACKLOG = 1_024
# The environment variable that tells workers the socket's file descriptor.
LISTENER_FD = "LISTENER_FD"
# A client that takes nothing for so long is disconnected, and one whose network is gone.
GONE_MS = 30_000
# After SIGTERM. Requests that take longer are cut off.
STOP_SECONDS = 45


class Server(MPServer):
    """Keeps the socket of each worker for the one that replaces it: granian closes it, and with it
    the connections that the worker had not accepted."""

    def _init_shared_socket(self) -> None:
        self.listeners = create_listeners()

    def _spawn_worker(self, idx: int, *args: Any, **kwargs: Any) -> WorkerProcess:
        keep_folder()
        self._ssp, self._sso = None, self.listeners[idx]
        descriptor = self._sso.fileno()
        self._shd = SocketHolder(descriptor, False, BACKLOG)  # type: ignore[call-arg, assignment]
        os.environ[LISTENER_FD] = str(descriptor)
        return super()._spawn_worker(idx, *args, **kwargs)

    def _drop_shared_socket(self) -> None:
        for listener in self.listeners:
            listener.close()


def main() -> None:
    log_uncaught()
    refuse_debug()
    # Not as copies of this process, which has loaded the settings.
    multiprocessing.set_start_method("spawn")
    try:
        slots = NamedTemporaryFile()  # noqa: SIM115
    except OSError as error:
        text = f"There is no folder for temporary files: {error.strerror}"
        raise ImproperlyConfigured(text) from error
    with slots, exporting():
        os.environ[SLOTS_FILE] = slots.name
        serve()


def serve() -> None:
    Server(
        "messaging_app.asgi:application",
        interface=Interfaces.ASGI,
        workers=settings.WORKERS,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        backpressure=count_connections(),
        http1_settings=HTTP1Settings(
            header_read_timeout=HEAD_SECONDS * 1_000, max_buffer_size=HEAD_MAX_BYTES
        ),
        log_level=LogLevels.warning,
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    ).serve(target_loader=load)


def load(target: str) -> Any:
    """In each worker."""
    log_uncaught()
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        # multiprocessing would print the traceback as text.
        log_exception(error)
        sys.exit(1)


def count_connections() -> int:
    """Of a process. A connection is an open file, and a long body in progress is another one."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return min(MAX_CONNECTIONS, limit // 2)


def create_listeners() -> list[socket.socket]:
    """A socket for each worker, at HOST and PORT. Raises ImproperlyConfigured if another server
    listens there."""
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(
            settings.HOST, settings.PORT, type=socket.SOCK_STREAM
        )
        # Sockets that share a port would share it with another server silently.
        socket.create_server(address, family=family).close()
        listeners = [
            socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=True)
            for _ in range(settings.WORKERS)
        ]
        for listener in listeners:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MS)
        return listeners
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        text = f"HOST={settings.HOST} PORT={settings.PORT}: {reason}"
        raise ImproperlyConfigured(text) from error


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")
    main()
