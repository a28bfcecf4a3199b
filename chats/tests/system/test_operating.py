"""The commands of docs/operating.md, as they stand there. Those of some sections are elsewhere."""

import re
import shlex
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest
import requests
import yaml
from django.conf import settings

from chats.tests.support.cluster import StoredAt
from chats.tests.support.documents import OPERATING, README, blocks, section
from chats.tests.support.machines import find
from chats.tests.support.servers import PASSWORD, Database, Server, digest, environment, manage
from chats.tests.support.services import PostgresServer, RedisServer

pytestmark = pytest.mark.once

CI = settings.BASE_DIR / ".ci" / "run"
# OpenTelemetry, which is not among the requirements.
NOT_RUN = {"Logs"}
USES = r'blocks\(\s*"bash", section\(OPERATING, "(.*?)"\)\s*\)|/\^## (.*?)\$/'


@pytest.fixture
def bash(tmp_path):
    """Runs a script in a folder that looks like a clone."""
    for name, target in {".venv": sys.prefix, "manage.py": settings.BASE_DIR / "manage.py"}.items():
        (tmp_path / name).symlink_to(target)

    def bash(script, **variables):
        return subprocess.run(  # noqa: S603
            [find("bash"), "-euo", "pipefail"],
            input=script,
            env=environment(**variables),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    return bash


def test_every_command_is_run():
    """By a test, or by .ci/run, which takes it from the page."""
    titles = re.findall("^## (.*)$", OPERATING.read_text(), re.MULTILINE)
    with_commands = {title for title in titles if blocks("bash", section(OPERATING, title))}
    files = [CI, *(settings.BASE_DIR / "chats" / "tests").rglob("test_*.py")]
    run = {title for file in files for use in re.findall(USES, file.read_text()) for title in use}
    assert with_commands == run - {""} | NOT_RUN
    for command in blocks("bash", section(README, "Run it")):
        [end] = re.findall(r"(&& \S+(?: manage.py runserver)?)$", command)
        assert f"grep -m 1 '{end}$' README.md" in CI.read_text()


@pytest.mark.django_db
def test_history_is_imported_once_and_its_rows_can_be_dumped_and_loaded(bash, tmp_path):
    [example] = blocks("json", section(OPERATING, "Importing a history"))
    [import_twice] = blocks("bash", section(OPERATING, "Importing a history"))
    [dump] = blocks("bash", section(OPERATING, "Fixtures"))
    source = Database(tmp_path, f"sqlite:///{tmp_path}/source.sqlite3")
    (tmp_path / "history.jsonl").write_text(example)
    bash("gzip --keep history.jsonl")
    bash(import_twice, DATABASE_URL=source.url)
    assert source.execute("SELECT count(*) FROM chats_message") == [(2,)]
    bash(dump, DATABASE_URL=source.url)
    target = Database(tmp_path, f"sqlite:///{tmp_path}/target.sqlite3")
    manage("loaddata", str(tmp_path / "all.jsonl.gz"), DATABASE_URL=target.url)
    assert digest(target.url) == digest(source.url)


@pytest.mark.django_db
def test_superuser_is_made_once(bash, tmp_path):
    [create] = blocks("bash", section(OPERATING, "The admin"))
    database = Database(tmp_path, f"sqlite:///{tmp_path}/admin.sqlite3")
    assert create.count("…") == 1
    for _ in range(2):
        bash(create.replace("…", f"'{PASSWORD}'"), DATABASE_URL=database.url)
    rows = database.execute("SELECT email FROM chats_user WHERE is_superuser")
    assert rows == [("root@example.com",)]


@contextmanager
def compose_services(services):
    """What the file's services need, by name: at addresses of this machine, without an engine."""
    with ExitStack() as stack:
        own = {"database": PostgresServer()}
        for name in ("cache", "throttles"):
            _, *arguments = shlex.split(services[name]["command"])
            own[name] = RedisServer(*arguments)
        for service in own.values():
            stack.callback(service.remove)
            service.start()
        names = services["database"]["environment"]
        own["database"].execute(
            f"CREATE ROLE {names['POSTGRES_USER']} LOGIN PASSWORD '{names['POSTGRES_PASSWORD']}'"
        )
        own["database"].execute(
            f"CREATE DATABASE {names['POSTGRES_DB']} OWNER {names['POSTGRES_USER']}"
        )
        yield own


def test_compose_file_has_commands_and_variables_that_work(bash, tmp_path, static_files):
    [up] = blocks("bash", section(OPERATING, "Docker"))
    assert up.count("docker compose up --build") == 1
    configuration = f"{find('docker-compose')} -f {settings.BASE_DIR}/compose.yaml config"
    services = yaml.safe_load(bash(up.replace("docker compose up --build", configuration)))[
        "services"
    ]
    variables = services["web"]["environment"]
    assert services["migrate"]["environment"] == variables
    with compose_services(services) as own:
        for name in ("DATABASE_URL", "CACHE_URL", "THROTTLE_CACHE_URL"):
            for host, service in own.items():
                variables[name] = re.sub(
                    f"(@|//){host}/", rf"\g<1>{service.address}/", variables[name]
                )
        bash(services["migrate"]["command"], **variables)
        server = Server(StoredAt(variables["DATABASE_URL"]), tmp_path, requests.Session)
        try:
            server.start(**variables)
            assert server.request("GET", "/readyz").status_code == 200
        finally:
            server.kill()
