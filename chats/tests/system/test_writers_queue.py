"""SQLite's writers wait in a queue, which survives the loss of its first writer."""

import fcntl
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from chats.tests.support.servers import environment
from messaging_app.backends.sqlite.base import Queue

pytestmark = pytest.mark.once

HOLD = """
from django.db import connection, transaction
with transaction.atomic():
    connection.cursor().execute("CREATE TABLE unfinished (n)")
    print("holding", flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def _files_of_their_own(django_db_blocker):
    """pytest-django allows no connection but to the suite's database."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/db.sqlite3"


@pytest.fixture
def connect(tmp_path):
    """`connect()` is a connection as the program has it, to the same file each time."""
    database = {"ENGINE": "messaging_app.backends.sqlite", "NAME": tmp_path / "db.sqlite3"}
    connections = []

    def connect(timeout=60):
        # No two share anything, as in different processes.
        options = {"transaction_mode": "IMMEDIATE", "timeout": timeout}
        handler = ConnectionHandler({"default": database | {"OPTIONS": options}})
        connections.append(handler["default"])
        connections[-1].inc_thread_sharing()
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


@pytest.fixture
def holder(url):
    """A process that has begun a transaction and written."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "manage.py", "shell", "-v0", "-c", HOLD],
        cwd=settings.BASE_DIR,
        env=environment(DATABASE_URL=url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "holding\n"
    yield process
    process.kill()
    process.communicate()


def is_waited_for(file):
    """Whether a writer of this process tries to get the file's lock."""
    lock = Queue.locks.get(str(file))
    return lock is not None and lock.locked()


def write(connection):
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    connection.cursor().execute("CREATE TABLE IF NOT EXISTS numbers (n)")
    connection.cursor().execute("INSERT INTO numbers VALUES (1)")
    connection.commit()
    connection.set_autocommit(True)


@pytest.mark.parametrize("end", ["commits", "is killed"])
def test_writer_waits_for_the_writer_before_it(connect, holder, tmp_path, end):
    connection = connect()
    writer = threading.Thread(target=write, args=[connection])
    writer.start()
    while writer.is_alive() and not is_waited_for(tmp_path / "db.sqlite3-queue"):
        pass
    assert writer.is_alive()
    # Reads do not wait.
    reader = connect()
    assert reader.cursor().execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    if end == "commits":
        holder.stdin.write("\n")
        holder.stdin.flush()
    else:
        holder.send_signal(signal.SIGKILL)
    writer.join(60)
    assert not writer.is_alive()
    tables = reader.introspection.table_names()
    assert tables == (["numbers", "unfinished"] if end == "commits" else ["numbers"])


def test_second_writer_of_a_process_waits_for_the_first(connect):
    first, second = connect(), connect(timeout=0.2)
    first.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    with pytest.raises(OperationalError, match="Timed out in the queue of writers"):
        write(second)
    first.rollback()
    write(second)


def test_process_that_has_just_written_does_not_overtake(tmp_path):
    path = str(tmp_path / "queue")
    first, again, other = (Queue(path) for _ in range(3))
    # As in another process.
    other.lock = threading.Lock()
    first.enter(1)
    waiting = threading.Thread(target=other.enter, args=[60])
    waiting.start()
    while not is_locked(tmp_path / "queue-next"):
        pass
    first.leave()
    with pytest.raises(OperationalError, match="Timed out in the queue of writers"):
        again.enter(0.2)
    waiting.join(60)
    other.leave()
    again.enter(1)
    again.leave()


def is_locked(path):
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize("end", ["rollback", "close"])
def test_next_writer_begins_after_a_rollback_or_close(connect, end):
    first, second = connect(), connect()
    first.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    first.cursor().execute("CREATE TABLE unfinished (n)")
    getattr(first, end)()
    write(second)
    assert second.introspection.table_names() == ["numbers"]


def test_wait_for_a_stopped_writer_times_out(connect, holder):
    connection = connect(timeout=0.2)
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(OperationalError, match="Timed out in the queue of writers"):
        write(connection)
    holder.send_signal(signal.SIGCONT)
    holder.stdin.write("\n")
    holder.stdin.flush()
    # The place in the queue was given up.
    write(connect())


def test_queue_that_cannot_be_opened_is_an_operational_error(connect, tmp_path):
    connection = connect()
    (tmp_path / "db.sqlite3-queue").mkdir()
    with pytest.raises(OperationalError, match="The queue of writers cannot be entered"):
        write(connection)
