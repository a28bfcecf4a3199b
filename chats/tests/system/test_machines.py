"""What holds when a machine of a cluster is lost."""

import logging
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from threading import Event

import pytest
import requests
from django.conf import settings

from chats.tests.support.cluster import Cluster
from chats.tests.support.servers import environment, manage
from chats.tests.support.streams import EventStream

pytestmark = [pytest.mark.once, pytest.mark.machines]

# The last release, which runs beside this one while machines are upgraded.
PREVIOUS_VERSION = "a71403395908d310258e66c265b269d4327b2992"
PREVIOUS_COMMAND = [sys.executable, "-m", "gunicorn", "messaging_app.wsgi"]
WRITERS, FOLLOWERS = 4, 2
# For the promotion, and until the program connects to the new primary. A machine that does not
# respond is noticed after `tcp_user_timeout`, and by a new connection after `connect_timeout`.
MAX_SECONDS_WITHOUT_WRITES = {"killed": 10, "unplugged": 30}
# PostgreSQL notices after some six seconds that a client is gone which has locked a conversation.
MAX_SECONDS_LOCKED = {"killed": 10, "unplugged": 15}
# A request may wait once for a failed database, and once for a locked conversation.
MAX_SECONDS_FOR_A_RESPONSE = 45
SENDS_BETWEEN = 40
TRAFFIC_MAX_SECONDS = 200
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

logger = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def running_cluster(tmp_path_factory, django_db_blocker):
    with django_db_blocker.unblock():
        cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.remove()


@pytest.fixture
def cluster(running_cluster):
    """Shared. Each test has people of its own, and may stop any machine."""
    running_cluster.heal()
    return running_cluster


@pytest.fixture
def people(cluster):
    return [cluster.sign_up(f"person{n}") for n in range(WRITERS)]


@pytest.fixture
def conversation_id(people):
    return people[0].start(*people[1:]).json()["conversation_id"]


@pytest.fixture
def path(conversation_id):
    return f"/conversations/{conversation_id}/messages/"


def test_both_machines_tell_of_a_change_through_the_load_balancer(people, conversation_id):
    streams = [EventStream(people[1]).wait_until_ready() for _ in range(4)]
    sent = people[0].send(conversation_id, "Hello").json()
    clock = {"conversation_id": conversation_id, "updated_at": sent["sent_at"]}
    for stream in streams:
        stream.until("conversation", **clock)
        stream.close()


class Traffic:
    """People who send and follow until it is over. They repeat what fails."""

    def __init__(self, people, path, has_keys):
        self.people, self.path, self.has_keys = people, path, has_keys
        self.stop = Event()
        self.deadline = time.monotonic() + TRAFFIC_MAX_SECONDS
        self.seconds, self.failures, self.sent = [], set(), []

    def call(self, person, *arguments, **options):
        while True:
            begin = time.monotonic()
            assert begin < self.deadline, self.failures
            try:
                response = person.call(*arguments, **options)
            except requests.exceptions.ChunkedEncodingError:
                self.failures.add("broken off")
                continue
            finally:
                self.seconds.append(time.monotonic() - begin)
            if response.status_code in {200, 201}:
                return response.json()
            assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
            self.failures.add(response.text)

    def write(self, person, name):
        """The ids that were acknowledged, by body."""
        acknowledged = {}
        while not self.stop.is_set():
            body = f"{name} {len(acknowledged)}"
            key = body if self.has_keys else None
            row = self.call(person, "POST", self.path, key=key, json={"message_body": body})
            self.sent.append(time.monotonic())
            acknowledged[body] = row["message_id"]
        return acknowledged

    def follow(self, person, is_over):
        seen, has_ended = [], False
        while not has_ended:
            # What was sent before this is in what comes after it.
            has_ended = is_over.is_set()
            parameters = {"ordering": "sent_at", "page_size": 100}
            if seen:
                parameters["sent_at_after"] = seen[-1]["sent_at"]
            seen += self.call(person, "GET", self.path, params=parameters)["results"]
        return seen

    def wait_for_sends(self, count=SENDS_BETWEEN):
        """Wait until `count` more messages are acknowledged."""
        before = len(self.sent)
        while len(self.sent) < before + count:
            for writer in wait(self.writers, 0.01, FIRST_COMPLETED).done:
                # It has failed.
                writer.result()

    def get_longest_gap(self):
        """In seconds, between two messages that were acknowledged."""
        return max(later - earlier for earlier, later in pairwise(sorted(self.sent)))


