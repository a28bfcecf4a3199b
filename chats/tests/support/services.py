"""Redis, PostgreSQL and what runs in front of them: a test's own, to stop and start."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import redis
from django.conf import settings

from chats.tests.support.machines import LOCALHOST, PATH, find
from chats.tests.support.servers import free_port, freeze, get_children

START_SECONDS = 60
CONFIGURATION = settings.BASE_DIR / "docker" / "cluster"
STANDBY = CONFIGURATION / "standby"
# Nginx's folders, which are not this user's.
TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
# The fields of its access log.
LOGGED = {
    "path": "$request_uri",
    "status": "$status",
    "program_status": "$upstream_status",
    "seconds": "$request_time",
    "program_seconds": "$upstream_response_time",
    "protocol": "$server_protocol",
    "connection": "$connection",
}


class Service:
    """Subclasses have a `command` and say whether the server `is_up()`."""

    def __init__(self, machine=LOCALHOST):
        self.machine, self.port = machine, free_port()

    @property
    def address(self):
        return f"{self.machine.host}:{self.port}"

    def start(self, log=subprocess.DEVNULL, **variables):
        command = [*self.machine.prefix, *map(str, self.command())]
        self.process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=log, env={**os.environ, **variables}
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            assert time.monotonic() < deadline, "the service did not start"
            assert self.process.poll() is None, "the service ended"
            time.sleep(0.05)

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()

    def remove(self):
        self.kill()

    def freeze(self):
        """It accepts connections and never responds."""
        freeze(self.process.pid)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


class RedisServer(Service):
    """With further arguments, such as `--maxmemory 4mb`."""

    def __init__(self, *arguments, machine=LOCALHOST):
        super().__init__(machine)
        self.arguments = arguments

    @property
    def url(self):
        return f"redis://{self.address}/0"

    def command(self):
        options = ["--bind", self.machine.host, "--port", self.port, "--save", ""]
        return [find("redis-server"), *options, *self.arguments]

    def is_up(self):
        try:
            return redis.from_url(self.url).ping()
        except redis.RedisError:
            return False


class PostgresServer(Service):
    """A standby if there is a `primary`."""

    def __init__(self, machine=LOCALHOST, primary=None):
        super().__init__(machine)
        self.folder = Path(tempfile.mkdtemp())
        self.data = self.folder / "data"
        self.prefix = []
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(self.folder, "nobody")
            self.prefix = [find("setpriv"), "--reuid=nobody", "--clear-groups"]
        self.variables = {}
        self.follow(primary) if primary else self.initialize()

    def initialize(self):
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        self.run("initdb", *options, "-D", self.data)
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all,replication all samenet trust\n")

    def follow(self, primary):
        """Copy it at the next start, and become its standby."""
        shutil.rmtree(self.data, ignore_errors=True)
        source = f"host={primary.machine.host} port={primary.port} user=postgres"
        self.variables = {"PRIMARY": source, "PGDATA": str(self.data)}

    def run(self, program, *arguments):
        command = [*self.machine.prefix, *self.prefix, find(program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603

    @property
    def url(self):
        return f"postgres://postgres@{self.address}/postgres"

    def command(self):
        options = ["-D", self.data, "-k", self.folder, "-p", self.port, "-h", self.machine.host]
        # Its user cannot read the file of the script.
        program = ["sh", "-c", STANDBY.read_text(), "-"] if self.variables else [find("postgres")]
        return [*self.prefix, *program, *options]

    def start(self):
        with (self.folder / "log").open("a") as log:
            super().start(log, PATH=PATH, **self.variables)

    def freeze(self):
        """All its processes: connections stay open, and nothing responds."""
        super().freeze()
        for child in get_children(self.process.pid):
            freeze(child)

    def thaw(self):
        for pid in get_children(self.process.pid):
            os.kill(pid, signal.SIGCONT)
        super().thaw()

    def execute(self, statement):
        """The rows, if there are any."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def is_up(self):
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def remove(self):
        self.kill(signal.SIGQUIT)
        shutil.rmtree(self.folder)


class PgBouncer(Service):
    """In transaction mode. Runs `connect_query` on each new connection to the PostgresServer."""

    def __init__(self, postgres, connect_query="SELECT 1"):
        super().__init__(postgres.machine)
        self.postgres = postgres
        self.file = postgres.folder / f"pgbouncer.{self.port}.ini"
        server = f"host={postgres.machine.host} port={postgres.port} user=postgres"
        self.file.write_text(
            f"[databases]\n* = {server} connect_query='{connect_query}'\n"
            "[pgbouncer]\npool_mode = transaction\nauth_type = any\nunix_socket_dir =\n"
            f"listen_addr = {self.machine.host}\nlisten_port = {self.port}\n"
        )

    def command(self):
        return [*self.postgres.prefix, find("pgbouncer"), self.file]

    def get_url(self, database):
        return f"postgres://{self.address}/{database.name}"

    def is_up(self):
        try:
            psycopg.connect(f"postgres://{self.address}/postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


class Nginx(Service):
    """With this text as its `http` block, in which PORT is its own."""

    def __init__(self, folder, text):
        super().__init__()
        self.folder = folder / f"nginx.{self.port}"
        self.folder.mkdir()
        paths = [f"{name}_temp_path {self.folder};" for name in TEMPORARY]
        self.file = self.folder / "nginx.conf"
        # Otherwise another user's processes would write into its folder.
        user = "user root;" if os.geteuid() == 0 else ""
        text = text.replace("PORT", str(self.port))
        self.file.write_text(
            f"{user} daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;\n"
            f"events {{}}\nhttp {{ log_format json escape=json '{json.dumps(LOGGED)}'; "
            f"access_log {self.folder}/access.log json; {' '.join(paths)}\n{text} }}"
        )

    def get_requests(self):
        """The lines of its access log, in which all values are strings."""
        return list(map(json.loads, (self.folder / "access.log").read_text().splitlines()))

    def command(self):
        return [find("nginx"), "-c", self.file]

    def is_up(self):
        with socket.socket() as probe:
            return probe.connect_ex((self.machine.host, self.port)) == 0

    def remove(self):
        self.kill(signal.SIGTERM)
