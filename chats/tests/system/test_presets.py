"""What a PostgreSQL database, role or pooler presets is overridden, or refused with a sentence."""

import re
import sys

import pytest
import requests
from django.conf import settings

from chats.tests.support.servers import Database, Server, run, running
from chats.tests.support.services import PgBouncer, PostgresServer

pytestmark = pytest.mark.once

GROWING = (settings.BASE_DIR / "docs" / "growing.md").read_text()
[CONNECT_QUERY] = re.findall("connect_query='(.*)'", GROWING)
[CREATE_DATABASE] = re.findall("```sql\n(CREATE ROLE.*?)```", GROWING, re.DOTALL)
ENCODINGS = ["LATIN1", "SQL_ASCII"]
HAS_TO_BE_UTF8 = "The encoding of the database is {}, and has to be UTF8"
PRESETS = {
    "default_transaction_isolation": "repeatable read",
    "synchronous_commit": "off",
    "DateStyle": "SQL, DMY",
}
READ_ONLY = "PostgreSQL's transaction_read_only is “on”, and has to be “off”."
# These have no effect on the program, or are set too.
OTHER_PRESETS = {
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "TimeZone": "Asia/Kathmandu",
    "IntervalStyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "lc_messages": "C",
    "default_transaction_deferrable": "on",
    "row_security": "off",
    "plan_cache_mode": "force_generic_plan",
    "transform_null_equals": "on",
}


@pytest.fixture(scope="module")
def postgres():
    service = PostgresServer()
    service.start()
    yield service
    service.remove()


class EncodedDatabase(Database):
    """In PostgreSQL, migrated in spite of its encoding."""

    def __init__(self, url, encoding):
        self.encoding = encoding
        super().__init__(None, url, migrate=["--skip-checks"])

    def maintain(self, command, suffix=""):
        if command == "CREATE":
            suffix = f"ENCODING {self.encoding} LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        super().maintain(command, suffix)


@pytest.fixture(scope="module", params=ENCODINGS)
def encoded(postgres, request):
    return EncodedDatabase(postgres.url, request.param)


@pytest.fixture(scope="module")
def migrated(postgres):
    return Database(None, postgres.url)


@pytest.fixture
def preset(postgres, migrated):
    """A database with all of PRESETS and OTHER_PRESETS."""
    database = Database(None, postgres.url, template=migrated)
    for name, value in (PRESETS | OTHER_PRESETS).items():
        postgres.execute(f"ALTER DATABASE {database.name} SET {name} = '{value}'")
    return database


@pytest.mark.parametrize("command", [["check", "--database", "default"], ["migrate"]])
def test_encoding_is_refused(encoded, command):
    done = run(*command, DATABASE_URL=encoded.url)
    assert done.returncode == 1
    assert HAS_TO_BE_UTF8.format(encoded.encoding) in done.stderr
    assert "Traceback" not in done.stderr


def test_locale_that_changes_ascii_letters_is_refused(postgres):
    postgres.execute(
        "CREATE DATABASE turkish LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C' "
        "ENCODING 'UTF8' TEMPLATE template0"
    )
    url = f"{postgres.url.rpartition('/')[0]}/turkish"
    done = run("check", "--database", "default", DATABASE_URL=url)
    assert done.returncode == 1
    assert "The locale of the database changes ASCII letters: upper('i') is “İ”" in done.stderr


def test_server_does_not_start_on_a_database_of_another_encoding(encoded, tmp_path):
    server = Server(encoded, tmp_path, requests.Session, CACHE_URL="")
    with pytest.raises(AssertionError, match=HAS_TO_BE_UTF8.format(encoded.encoding)):
        server.start()


def test_server_starts_while_the_database_is_down(postgres, tmp_path):
    database = Database(None, postgres.url)
    server = Server(database, tmp_path, requests.Session, CACHE_URL="")
    server.usual_variables["DATABASE_URL"] = "postgres://127.0.0.1:1/nothing"
    with running(server, workers=1):
        assert server.request("GET", "/readyz").json()["database"] == "unavailable"
    assert "(postgres.W001) The settings of the database were not checked" in (
        server.error_log.read_text()
    )


def test_documented_role_can_migrate_and_write_to_the_documented_database(postgres):
    for statement in CREATE_DATABASE.splitlines():
        postgres.execute(statement)
    url = f"postgres://chat:password@{postgres.address}/chat"
    for command in (["migrate"], ["seed_demo"]):
        done = run(*command, DATABASE_URL=url, DEBUG="1")
        assert done.returncode == 0, done.stderr


TEXTS = ["😀", "Łukasz", "пр" * 30]


