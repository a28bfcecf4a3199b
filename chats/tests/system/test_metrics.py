"""METRICS_ADDRESS, Prometheus' view of it, and the alerts of deploy/prometheus/."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
import yaml
from django.conf import settings

from chats.tests.support.machines import find
from chats.tests.support.prometheus import ALERTS, Metrics, Prometheus
from chats.tests.support.servers import Database, Server, environment, free_port, running
from chats.tests.support.services import PostgresServer, RedisServer
from chats.tests.support.streams import EventStream
from messaging_app.exporter import MEMORY

pytestmark = pytest.mark.once

UNIT_TESTS = Path(__file__).with_name("alerts.yml")
# For longer than a send may take.
HOLD_CONVERSATIONS = """
BEGIN; SELECT 1 FROM chats_conversation FOR UPDATE; SELECT pg_sleep(1.1); COMMIT
"""
NAME = re.compile(r"\bmessaging_\w+")


@contextmanager
def serving(folder):
    database = Database(folder, f"sqlite:///{folder}/db.sqlite3")
    variables = {
        "CACHE_URL": "",
        "METRICS_ADDRESS": f"127.0.0.1:{free_port()}",
        "EMAIL_URL": f"smtp://127.0.0.1:{free_port()}",
        "THROTTLE_SEARCH": "1/hour",
    }
    with running(Server(database, folder, requests.Session, **variables)) as server:
        yield server
        server.stop()
        assert get_files(server) == set()


@pytest.fixture(scope="module")
def server(tmp_path_factory, django_db_blocker):
    with django_db_blocker.unblock(), serving(tmp_path_factory.mktemp("metrics")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path, django_db_blocker):
    """Its numbers can be lost: the tests with the other one count on them."""
    with django_db_blocker.unblock(), serving(tmp_path) as server:
        yield server


def read(server):
    return Metrics(server.usual_variables["METRICS_ADDRESS"])


def get_folders(server):
    _, port = server.usual_variables["METRICS_ADDRESS"].split(":")
    return list(MEMORY.glob(f"messaging-metrics-*-{port}-*"))


def get_files(server):
    """Those in which its processes count."""
    return {file.name for folder in get_folders(server) for file in folder.iterdir()}


def read_later(server):
    """What it has counted, everything until now included: each process counts once a second."""
    server.everywhere(lambda: server.request("GET", "/api/docs/"))
    number = [line["path"] for line in server.get_requests()].count("/api/docs/")
    while (metrics := read(server)).get("messaging_requests_total", endpoint="docs") < number:
        pass
    return metrics


def get_pids(server):
    return {line["pid"] for line in server.get_requests()}


def test_counts_of_all_processes_add_up_and_outlive_them(server):
    def request():
        return server.request("GET", "/api/")

    def count():
        metrics = read_later(server)
        number = metrics.get("messaging_requests_total", endpoint="root", status="200")
        assert metrics.get("messaging_request_seconds_count", endpoint="root") == number
        return number

    expected = count() + len(server.everywhere(request))
    assert count() == expected

    alice = server.sign_up("alice")
    streams = [EventStream(alice) for _ in range(4)]
    assert {stream.next().name for stream in streams} == {"ready"}
    assert read_later(server).get("messaging_streams") == 4
    killed, stopped = old = get_pids(server)
    os.kill(killed, signal.SIGKILL)
    expected += len(server.everywhere(request))
    expected += len([request() for _ in range(10)])
    os.kill(stopped, signal.SIGTERM)
    for stream in streams:
        stream.wait_until_end()
    while len(new := get_pids(server) - old) < server.workers:
        request()
        expected += 1
    kinds = ["counter", "gauge_livesum", "histogram"]
    files = {f"{kind}_{pid}.db" for kind in kinds for pid in new}
    while get_files(server) != files | {"counter_ended.db", "histogram_ended.db"}:
        read(server)
    assert count() == expected
    assert read(server).get("messaging_streams") == 0


def test_lost_folder_costs_numbers_and_no_worker(own_server):
    """logind removes what a user has in /dev/shm at their last logout."""
    own_server.everywhere(lambda: own_server.request("GET", "/api/"))
    old = get_pids(own_server)
    [folder] = get_folders(own_server)
    shutil.rmtree(folder)
    own_server.process.send_signal(signal.SIGHUP)
    while len(get_pids(own_server) - old) < own_server.workers:
        own_server.request("GET", "/api/")
    while not read(own_server).get("messaging_requests_total", endpoint="root", status="200"):
        pass


def test_labels_are_few_whatever_is_sent(server):
    alice = server.sign_up("alice")

    def send_anything():
        name = uuid4().hex
        authorization = {"Authorization": f"Bearer {alice.access}"}
        for method in (name, "POST"):
            for path in ("/", "/api/", "/api/users/", "/admin/"):
                for headers in ({}, {"Host": name}, authorization):
                    server.request(method, f"{path}{name}", headers=headers)
                    server.request(method, f"{path}?{name}={name}", headers=headers)
        return read_later(server).get_series()

    assert send_anything() == send_anything()


def test_what_people_do_is_counted(server, people, conversation_id, path):
    alice, bob, *_ = people
    before = read_later(server)
    stream = EventStream(bob)
    assert stream.next().name == "ready"
    assert alice.send(conversation_id, "Hello", key="k").status_code == 201
    assert alice.send(conversation_id, "Hello", key="k").status_code == 200
    assert stream.next().name == "conversation"
    stream.close()
    for _ in range(10):
        bob.get(path)
    while bob.call("GET", path, params={"search": "Hello"}).status_code == 200:
        pass

    after = read_later(server)

    def grown(name, **labels):
        return after.get(name, **labels) - before.get(name, **labels)

    assert grown("messaging_messages_sent_total") == 1
    assert grown("messaging_events_sent_total") == 2
    hits = grown("messaging_cache_lookups_total", content="page", result="hit")
    # Each process has a cache of its own.
    assert 10 - server.workers <= hits < 10
    assert grown("messaging_throttled_requests_total", rate="search") == 1
    lists = {"endpoint": "conversation-message-list", "method": "GET"}
    timed = grown("messaging_request_seconds_count", **lists)
    assert timed == grown("messaging_requests_total", **lists) - 1
    assert grown("messaging_queries_total") > 20
    assert 0 < grown("messaging_query_seconds_total") < 90


def test_mail_that_waits_or_fails_is_counted(server):
    alice = server.sign_up("alice")
    while read(server).get("messaging_mail_backlog"):
        pass
    failures = read(server).get("messaging_mail_failures_total")
    # Nobody has listened there before.
    url = urlsplit(server.usual_variables["EMAIL_URL"])
    with socket.create_server((url.hostname, url.port)) as mail_server:
        body = {"email": alice.email}
        assert server.request("POST", "/api/users/reset_password/", json=body).status_code == 204
        connection, _ = mail_server.accept()
        assert read(server).get("messaging_mail_backlog") == 1
        connection.close()
        while read(server).get("messaging_mail_backlog"):
            pass
    assert read(server).get("messaging_mail_failures_total") == failures + 1


def test_writers_that_wait_are_counted(server, people, path):
    queue = Path(f"{server.database.url.removeprefix('sqlite:///')}-queue")

    def count():
        metrics = read(server)
        waiting = metrics.get("messaging_waiting_requests", kind="write")
        return metrics.get("messaging_waiting_writers"), waiting

    with ThreadPoolExecutor(8) as pool, queue.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sending = [
            pool.submit(person.call, "POST", path, json={"message_body": "Hello"})
            for person in people
            for _ in range(2)
        ]
        # Each process has three threads for writes.
        while sum(waiting := count()) != 8 or waiting[0] > 6:
            pass
        fcntl.flock(file, fcntl.LOCK_UN)
        assert {future.result().status_code for future in sending} == {201}
    while count() != (0, 0):
        pass


def test_public_port_has_no_metrics(server):
    assert server.request("GET", "/metrics").status_code == 404


def test_address_that_is_taken_stops_the_start(server, tmp_path):
    variables = server.usual_variables | {"PORT": str(free_port())}
    started = subprocess.run(
        [sys.executable, "-m", "messaging_app.serve"],
        cwd=settings.BASE_DIR,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 1
    address = server.usual_variables["METRICS_ADDRESS"]
    assert f"METRICS_ADDRESS={address}: " in json.loads(started.stderr)["message"]
    assert "Address already in use" in started.stderr


def test_page_names_every_metric(server):
    metrics = read(server)
    page = (settings.BASE_DIR / "docs/operating.md").read_text()
    names = {sample.name for sample in metrics.samples}
    parts = {name for name in names if name.endswith(("_bucket", "_count", "_sum"))}
    assert set(NAME.findall(page)) - {"messaging_app"} == names - parts | {
        "messaging_request_seconds"
    }


def test_page_names_every_alert():
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    page = (settings.BASE_DIR / "docs/operating.md").read_text()
    assert re.findall(r"^\| `(Messaging\w+)`", page, re.MULTILINE) == [
        rule["alert"] for rule in group["rules"]
    ]


def test_promtool_accepts_the_alerts():
    for command, file in [("check", ALERTS), ("test", UNIT_TESTS)]:
        done = subprocess.run(  # noqa: S603
            [find("promtool"), command, "rules", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_use_series_that_exist(server):
    names = {sample.name for sample in read(server).samples}
    for file in (ALERTS, UNIT_TESTS):
        used = set(NAME.findall(file.read_text()))
        assert used
        assert used <= names


@pytest.fixture
def postgres():
    service = PostgresServer()
    service.start()
    yield service
    service.remove()


@pytest.fixture
def redis():
    service = RedisServer()
    service.start()
    yield service
    service.kill()


@pytest.fixture
def monitored_server(tmp_path, django_db_blocker, postgres, redis):
    database = Database(tmp_path, postgres.url)
    variables = {"CACHE_URL": redis.url, "METRICS_ADDRESS": f"127.0.0.1:{free_port()}"}
    server = Server(database, tmp_path, requests.Session, **variables)
    with django_db_blocker.unblock():
        server.start(workers=1)
        yield server
        server.stop()


@contextmanager
def scraping(folder, server):
    service = Prometheus(folder, server.usual_variables["METRICS_ADDRESS"])
    service.start()
    try:
        yield service
    finally:
        service.kill()


@pytest.fixture
def prometheus(tmp_path, monitored_server):
    with scraping(tmp_path, monitored_server) as service:
        yield service


def test_prometheus_reads_the_metrics_and_alerts_when_something_breaks(
    monitored_server, postgres, redis, prometheus
):
    alice, bob = monitored_server.sign_up("alice"), monitored_server.sign_up("bob")
    conversation_id = alice.start(bob).json()["conversation_id"]
    assert alice.send(conversation_id, "Hello").status_code == 201
    while prometheus.query("messaging_messages_sent_total") != 1:
        pass
    [target] = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    assert prometheus.query('messaging_requests_total{endpoint="user-list",method="POST"}') == 2
    assert prometheus.get_firing() == set()

    # Fewer wake nobody.
    for _ in range(20):
        assert alice.send(conversation_id, "Hello").status_code == 201
    with ThreadPoolExecutor(1) as pool:
        while "MessagingSlowSends" not in prometheus.get_firing():
            locking = pool.submit(monitored_server.database.execute, HOLD_CONVERSATIONS)
            assert alice.send(conversation_id, "Hello").status_code == 201
            locking.result()
    assert prometheus.get_firing() == {"MessagingSlowSends"}

    redis.kill()
    while "MessagingRedisUnavailable" not in prometheus.get_firing():
        pass
    assert alice.send(conversation_id, "Hello").status_code == 201
    redis.start()
    while "MessagingRedisUnavailable" in prometheus.get_firing():
        pass

    postgres.kill(signal.SIGQUIT)
    while not {"MessagingDatabaseNotReady", "MessagingServerErrors"} <= prometheus.get_firing():
        assert alice.send(conversation_id, "Hello").status_code == 503

    monitored_server.stop()
    while "MessagingDown" not in prometheus.get_firing():
        pass


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [find("mount"), "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk]
    if subprocess.run(command, check=False).returncode:  # noqa: S603
        pytest.skip("Needs the right to mount")
    yield disk
    # At once, although multiprocessing's resource tracker may end a moment after the server.
    subprocess.run([find("umount"), "--lazy", disk], check=True)  # noqa: S603


def test_prometheus_alerts_when_the_disk_is_nearly_full(tmp_path, small_disk, django_db_blocker):
    with (
        django_db_blocker.unblock(),
        serving(small_disk) as server,
        scraping(tmp_path, server) as prometheus,
    ):
        while prometheus.query("messaging_disk_free_bytes") is None:
            pass
        assert prometheus.get_firing() == set()
        usage = shutil.disk_usage(small_disk)
        (small_disk / "backup").write_bytes(bytes(usage.free - usage.total // 25))
        while "MessagingDiskNearlyFull" not in prometheus.get_firing():
            pass
