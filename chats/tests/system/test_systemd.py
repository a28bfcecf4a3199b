"""The units of deploy/systemd, installed by docs/operating.md under a systemd of their own."""

import json
import re
import socket

import pytest
import requests
from django.conf import settings

from chats.tests.support.documents import OPERATING, blocks, section
from chats.tests.support.prometheus import Metrics
from chats.tests.support.servers import free_port
from chats.tests.support.systemd import Systemd
from messaging_app.serve import STOP_SECONDS

pytestmark = pytest.mark.once

UNITS = settings.BASE_DIR / "deploy" / "systemd"
# Of ten. An unhardened service has 9.6. What is left is mostly that it may use the network.
MAX_EXPOSURE = 1.4
AS_CHAT = "systemd-run --quiet --unit=chat-try --pipe --wait --collect"
SQL = "sqlite3 /var/lib/chat/db.sqlite3"
EXPIRED = "INSERT INTO django_session VALUES ('expired', '', '2026-01-01')"
COUNT = "SELECT count(*) FROM django_session"
HEAD = (
    "POST /api/token/ HTTP/1.1\r\nHost: chat.example.com\r\nX-Forwarded-Proto: https\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


class Installed(Systemd):
    """By the page's commands."""

    def install(self):
        copy, start = blocks("bash", section(OPERATING, "At boot"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.metrics_address = f"127.0.0.1:{free_port()}"
        self.run(copy)
        # As an operator edits the file.
        self.run(f"""
            sed -i "s/^SECRET_KEY=$/&$(openssl rand -hex 32)/" /etc/chat.env
            sed -i s/^WORKERS=.*/WORKERS=1/ /etc/chat.env
            sed -i s/^#METRICS_ADDRESS=.*/METRICS_ADDRESS={self.metrics_address}/ /etc/chat.env
            echo PORT={self.port} >> /etc/chat.env
        """)
        self.run(start)
        self.wait_until_up()

    def wait_until_up(self):
        self.wait_for(f"curl -sf {self.url}/healthz")

    def show(self, unit, name):
        return self.run(f"systemctl show --value -p {name} {unit}").strip()

    def get_workers(self):
        group = "/sys/fs/cgroup/system.slice/chat-web.service/cgroup.procs"
        names = self.run(
            f"for pid in $(cat {group}); do echo $pid $(tr '\\0' ' ' < /proc/$pid/cmdline); done"
        )
        return set(re.findall(r"^(\d+) .*spawn_main", names, re.MULTILINE))


@pytest.fixture(scope="module")
def systemd(tmp_path_factory):
    systemd = Installed(tmp_path_factory.mktemp("systemd"))
    try:
        systemd.start()
        systemd.install()
        yield systemd
    finally:
        systemd.remove()


def test_server_is_ready_and_logs_to_the_journal(systemd):
    response = requests.get(f"{systemd.url}/readyz", timeout=60)
    assert response.status_code == 200
    systemd.wait_for("journalctl -u chat-web -o cat | grep '/readyz'")
    lines = systemd.run("journalctl -u chat-web -o cat _COMM=python").splitlines()
    assert "/readyz" in {json.loads(line).get("path") for line in lines}


def test_metrics_outlive_a_command(systemd):
    """RemoveIPC empties /dev/shm only after the last unit of the user."""
    systemd.run(f"{AS_CHAT} true")
    assert requests.get(f"{systemd.url}/healthz", timeout=60).status_code == 200
    metrics = Metrics(systemd.metrics_address)
    while not metrics.get("messaging_requests_total", endpoint="healthz"):
        metrics = Metrics(systemd.metrics_address)


def test_units_are_right_and_little_exposed(systemd):
    done = systemd.call(
        "systemd-analyze verify chat-web.service chat-daily.service chat-daily.timer"
    )
    assert (done.returncode, done.stderr) == (0, "")
    for unit in ("chat-web.service", "chat-daily.service"):
        threshold = f"--threshold={MAX_EXPOSURE * 10:.0f}"
        systemd.run(f"systemd-analyze security --no-pager --offline=true {threshold} {unit}")


def test_program_can_write_to_its_own_folder_only(systemd):
    # Everybody may write to these two.
    systemd.run("mkdir -m 777 /opt/chat/open /var/lib/open")
    folders = "/opt/chat /opt/chat/open /etc /usr /var/lib/open /root /home /tmp /var/lib/chat"
    done = systemd.call(f"""{AS_CHAT} bash -c '
        for folder in {folders}; do
          if touch $folder/written 2> /dev/null; then echo $folder; fi
        done; cat /etc/chat.env' """)
    assert done.stdout.split() == ["/tmp", "/var/lib/chat"]  # noqa: S108
    assert "/etc/chat.env: Permission denied" in done.stderr


def test_stop_may_take_what_the_server_takes(systemd):
    assert systemd.show("chat-web", "TimeoutStopUSec") == f"{STOP_SECONDS + 5}s"


def test_reload_replaces_the_processes(systemd):
    main, workers = systemd.show("chat-web", "MainPID"), systemd.get_workers()
    assert len(workers) == 1
    systemd.run("systemctl reload chat-web")
    while systemd.get_workers() & workers:
        assert requests.get(f"{systemd.url}/healthz", timeout=60).status_code == 200
    assert systemd.show("chat-web", "MainPID") == main


def test_killed_server_is_started_again(systemd):
    main = systemd.show("chat-web", "MainPID")
    systemd.run(f"kill -9 {main}")
    systemd.wait_for("test $(systemctl show --value -p NRestarts chat-web) = 1")
    systemd.wait_until_up()
    assert systemd.show("chat-web", "MainPID") != main


def test_timer_runs_the_daily_commands(systemd):
    assert systemd.show("chat-daily.timer", "NextElapseUSecRealtime")
    [commands] = blocks("bash", section(OPERATING, "Daily commands"))
    text = (UNITS / "chat-daily.service").read_text()
    assert re.findall("^ExecStart=/opt/chat/(.*)$", text, re.MULTILINE) == commands.splitlines()
    systemd.run(f'{SQL} "{EXPIRED}"')
    systemd.run("systemctl start chat-daily.service")
    assert systemd.show("chat-daily", "Result") == "success"
    assert systemd.run(f'{SQL} "{COUNT}"') == "0\n"


def test_stop_finishes_the_request_in_progress(systemd):
    body = b'{"email": "ann@example.com", "password": "wrong"}'
    head = HEAD.format(len(body)).encode()
    with socket.create_connection(("127.0.0.1", systemd.port), timeout=60) as client:
        client.sendall(head + body[:10])
        # A later request has its response, so the server has begun to read the first one.
        requests.get(f"{systemd.url}/healthz", timeout=60)
        systemd.run("systemctl stop --no-block chat-web")
        systemd.wait_for("test $(systemctl show --value -p SubState chat-web) = stop-sigterm")
        client.sendall(body[10:])
        assert client.recv(1000).startswith(b"HTTP/1.1 401 ")
    systemd.wait_for("test $(systemctl show --value -p SubState chat-web) = dead")
