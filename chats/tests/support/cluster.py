"""Two web servers behind HAProxy, on PostgreSQL with a synchronous standby, and Redis. Each on a
machine of its own."""

import csv
import socket
from contextlib import ExitStack, suppress

import requests

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.machines import Network, find
from chats.tests.support.servers import Server, manage
from chats.tests.support.services import CONFIGURATION, PostgresServer, RedisServer, Service


class LoadBalancer(Service):
    def __init__(self, webs, folder):
        super().__init__()
        self.webs = webs
        self.admin_socket = str(folder / "haproxy.sock")

    @property
    def url(self):
        return f"http://{self.address}/api"

    def start(self):
        webs = {f"WEB_{n}": web.address for n, web in enumerate(self.webs, 1)}
        super().start(BIND=self.address, ADMIN_SOCKET=self.admin_socket, **webs)

    def command(self):
        return [find("haproxy"), "-db", "-f", CONFIGURATION / "haproxy.cfg"]

    def is_up(self):
        with suppress(requests.ConnectionError):
            return requests.get(f"http://{self.address}/healthz", timeout=60).status_code == 200

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.admin_socket)
            connection.sendall(f"{command}\n".encode())
            return connection.makefile().read()

    def set_state(self, web, state, **expected):
        """`drain` or `ready`, until the balancer's statistics have these values."""
        name, values = f"web{self.webs.index(web) + 1}", {}
        self.ask(f"set server web/{name} state {state}")
        while not expected.items() <= values.items():
            rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
            [values] = [row for row in rows if row["svname"] == name]

    def drain(self, web):
        """Send the machine no more requests, and wait for its last responses."""
        self.set_state(web, "drain", scur="0")

    def use(self, web):
        """Send the machine requests again, and wait until it is known to respond."""
        self.set_state(web, "ready", status="UP")


class StoredAt:
    """What a Server wants to know of its database."""

    def __init__(self, url):
        self.url = url


class Cluster:
    """Runs until `remove()`."""

    def __init__(self, folder):
        for program in ("haproxy", "postgres", "redis-server"):
            find(program)
        with ExitStack() as stack:
            self.stack = stack
            self.start(folder)
            # Without an error, nothing is to be ended yet.
            self.stack = stack.pop_all()

    def start(self, folder):
        self.network = Network()
        self.stack.callback(self.network.remove)
        self.primary = self.run(PostgresServer(self.network.add_machine()))
        self.standby = self.run(PostgresServer(self.network.add_machine(), self.primary))
        self.wait_for_standby()
        self.url = f"postgres://postgres@{self.primary.address},{self.standby.address}/postgres"
        manage("migrate", DATABASE_URL=self.url)
        machine = self.network.add_machine()
        self.redis = self.run(RedisServer("--protected-mode", "no", machine=machine))
        self.webs = [self.run(self.make_web(folder / f"{n}")) for n in range(2)]
        self.balancer = self.run(LoadBalancer(self.webs, folder))

    def run(self, service):
        self.stack.callback(service.remove)
        service.start()
        return service

    def make_web(self, folder):
        folder.mkdir()
        return Server(
            StoredAt(self.url),
            folder,
            CheckedSession,
            self.network.add_machine(),
            CACHE_URL=self.redis.url,
            TRUSTED_PROXIES="1",
            ALLOWED_HOSTS="*",
        )

    def wait_for_standby(self, name="standby"):
        """Have each commit on the primary wait for the standby of this name, or for none."""
        self.primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        self.primary.execute("SELECT pg_reload_conf()")

    def promote(self):
        """The standby becomes the primary."""
        self.standby.execute("SELECT pg_promote()")
        self.primary, self.standby = self.standby, self.primary

    def heal(self):
        """Start what is down. What was the primary becomes the standby."""
        for machine in self.network.machines:
            machine.plug_in()
        if self.standby.process.poll() is not None:
            if not (self.standby.data / "standby.signal").exists():
                self.standby.follow(self.primary)
            self.standby.start()
        self.wait_for_standby()
        for web in self.webs:
            if web.process.poll() is not None:
                web.start()
            self.balancer.use(web)
        if self.redis.process.poll() is not None:
            self.redis.start()

    def restart(self, web):
        """No request fails meanwhile."""
        self.balancer.drain(web)
        web.stop()
        web.start()
        self.balancer.use(web)

    def sign_up(self, name):
        person = self.webs[0].sign_up(name)
        person.url = self.balancer.url
        return person

    def remove(self):
        self.stack.close()
