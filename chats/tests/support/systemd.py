"""A systemd of a test's own, in namespaces. What it changes is lost with it."""

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from django.conf import settings

from chats.tests.support.machines import find

START_SECONDS = 60
SYSTEMD = "/lib/systemd/systemd"
NAMESPACES = ["--mount", "--pid", "--mount-proc", "--uts", "--ipc", "--cgroup", "--kill-child"]
# /opt/chat is this code, with the packages of this Python, and belongs to root. Of this machine's
# units, only those of UNITS are there.
START = r"""
mount -t tmpfs tmpfs /srv
mkdir /srv/etc /srv/work /srv/units
mount -t overlay overlay -o lowerdir=/etc,upperdir=/srv/etc,workdir=/srv/work /etc
for folder in /etc/systemd/system /opt /run /var/lib; do mount -t tmpfs tmpfs $folder; done
mkdir /run/lock
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys

for target in basic network-online shutdown sysinit timers; do
  printf '[Unit]\nDefaultDependencies=no\n' > /srv/units/$target.target
done
UNITS='dbus.service dbus.socket systemd-journald.service systemd-journald.socket'
for unit in $UNITS; do cp /lib/systemd/system/$unit /srv/units; done
echo "[Unit]
DefaultDependencies=no
Wants=$UNITS
After=$UNITS" > /srv/units/multi-user.target

mkdir -p /opt/python /opt/chat/.venv/bin "/opt/chat/.venv/$PACKAGES"
tar -C "$CODE" --exclude=./.venv --exclude=./.git --exclude=./.ci --exclude=./staticfiles \
  --exclude=node_modules --exclude='db.sqlite3*' -c . | tar -C /opt/chat -x --no-same-owner
chmod -R a+rX /opt/chat
mount --bind "$PYTHON" /opt/python
mount --bind "$SITE" "/opt/chat/.venv/$PACKAGES"
ln -s "/opt/python/bin/$VERSION" /opt/chat/.venv/bin/python
echo 'home = /opt/python/bin' > /opt/chat/.venv/pyvenv.cfg
# Its library may be in a home, which the units cannot read.
echo /opt/python/lib > /etc/ld.so.conf.d/00-python.conf
ldconfig

mount -t tmpfs tmpfs /tmp
exec env -i container=test SYSTEMD_UNIT_PATH=/etc/systemd/system:/srv/units \
  "$SYSTEMD" --unit=multi-user.target --log-target=console --show-status=no
"""


class Systemd:
    def __init__(self, folder):
        for program in ("unshare", "nsenter", SYSTEMD):
            find(program)
        self.log = folder / "systemd.log"
        self.group = find_cgroups() / f"chat-{os.getpid()}"
        try:
            self.group.mkdir()
        except OSError as error:
            pytest.skip(f"Needs control groups: {error}")

    def start(self):
        packages = Path(sysconfig.get_path("purelib"))
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "CODE": settings.BASE_DIR,
            "PYTHON": sys.base_prefix,
            "PACKAGES": packages.relative_to(sys.prefix),
            "VERSION": packages.parent.name,
            "SITE": packages,
            "SYSTEMD": SYSTEMD,
        }
        join = f'echo $$ > {self.group}/cgroup.procs; exec "$@"'
        command = ["bash", "-euc", join, "-", find("unshare"), *NAMESPACES, "bash", "-euc", START]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(  # noqa: S603
                command,
                env={name: str(value) for name, value in variables.items()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_for("systemctl is-active multi-user.target")

    def wait_for(self, script):
        """Until it succeeds."""
        deadline = time.monotonic() + START_SECONDS
        while (done := self.call(script)).returncode:
            assert time.monotonic() < deadline, f"{done.stderr}{self.log.read_text()}"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def run(self, script):
        """What it prints."""
        done = self.call(script)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.log.read_text()}"
        return done.stdout

    def call(self, script):
        """In bash, as root, in /opt/chat."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        target = children.read_text().strip() or "0"
        command = [find("nsenter"), "-t", target, "--all", "--wdns=/opt/chat", "bash", "-eu"]
        return subprocess.run(  # noqa: S603
            command,
            input=script,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    def remove(self):
        self.process.kill()
        self.process.wait()
        while "populated 1" in (self.group / "cgroup.events").read_text():
            time.sleep(0.01)
        for folder, *_ in os.walk(self.group, topdown=False):
            Path(folder).rmdir()


def find_cgroups():
    """Where the unified hierarchy is."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    pytest.skip("Needs control groups, version 2")
