"""Starts granian at HOST and PORT, with WORKERS processes."""

import multiprocessing
import os
import resource
import socket
import sys

from django.conf import settings
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

HEAD_MAX_BYTES = 32 * 1024
# A connection is closed if no complete head arrives in this time.
HEAD_SECONDS = 30
# In each process.
MAX_CONNECTIONS = 10_000
# After SIGTERM. Requests that take longer are cut off.
STOP_SECONDS = 45


def main() -> None:
    # Not as copies of this process, which has loaded the settings.
    multiprocessing.set_start_method("spawn")
    Granian(
        "messaging_app.asgi:application",
        address=get_free_address(),
        port=settings.PORT,
        interface=Interfaces.ASGI,
        workers=settings.WORKERS,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        backpressure=min(MAX_CONNECTIONS, raise_file_limit() // 2),
        http1_settings=HTTP1Settings(
            header_read_timeout=HEAD_SECONDS * 1_000, max_buffer_size=HEAD_MAX_BYTES
        ),
        log_level=LogLevels.warning,
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    ).serve()


def raise_file_limit() -> int:
    """How many files a process may open. A connection is one, and a long body in progress is."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        return limit
    return 2 * MAX_CONNECTIONS


def get_free_address() -> str:
    """HOST's IP address. Exits if a server listens there: granian sets SO_REUSEPORT, so that both
    would share the port silently."""
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(
            settings.HOST, settings.PORT, type=socket.SOCK_STREAM
        )
        socket.create_server(address, family=family).close()
    except OSError as error:
        sys.exit(f"HOST={settings.HOST} PORT={settings.PORT}: {error.strerror}")
    return str(address[0])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")
    main()
