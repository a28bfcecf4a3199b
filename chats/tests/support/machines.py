"""Machines of a test's own: network namespaces, where this user may make them."""

import os
import random
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Debian keeps PostgreSQL's out of the PATH.
FOLDERS = [os.environ["PATH"], "/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
PATH = os.pathsep.join(FOLDERS)


def find(program):
    """Its path. Without it the test is skipped, or fails in CI."""
    found = shutil.which(program, path=PATH)
    if not found:
        message = f"{program} is not installed"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return found


@dataclass
class Machine:
    host: str
    # Runs a command on the machine.
    prefix: list = field(default_factory=list)
    # The bridge's end of its cable; also the name of its namespace.
    interface: str = ""

    def unplug(self):
        """Drop all packets to and from the machine, without an error."""
        if not self.interface:
            pytest.skip("Needs network namespaces")
        ip("link", "set", self.interface, "down")

    def plug_in(self):
        if self.interface:
            ip("link", "set", self.interface, "up")
            # Forget neighbours that did not respond meanwhile.
            ip("-n", self.interface, "neighbour", "flush", "dev", "eth0")


LOCALHOST = Machine("127.0.0.1")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)  # noqa: S603, S607


class Network:
    """Connects machines with each other and with this one."""

    def __init__(self):
        self.number = random.randint(1, 250)  # noqa: S311
        self.bridge = f"chat{self.number}"
        self.machines = []
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("address", "add", f"10.213.{self.number}.254/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
        except (OSError, subprocess.CalledProcessError):
            self.bridge = None

    def add_machine(self):
        if not self.bridge:
            return LOCALHOST
        n = len(self.machines) + 1
        name = interface = f"{self.bridge}-{n}"
        machine = Machine(f"10.213.{self.number}.{n}", ["ip", "netns", "exec", name], interface)
        ip("netns", "add", name)
        self.machines.append(machine)
        ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", interface, "master", self.bridge, "up")
        ip("-n", name, "address", "add", f"{machine.host}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", name, "link", "set", device, "up")
        return machine

    def remove(self):
        for machine in self.machines:
            ip("netns", "delete", machine.interface)
        if self.bridge:
            ip("link", "delete", self.bridge)
