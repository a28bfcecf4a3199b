"""A Redis and a PostgreSQL of a test's own, to stop and start."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
import redis

from chats.tests.support.servers import free_port

START_SECONDS = 60
# Debian keeps PostgreSQL's out of the PATH.
FOLDERS = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]


def find(program):
    """Its path; without it the test is skipped, which CI does not put up with."""
    found = shutil.which(program, path=os.pathsep.join(FOLDERS))
    if not found:
        message = f"{program} is not installed"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return found


class Service:
    """Subclasses have a `command` and say whether the server `is_up()`."""

    def __init__(self):
        self.port = free_port()

    def start(self):
        self.process = subprocess.Popen(  # noqa: S603
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            assert time.monotonic() < deadline, "the service did not start"
            assert self.process.poll() is None, "the service ended"
            time.sleep(0.05)

    def stop(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()

    def freeze(self):
        """It accepts connections and never responds."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


class RedisServer(Service):
    """With further arguments, such as `--maxmemory 4mb`."""

    def __init__(self, *arguments):
        super().__init__()
        self.arguments = arguments

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self):
        program = find("redis-server")
        return [
            program,
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--save",
            "",
            *self.arguments,
        ]

    def is_up(self):
        try:
            return redis.from_url(self.url).ping()
        except redis.RedisError:
            return False


class PostgresServer(Service):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.prefix = []
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(self.folder, "nobody")
            self.prefix = [find("setpriv"), "--reuid=nobody", "--clear-groups"]
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        initdb = [*self.prefix, find("initdb"), *options]
        subprocess.run(  # noqa: S603
            [*initdb, "-D", self.folder / "data"], check=True, stdout=subprocess.DEVNULL
        )

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def command(self):
        program = find("postgres")
        options = ["-D", self.folder / "data", "-k", self.folder, "-p", str(self.port)]
        return [*self.prefix, program, *options, "-h", "127.0.0.1"]

    def is_up(self):
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)
