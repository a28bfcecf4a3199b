"""Data outgrows SQLite: it moves to PostgreSQL, all of it and as it was."""

import json
from itertools import pairwise

import pytest

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.servers import Database, Server, digest, manage, run, running
from chats.tests.support.services import PostgresServer

pytestmark = pytest.mark.once

STAFF = """
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from chats.models import User
group = Group.objects.create(name="Moderators")
group.permissions.set(Permission.objects.filter(codename="view_message"))
User.objects.first().groups.add(group)
LogEntry.objects.log_actions(User.objects.first().pk, User.objects.all()[:3], CHANGE)
"""
ONE_MORE = """
from django.contrib.auth.models import Group
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
print(Group.objects.create(name="More").pk > 1, OutstandingToken.objects.count() > 0)
"""
# Somebody deletes all messages while tables before theirs are copied.
COPY_WHILE_OTHERS_WRITE = """
import psycopg
from django.core.management import call_command
from chats.management.commands.copy_database import Command
from chats.models import Message
copy = Command.copy
def copy_after_a_deletion(self, model):
    if model is Message:
        with psycopg.connect("{url}", autocommit=True) as connection:
            connection.execute("DELETE FROM chats_message")
    copy(self, model)
Command.copy = copy_after_a_deletion
call_command("copy_database")
print(Message.objects.count())
"""
USER = {"type": "user", "id": "1", "email": "a@b.co", "first_name": "A", "last_name": "B"}
TIME = "2019-05-01T09:00:00+02:00"
START = {"type": "conversation", "id": "1", "participants": ["1"], "created_at": TIME}
SEND = {"type": "message", "conversation": "1", "sender": "1", "message_body": "x", "sent_at": TIME}
HISTORY = "\n".join(map(json.dumps, [USER, START, *(SEND | {"id": f"{n}"} for n in range(1200))]))


@pytest.fixture
def postgres():
    service = PostgresServer()
    service.start()
    yield service
    service.remove()


def test_copy_database_moves_10000_messages_to_postgres(tmp_path, postgres):
    old = Database(tmp_path, f"sqlite:///{tmp_path}/old.sqlite3")
    numbers = ["--people", "50", "--conversations", "30", "--messages", "10000"]
    done = run("make_data", *numbers, DATABASE_URL=old.url)
    assert done.returncode == 0, done.stderr
    with running(Server(old, tmp_path, CheckedSession)) as server:
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        sent = alice.send(conversation_id, "Before", key="before").json()
        used = {"refresh": bob.refresh}
        fresh = bob.call("POST", "/token/refresh/", json=used).json()
        signed_out = {"refresh": alice.refresh}
        assert bob.call("POST", "/token/blacklist/", json=signed_out).status_code == 200
    manage("shell", "-v0", "-c", STAFF, DATABASE_URL=old.url)

    new = Database(tmp_path, postgres.url)
    moving = {"SOURCE_DATABASE_URL": old.url, "DATABASE_URL": new.url}
    done = run("copy_database", **moving)
    assert done.returncode == 0, done.stderr
    again = run("copy_database", **moving)
    assert again.returncode == 1
    assert "The database to copy to has " in again.stderr
    before = digest(old.url)
    assert "\nMessage 10001 " in before
    assert digest(new.url) == before

    done = run("shell", "-v0", "-c", ONE_MORE, DATABASE_URL=new.url)
    assert (done.stdout, done.stderr) == ("True True\n", "")
    with running(Server(new, tmp_path, CheckedSession)) as server:
        alice.url = bob.url = server.url
        assert alice.send(conversation_id, "Before", key="before").json() == sent
        after = alice.send(conversation_id, "After").json()
        assert after["sent_at"] > sent["sent_at"]
        again = bob.call("POST", "/token/refresh/", json=used).json()
        assert again["refresh"] == fresh["refresh"]
        assert bob.call("POST", "/token/refresh/", json=signed_out).status_code == 401


