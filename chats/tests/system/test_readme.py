"""The walk-throughs of README.md and docs/, run as they stand against a real server."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import requests
from django.conf import settings
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from benchmarks import report
from chats.management.commands.seed_demo import FIRST_CALLS
from chats.models import Conversation, Message, Participation
from chats.services import edit, mark_as_read, send, start
from chats.tests.support.documents import API_GUIDE, OPERATING, README, blocks, section
from chats.tests.support.machines import find
from chats.tests.support.servers import Database, Server, digest, environment, manage, run, running
from chats.tests.support.services import PostgresServer

ROOT_PAGE = "SELECT rootpage FROM sqlite_master WHERE name = 'user_email_any_case'"
END_OF_RESPONSE = "\n<end of response>\n"
CHANGING = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}": "id",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z": "time",
    r"eyJ[\w.…-]+": "token",
}


def comparable(response):
    """Without what differs from run to run: ids, and with them the order of participants, times
    and tokens."""
    for pattern, word in CHANGING.items():
        response = re.sub(pattern, word, response)
    return json.loads(response, object_hook=sort_participants)


def sort_participants(row):
    if "participants" in row:
        row["participants"].sort(key=str)
    return row


@pytest.mark.once
@pytest.mark.django_db
def test_backup_is_restored(tmp_path):
    """By docs/operating.md, on both databases."""
    find("sqlite3")
    commands = blocks("bash", section(OPERATING, "Backups"))
    save_sqlite, restore_sqlite, save_postgres, restore_postgres, check_data = commands
    service = PostgresServer()
    service.start()
    try:
        empty = f"{service.url.removesuffix('postgres')}empty"
        with psycopg.connect(service.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE empty")
        for url, restored, save, restore in [
            (f"sqlite:///{tmp_path}/db.sqlite3", None, save_sqlite, restore_sqlite),
            (service.url, empty, save_postgres, restore_postgres),
        ]:
            database = Database(tmp_path, url)
            numbers = ["--people", "4", "--conversations", "2", "--messages", "30"]
            manage("make_data", *numbers, DATABASE_URL=database.url)
            variables = environment(DATABASE_URL=database.url, EMPTY_DATABASE_URL=empty)
            before = digest(database.url)
            bash(save, variables, tmp_path)
            database.execute("DELETE FROM chats_message")
            assert database.execute("SELECT count(*) FROM chats_message") == [(0,)]
            bash(restore, variables, tmp_path)
            assert digest(restored or database.url) == before
            variables = environment(DATABASE_URL=restored or database.url)
            done = bash(check_data.replace(".venv/bin/", ""), variables, settings.BASE_DIR)
            assert done.stdout == "There is no fault.\n"
    finally:
        service.remove()


@pytest.mark.once
@pytest.mark.django_db
def test_file_that_was_copied_while_in_use_is_found(tmp_path):
    """A page of an index is from before a write."""
    database = Database(tmp_path, f"sqlite:///{tmp_path}/db.sqlite3")
    file = tmp_path / "db.sqlite3"
    earlier = file.read_bytes()
    numbers = ["--people", "4", "--conversations", "1", "--messages", "0"]
    manage("make_data", *numbers, DATABASE_URL=database.url)
    [(number,)] = database.execute(ROOT_PAGE)
    page = slice((number - 1) * 4_096, number * 4_096)
    copied = bytearray(file.read_bytes())
    copied[page] = earlier[page]
    file.write_bytes(copied)
    done = run("check_data", DATABASE_URL=database.url)
    assert done.returncode == 1
    assert "file: row 1 missing from index user_email_any_case" in done.stdout
    assert done.stderr.startswith("CommandError: Faults: ")


@pytest.mark.once
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda whole: whole[:20_000], "database: database disk image is malformed\n"),
        (lambda whole: b"not a database" * 100, "database: file is not a database\n"),
    ],
    ids=["truncated", "garbage"],
)
@pytest.mark.django_db
def test_file_that_cannot_be_read_is_a_fault(tmp_path, damage, fault):
    database = Database(tmp_path, f"sqlite:///{tmp_path}/db.sqlite3")
    file = tmp_path / "db.sqlite3"
    file.write_bytes(damage(file.read_bytes()))
    done = run("check_data", DATABASE_URL=database.url)
    assert (done.returncode, done.stdout) == (1, fault)
    assert done.stderr == "CommandError: Faults: 1\n"


def bash(script, variables, folder):
    return subprocess.run(
        ["bash", "-eu"],  # noqa: S607
        input=script,
        env=variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.django_db
def test_wrong_clock_is_set_back(api, make_user):
    """By docs/operating.md. The order stays, and new messages get the real time."""
    alice, bob = make_user("Alice"), make_user("Bob")
    [code] = blocks("python", section(OPERATING, "A clock that was wrong"))
    [days] = re.findall(r"ahead = timedelta\(days=(\d+)\)", code)
    before = timezone.now()
    conversation, _ = start({bob.pk}, actor=alice)
    first, _ = send(conversation, "first", actor=alice)
    wrong = timezone.now() + timedelta(days=int(days))
    Conversation.objects.filter(pk=conversation.pk).update(updated_at=wrong)
    second, _ = send(conversation, "second", actor=bob)
    third, _ = send(conversation, "third", actor=alice)
    edit(first, "edited", actor=alice)
    mark_as_read(conversation, third.sent_at, actor=bob)
    assert third.sent_at > wrong
    token = AccessToken.for_user(alice)
    token.set_iat(at_time=wrong)
    assert api(access=token).get("/api/users/me/").status_code == 401
    exec(code, {})  # noqa: S102
    fourth, _ = send(conversation, "fourth", actor=alice)
    assert before < fourth.sent_at < timezone.now()
    in_order = [message.pk for message in (first, second, third, fourth)]
    assert list(conversation.messages.oldest_first().values_list("pk", flat=True)) == in_order
    for model, field in [(Message, "updated_at"), (Participation, "read_at")]:
        assert not model.objects.filter(**{f"{field}__gt": fourth.sent_at}).exists()


def get_variables():
    """Those that the settings read."""
    code = (settings.BASE_DIR / "messaging_app" / "settings.py").read_text()
    return set(re.findall(r'\b(?:env\.\w+|environ\.get|read_\w+)\(\s*"(\w+)"', code))


@pytest.mark.once
def test_readme_lists_every_variable():
    names = [
        row.split("|")[1] for row in section(README, "Configuration").splitlines() if "|" in row
    ]
    assert set(re.findall(r"`(\w+)`", str(names))) == get_variables()


@pytest.mark.once
@pytest.mark.parametrize("file", ["deploy/chat.env", "compose.yaml"])
def test_files_to_copy_name_existing_variables(file):
    text = (settings.BASE_DIR / file).read_text()
    names = set(re.findall(r"^ *#?([A-Z_]+)[=:]", text, re.MULTILINE))
    assert names - get_variables() <= {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
    assert {"SECRET_KEY", "DATABASE_URL"} <= names


def walk_through():
    """The commands of each step in curl and in HTTPie, and the response that the README shows."""
    in_curl = section(README, "A first conversation")
    [httpie] = blocks("bash", section(API_GUIDE, "The first conversation in HTTPie"))
    return {
        "curl": blocks("bash", in_curl),
        "httpie": [f"{step}\n" for step in httpie.split("\n\n")],
    }, blocks("json", in_curl)


@pytest.mark.once
@pytest.mark.parametrize("client", ["curl", "httpie"])
def test_first_conversation_returns_the_responses_of_the_readme(server, tmp_path, client):
    steps, shown = walk_through()
    script = "".join(f"{step}printf '%s' '{END_OF_RESPONSE}'\n" for step in steps[client])
    script = script.replace("http://127.0.0.1:8000/api", server.url)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = environment(HTTPIE_CONFIG_DIR=str(tmp_path), PATH=path)
    # Each client has an Ann of its own.
    ran = bash(script.replace("@example", f"@{client}.example"), variables, tmp_path)
    responses = ran.stdout.replace(f"@{client}.example", "@example").split(END_OF_RESPONSE)[:-1]
    assert len(responses) == len(shown) > 0
    for response, expected in zip(responses, shown, strict=True):
        assert comparable(response) == comparable(expected)


PRINT_EVENTS = {
    "js": """
