"""The README's walk-through, run as it stands against a real server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from benchmarks import report
from chats.tests.servers import Database, digest, environment, manage
from chats.tests.services import PostgresServer, find

README = settings.BASE_DIR / "README.md"
END_OF_ANSWER = "\n<end of answer>\n"
CHANGING = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}": "id",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z": "time",
    r"eyJ[\w.…-]+": "token",
}


def comparable(answer):
    """Without what differs from run to run: ids, and with them the order of participants, times
    and tokens."""
    for pattern, word in CHANGING.items():
        answer = re.sub(pattern, word, answer)
    return json.loads(answer, object_hook=sort_participants)


def sort_participants(row):
    if "participants" in row:
        row["participants"].sort(key=str)
    return row


def commands_of(title):
    section = README.read_text().partition(f"{title}\n")[2].partition("\n##")[0]
    return re.findall(r"^```bash\n(.*?)```", section, re.DOTALL | re.MULTILINE)


@pytest.mark.once
@pytest.mark.django_db
def test_a_backup_is_restored(tmp_path):
    """As the README has it, on both databases: the rows are back, and what came later is not."""
    find("sqlite3")
    save_sqlite, restore_sqlite, save_postgres, restore_postgres = commands_of("### Backups")
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
            assert digest(database.url) != before
            bash(restore, variables, tmp_path)
            assert digest(restored or database.url) == before
    finally:
        service.remove()


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


def walk_through():
    """The commands of each step in curl and in HTTPie, and the answer that the README shows."""
    section = README.read_text().partition("## A first conversation")[2].partition("\n## ")[0]
    in_curl, _, in_httpie = section.partition("### The same in HTTPie")
    [httpie] = re.findall(r"```bash\n(.*?)```", in_httpie, re.DOTALL)
    return {
        "curl": re.findall(r"```bash\n(.*?)```", in_curl, re.DOTALL),
        "httpie": [f"{step}\n" for step in httpie.split("\n\n")],
    }, re.findall(r"```json\n(.*?)```", in_curl, re.DOTALL)


@pytest.mark.once
@pytest.mark.parametrize("client", ["curl", "httpie"])
def test_the_first_conversation_gives_the_answers_that_it_shows(server, tmp_path, client):
    steps, shown = walk_through()
    script = "".join(f"{step}printf '%s' '{END_OF_ANSWER}'\n" for step in steps[client])
    script = script.replace("http://127.0.0.1:8000/api", server.url)
    # The script's own input is not to be sent.
    (tmp_path / "config.json").write_text('{"default_options": ["--ignore-stdin"]}')
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = environment(HTTPIE_CONFIG_DIR=str(tmp_path), PATH=path)
    # Each client has an Ann of its own.
    ran = bash(script.replace("@example", f"@{client}.example"), variables, tmp_path)
    answers = ran.stdout.replace(f"@{client}.example", "@example").split(END_OF_ANSWER)[:-1]
    assert len(answers) == len(shown) > 0
    for answer, expected in zip(answers, shown, strict=True):
        assert comparable(answer) == comparable(expected)


def test_its_figures_are_those_of_the_benchmarks():
    results = report.read()
    assert report.ratios(results) in README.read_text()
    tables = [*report.grown_tables(results), report.memory(results)]
    notes = (settings.BASE_DIR / "benchmarks/README.md").read_text()
    assert [table for table in tables if table not in notes] == []
