"""`docker/serve`: granian, with what the settings say of host, port, processes and threads."""

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
# A client that has sent half of a head, or nothing, is disconnected after so long.
HEAD_SECONDS = 30
# In each process. A connection is an open file.
MAX_CONNECTIONS = 10_000
# Longer than any request takes; a client that reads slowly would hold up the end of its process.
STOP_SECONDS = 45


def main() -> None:
    check_port()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Granian(
        "messaging_app.asgi:application",
        address=settings.HOST,
        port=settings.PORT,
        interface=Interfaces.ASGI,
        workers=settings.WORKERS,
        http=HTTPModes.http1,
        websockets=False,
        loop=Loops.uvloop,
        backpressure=MAX_CONNECTIONS,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEAD_SECONDS * 1_000, max_buffer_size=HEAD_MAX_BYTES
        ),
        log_level=LogLevels.warning,
        log_dictconfig=settings.LOGGING,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
    ).serve()


def check_port() -> None:
    """granian would share the port with a server that has it already."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    try:
        socket.create_server((settings.HOST, settings.PORT), family=family).close()
    except OSError as error:
        sys.exit(f"HOST={settings.HOST} PORT={settings.PORT}: {error.strerror}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")
    main()