def test_text_that_cannot_be_stored_is_a_400(encoded, tmp_path):
    """On a server that was started without the check."""
    server = Server(encoded, tmp_path, requests.Session, CACHE_URL="")
    server.command = [sys.executable, "-m", "messaging_app.serve"]
    with running(server, workers=1):
        ready = server.request("GET", "/readyz")
        assert ready.status_code == 503
        assert ready.json()["database"].startswith(HAS_TO_BE_UTF8.format(encoded.encoding))
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        conversation = f"/conversations/{conversation_id}/"
        statuses = set()
        for text in TEXTS:
            profile = {"email": "x@example.com", "first_name": text, "last_name": text}
            statuses |= {
                alice.send(conversation_id, text).status_code,
                alice.call("PATCH", conversation, json={"title": text}).status_code,
                alice.call("PATCH", "/users/me/", json={"first_name": text}).status_code,
                alice.call("GET", f"{conversation}messages/", params={"search": text}).status_code,
                alice.call("GET", "/conversations/", params={"search": text}).status_code,
                alice.call("GET", "/users/", params={"search": text}).status_code,
                alice.call("GET", "/users/", params={"email": f"a@{text}"}).status_code,
                server.request("POST", "/api/users/", json=profile).status_code,
            }
        assert 400 in statuses
        assert not [status for status in statuses if status >= 500]
        sent = alice.send(conversation_id, "😀")
        if encoded.encoding == "LATIN1":
            assert sent.status_code == 400
            detail = "The database cannot store or compare a value of this request."
            assert sent.json() == {"detail": detail}


def test_presets_are_overridden(preset, tmp_path):
    done = run("check", "--database", "default", DATABASE_URL=preset.url)
    assert done.returncode == 0, done.stderr
    with running(Server(preset, tmp_path, requests.Session), workers=1) as server:
        exercise(server)


@pytest.mark.parametrize(
    ("variable", "value", "refused"),
    [
        (
            "PGOPTIONS",
            "-c default_transaction_isolation=serializable",
            "default_transaction_isolation is “serializable”",
        ),
        (
            "PGOPTIONS",
            "-c session_replication_role=replica",
            "session_replication_role is “replica”",
        ),
        ("PGDATESTYLE", "SQL", "DateStyle is “SQL, "),
    ],
)
def test_environment_of_libpq_is_checked(preset, variable, value, refused):
    done = run("check", "--database", "default", DATABASE_URL=preset.url, **{variable: value})
    assert done.returncode == 1
    assert refused in done.stderr


@pytest.fixture
def pooler(postgres, request):
    service = PgBouncer(postgres, *getattr(request, "param", []))
    service.start()
    yield service
    service.remove()


def test_presets_behind_a_pooler_are_refused(preset, pooler):
    pooled = {"DATABASE_URL": pooler.get_url(preset), "DATABASE_POOLER": "1"}
    for command in (["check", "--database", "default"], ["migrate"]):
        done = run(*command, **pooled)
        assert done.returncode == 1
        refused = re.findall("PostgreSQL's (.*) is “(.*?)”, and has to be", done.stderr)
        assert dict(refused) == PRESETS
        assert "connect_query" in done.stderr


@pytest.mark.parametrize("pooler", [[CONNECT_QUERY]], indirect=True)
def test_documented_pooler_overrides_presets(preset, pooler, tmp_path):
    server = Server(preset, tmp_path, requests.Session, DATABASE_POOLER="1")
    server.usual_variables["DATABASE_URL"] = pooler.get_url(preset)
    with running(server, workers=1):
        exercise(server)


def exercise(server):
    """Texts and times come back as they were sent, and no response is a 500."""
    assert server.request("GET", "/readyz").json()["database"] == "ok"
    alice, bob = server.sign_up("alice"), server.sign_up("bob")
    conversation_id = alice.start(bob).json()["conversation_id"]
    path = f"/conversations/{conversation_id}/messages/"
    texts = [r"back\slash '' \' %", "Łukasz 😀", "last"]
    sent = [alice.send(conversation_id, text).json() for text in texts]
    assert alice.get(path, ordering="sent_at")["results"] == sent
    assert alice.get(path, search=r"BACK\SLASH '' \'")["results"] == sent[:1]
    after = bob.get(path, ordering="sent_at", sent_at_after=sent[1]["sent_at"])
    assert after["results"] == sent[2:]
    read = {"read_at": sent[1]["sent_at"]}
    response = bob.call("POST", f"/conversations/{conversation_id}/read/", json=read)
    assert response.json() == read | {"unread_count": 1}
    assert bob.get("/messages/", page_size=1)["results"] == sent[2:]
    assert alice.everything("/messages/", page_size=1) == sent[::-1]


def test_read_only_database_is_reported_behind_a_pooler(postgres, preset, pooler):
    postgres.execute(f"ALTER DATABASE {preset.name} SET default_transaction_read_only = on")
    pooled = {"DATABASE_URL": pooler.get_url(preset), "DATABASE_POOLER": "1"}
    assert READ_ONLY in run("check", "--database", "default", **pooled).stderr
    done = run("check", "--database", "default", DATABASE_URL=preset.url)
    assert "session is read-only" in done.stderr


def test_role_that_may_not_write_is_refused(postgres, migrated):
    postgres.execute("CREATE ROLE reader LOGIN IN ROLE pg_read_all_data")
    done = run(
        "check",
        "--database",
        "default",
        DATABASE_URL=f"{migrated.url.replace('postgres@', 'reader@')}",
    )
    assert done.returncode == 1
    assert "The role reader may not read and write the table auth_group. Grant it" in done.stderr