for await (const { name, data } of readEvents(process.argv[2], process.argv[3]))
  console.log(name, data.conversation_id);
""",
    "python": """
import sys
for name, data in read_events(*sys.argv[1:]):
    print(name, data.get("conversation_id", "undefined"), flush=True)
""",
}


@pytest.mark.once
@pytest.mark.parametrize("language", ["js", "python"])
def test_examples_read_the_stream_of_events(people, conversation_id, tmp_path, language):
    """Of docs/api.md."""
    alice, bob, *_ = people
    [code] = blocks(language, section(API_GUIDE, "Events"))
    program = tmp_path / "read.mjs"
    program.write_text(code + PRINT_EVENTS[language])
    interpreter = find("node") if language == "js" else sys.executable
    command = [interpreter, program, bob.url, bob.access]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:  # noqa: S603
        assert reader.stdout.readline() == "ready undefined\n"
        alice.send(conversation_id, "Hello")
        assert reader.stdout.readline() == f"conversation {conversation_id}\n"
        reader.kill()


@pytest.mark.once
def test_runserver_listens_at_port(tmp_path, monkeypatch):
    """As the README says."""
    server = Server(Database(tmp_path), tmp_path, requests.Session, DEBUG="1")
    server.command = [sys.executable, "manage.py", "runserver", "--noreload"]
    with running(server):
        assert server.request("GET", "/healthz").status_code == 200


def get_anchors(page):
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.once
def test_links_between_the_pages_lead_somewhere():
    broken = []
    for page in [README, *(settings.BASE_DIR / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)(.*?)\)", page.read_text()):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in get_anchors(target)):
                broken.append((page.name, link))
    assert broken == []


@pytest.mark.once
def test_documented_commands_work_with_curl_before_7_82():
    """Which has no `--json`, as on Debian 11 and Ubuntu 22.04."""
    pages = [README, *(settings.BASE_DIR / "docs").glob("*.md")]
    assert [page.name for page in pages if "--json" in page.read_text()] == []
    assert "--json" not in FIRST_CALLS


@pytest.mark.once
def test_figures_are_those_of_the_benchmarks():
    results = report.read()
    page = report.PAGE.read_text()
    assert report.fill(page, results) == page
    assert report.draw(report.get_ratios(results)) == report.CHART.read_text()