@contextmanager
def traffic(people, path, has_keys=True):
    """Afterwards every acknowledged message is there once, in order, and was seen by all."""
    traffic, is_over = Traffic(people, path, has_keys), Event()
    with ThreadPoolExecutor(WRITERS + FOLLOWERS) as pool:
        traffic.writers = [
            pool.submit(traffic.write, person, f"{n}") for n, person in enumerate(people)
        ]
        following = [pool.submit(traffic.follow, person, is_over) for person in people[:FOLLOWERS]]
        try:
            traffic.wait_for_sends()
            yield traffic
            traffic.wait_for_sends()
        finally:
            traffic.stop.set()
            wait(traffic.writers)
            is_over.set()
        acknowledged = {}
        for writer in traffic.writers:
            acknowledged |= writer.result()
        seen = [follower.result() for follower in following]
    rows = people[0].everything(path, ordering="sent_at", page_size=100)
    assert all(earlier["sent_at"] < later["sent_at"] for earlier, later in pairwise(rows))
    assert len(rows) == len(acknowledged)
    assert {row["message_body"]: row["message_id"] for row in rows} == acknowledged
    assert seen == [rows] * FOLLOWERS
    assert max(traffic.seconds) < MAX_SECONDS_FOR_A_RESPONSE
    logger.info(
        "%d messages; longest time without one %.1f s, longest request %.1f s, failures %s",
        len(rows),
        traffic.get_longest_gap(),
        max(traffic.seconds),
        traffic.failures,
    )


# The first one loses the first host of the URL, which each new connection then waits for.
@pytest.mark.parametrize("how", ["unplugged", "killed"])
def test_lost_primary_loses_no_message(cluster, people, path, how):
    with traffic(people, path) as running:
        if how == "killed":
            cluster.primary.kill()
        else:
            cluster.primary.machine.unplug()
        cluster.promote()
    # It would accept writes if it came back.
    cluster.standby.kill()
    assert running.get_longest_gap() < MAX_SECONDS_WITHOUT_WRITES[how]


@pytest.mark.parametrize("how", ["killed", "unplugged"])
def test_lost_web_machine_loses_no_message(cluster, people, path, how):
    """The load balancer repeats what has an Idempotency-Key."""
    web = cluster.webs[1]
    with traffic(people, path) as running:
        web.kill() if how == "killed" else web.machine.unplug()
    if how == "killed":
        # The load balancer has passed on the beginning of a response already.
        assert running.failures <= {"broken off"}
    assert running.get_longest_gap() < MAX_SECONDS_LOCKED[how]


def test_lost_redis_fails_no_request(cluster, people, path):
    with traffic(people, path) as running:
        cluster.redis.kill()
    assert running.failures == set()


@pytest.fixture
def previous_version(tmp_path):
    """The folder of its code."""
    folder = tmp_path / "previous"
    folder.mkdir()
    archive = ["git", "-C", settings.BASE_DIR, "archive", "--output", folder / "archive.tar"]
    done = subprocess.run([*archive, PREVIOUS_VERSION], check=False)  # noqa: S603
    if done.returncode:
        pytest.skip("Needs a clone with its history")
    shutil.unpack_archive(folder / "archive.tar", folder)
    return folder


@pytest.fixture
def previous_release(cluster, previous_version):
    """Both web machines run the previous version on a database that it has made. The URL for this
    version."""
    cluster.primary.execute("CREATE DATABASE rolling")
    urls = [f"{url.removesuffix('postgres')}rolling" for url in (cluster.primary.url, cluster.url)]
    variables = environment(DATABASE_URL=urls[0])
    migrate = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(migrate, cwd=previous_version, env=variables, check=True)  # noqa: S603
    for web in cluster.webs:
        web.stop()
        web.code = previous_version
        web.command = [*PREVIOUS_COMMAND, "--bind", web.address, "--workers", "2"]
        web.start(DATABASE_URL=urls[0])
        cluster.balancer.use(web)
        web.code, web.command = settings.BASE_DIR, ["docker/serve"]
        web.usual_variables["DATABASE_URL"] = urls[1]
    yield urls[1]
    for web in cluster.webs:
        web.usual_variables["DATABASE_URL"] = cluster.url
        web.stop()


def test_rolling_release_fails_no_request(cluster, previous_release):
    """By docs/growing.md: its database is migrated under load, then machine by machine."""
    people = [cluster.sign_up(f"person{n}") for n in range(WRITERS)]
    conversation_id = people[0].start(*people[1:]).json()["conversation_id"]
    path = f"/conversations/{conversation_id}/messages/"
    with traffic(people, path, has_keys=False) as running:
        manage("migrate", DATABASE_URL=previous_release)
        running.wait_for_sends()
        for web in cluster.webs:
            cluster.restart(web)
            running.wait_for_sends()
    assert running.failures == set()
    for person in people:
        tokens = person.call("POST", "/token/refresh/", json={"refresh": person.refresh})
        assert tokens.status_code == 200


class TestLostStandby:
    def test_sends_wait_for_a_synchronous_standby(self, cluster, people, path, conversation_id):
        """As long as `synchronous_standby_names` has the standby."""
        alice, bob, *_ = people
        cluster.standby.kill()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(alice.send, conversation_id, "Hello")
            while not cluster.primary.execute(WAITING):
                assert not sending.done(), sending.result()
            assert bob.get(path)["results"] == []
            assert not sending.done(), sending.result()
            cluster.standby.start()
            assert sending.result().status_code == 201
        assert [row["message_body"] for row in bob.get(path)["results"]] == ["Hello"]

    def test_sends_go_on_without_a_synchronous_standby(self, cluster, people, path):
        with traffic(people, path) as running:
            cluster.standby.kill()
            cluster.wait_for_standby("")
        assert running.get_longest_gap() < MAX_SECONDS_WITHOUT_WRITES["killed"]