@pytest.mark.django_db
def test_copy_database_reads_postgres_as_of_one_moment(tmp_path, postgres):
    old = Database(tmp_path, postgres.url)
    new = Database(tmp_path, f"sqlite:///{tmp_path}/new.sqlite3")
    manage(
        *("make_data", "--people", "4", "--conversations", "3", "--messages", "40"),
        DATABASE_URL=old.url,
    )
    code = COPY_WHILE_OTHERS_WRITE.format(url=old.url)
    variables = {"SOURCE_DATABASE_URL": old.url, "DATABASE_URL": new.url}
    done = run("shell", "-v0", "-c", code, **variables)
    assert (done.returncode, done.stdout) == (0, "40\n"), done.stderr
    assert old.execute("SELECT count(*) FROM chats_message") == [(0,)]


@pytest.mark.django_db
def test_history_is_imported_from_a_pipe(tmp_path):
    """In several transactions."""
    database = Database(tmp_path)
    try:
        done = run("import_history", "-", "--source=old", stdin=HISTORY, DATABASE_URL=database.url)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert done.stdout.splitlines()[2] == "New messages: 1200"
        assert database.execute("SELECT count(*) FROM chats_message") == [(1200,)]
    finally:
        database.drop()


def test_loaddata_restores_a_dump_in_another_database(tmp_path, postgres):
    databases = [
        Database(tmp_path, f"sqlite:///{tmp_path}/old.sqlite3"),
        Database(tmp_path, postgres.url),
        Database(tmp_path, f"sqlite:///{tmp_path}/new.sqlite3"),
    ]
    manage(
        *("make_data", "--people", "4", "--conversations", "3", "--messages", "40"),
        DATABASE_URL=databases[0].url,
    )
    file = str(tmp_path / "all.jsonl.gz")
    for old, new in pairwise(databases):
        manage("dumpdata", "--format=jsonl", f"--output={file}", DATABASE_URL=old.url)
        manage("loaddata", file, DATABASE_URL=new.url)
        assert digest(new.url) == digest(old.url)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "Set SOURCE_DATABASE_URL"),
        ("sqlite:///{}/none.sqlite3", "The database to copy from does not exist: "),
        ("sqlite:///{}/new.sqlite3", "The database to copy from is the one to copy to."),
        ("sqlite:///{}/empty.sqlite3", "`migrate` on source first"),
        ("sqlite:///{}/garbage.sqlite3", "Nothing is copied: file is not a database"),
        ("postgres://nobody@127.0.0.1:1/none", "Nothing is copied: connection "),
    ],
)
def test_copy_database_says_why_it_cannot_begin(tmp_path, source, sentence):
    target = Database(tmp_path, f"sqlite:///{tmp_path}/new.sqlite3")
    (tmp_path / "empty.sqlite3").touch()
    (tmp_path / "garbage.sqlite3").write_bytes(b"not a database" * 100)
    variables = {"SOURCE_DATABASE_URL": source.format(tmp_path), "DATABASE_URL": target.url}
    done = run("copy_database", **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: ")
    assert sentence in done.stderr
    assert not (tmp_path / "none.sqlite3").exists()


@pytest.mark.django_db
def test_copy_database_points_to_check_data_if_a_row_is_damaged(tmp_path, postgres):
    old = Database(tmp_path, f"sqlite:///{tmp_path}/old.sqlite3")
    numbers = ["--people", "4", "--conversations", "3", "--messages", "4"]
    manage("make_data", *numbers, DATABASE_URL=old.url)
    old.execute("UPDATE chats_message SET message_body = 'a' || char(0)")
    variables = {"SOURCE_DATABASE_URL": old.url, "DATABASE_URL": postgres.url}
    manage("migrate", "-v0", DATABASE_URL=postgres.url)
    done = run("copy_database", **variables)
    assert done.returncode == 1
    *_, error, advice = done.stderr.splitlines()
    assert error.startswith("CommandError: Nothing is copied: ")
    assert "cannot contain NUL" in error
    assert advice.startswith("If a row is damaged, `check_data` ")
    assert "Traceback" not in done.stderr


@pytest.mark.django_db
def test_make_data_requires_an_empty_database(tmp_path):
    target = Database(tmp_path, f"sqlite:///{tmp_path}/new.sqlite3")
    numbers = ["--people", "4", "--conversations", "3", "--messages", "40"]
    assert run("make_data", *numbers, DATABASE_URL=target.url).returncode == 0
    done = run("make_data", *numbers, DATABASE_URL=target.url)
    assert (done.returncode, "an empty database" in done.stderr) == (1, True)
    assert target.execute("SELECT count(*) FROM chats_message") == [(40,)]
