"""The OpenAPI description, held against a running server and a generated client."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from chats.tests.support.conformance import get_document, get_operations, get_schema
from chats.tests.support.machines import find
from chats.tests.support.servers import PASSWORD, environment, manage, run

EIGHT_FIRST_REQUESTS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from django.test import Client

begin = Barrier(8)
clients = [Client(SERVER_NAME="localhost") for _ in range(8)]
for client in clients:
    client.get("/api/")

def get_schema(client):
    begin.wait()
    return client.get("/api/schema/")

with ThreadPoolExecutor(8) as pool:
    responses = list(pool.map(get_schema, clients))
for response in responses:
    print(response.status_code, response.content == responses[0].content)
"""


@pytest.mark.once
def test_first_requests_of_a_process_get_the_same_description():
    done = run("shell", "-v0", "-c", EIGHT_FIRST_REQUESTS)
    assert done.stdout.splitlines() == ["200 True"] * 8, done.stderr


@pytest.mark.once
def test_schemathesis_finds_no_undescribed_response_and_no_5xx(server, tmp_path):
    """Schemathesis, on a running server; most ids that it sends are of rows that there are."""
    ann, ben, carl = (server.sign_up(name) for name in ("Ann", "Ben", "Carl"))
    conversation, left = (ann.start(ben, carl).json()["conversation_id"] for _ in range(2))
    make_host = f"User.objects.filter(pk='{ann.user_id}').update(role='host')"
    code = f"from chats.models import User; {make_host}"
    manage("shell", "-v0", "-c", code, DATABASE_URL=server.database.url)
    sent = [ann.send(conversation, body).json()["message_id"] for body in ("Hello, Ben!", "Bye!")]
    received = ben.send(conversation, "Hello, Ann!").json()["message_id"]
    document = get_document()
    for call, operation in get_operations(document).items():
        is_left = any(name in call for name in ("/leave/", "/remove_participant/"))
        ids = {"conversation_id": left if is_left else conversation, "user_id": ben.user_id}
        own = sent[call.startswith("DELETE ")]
        ids["message_id"] = received if "/report/" in call else own
        for parameter in operation["parameters"]:
            if parameter.get("in") == "path":
                parameter["schema"] = {"enum": [ids[parameter["name"]]]}
    # Schemathesis holds each event against the schema, which is that of the whole text.
    stream = document["paths"]["/api/events/"]["get"]["responses"]["200"]["content"]
    stream["text/event-stream"]["schema"] = {}
    schemas = document["components"]["schemas"]
    people = {"enum": [ben.user_id, carl.user_id]}
    schemas["NewMessageRequest"]["properties"]["conversation"] = {"enum": [conversation]}
    schemas["NewParticipantRequest"]["properties"]["user_id"] = people
    schemas["NewConversationRequest"]["properties"]["participants"]["items"] = people
    # Hers would end her tokens in the middle of it.
    strict = json.dumps(document).replace(PASSWORD, "not her password")
    (tmp_path / "openapi.json").write_text(strict)
    before = len(server.get_requests())
    config = Path(__file__).with_name("schemathesis.toml")
    ran = subprocess.run(  # noqa: S603
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", config),
            *("run", "openapi.json", "--url", server.site),
        ],
        cwd=tmp_path,
        env=environment(ACCESS_TOKEN=ann.access),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

    succeeded = set()
    for line in server.get_requests()[before:]:
        operation = get_schema().find_operation_by_path(line["method"], line["path"])
        if operation and line["status"] in range(200, 300):
            succeeded.add(operation.label)
    without_success = {
        "DELETE /api/users/me/",
        "POST /api/users/set_password/",
        "POST /api/users/reset_password_confirm/",
        "POST /api/users/verify_email/",
        "POST /api/users/set_email/",
        "POST /api/users/set_email_confirm/",
        "POST /api/token/",
        "POST /api/token/refresh/",
        "POST /api/token/verify/",
        "POST /api/token/blacklist/",
    }
    assert succeeded | without_success == set(get_operations(document))


@pytest.mark.once
def test_generated_python_client_works(server, tmp_path, monkeypatch):
    """openapi-python-client's."""
    (tmp_path / "openapi.json").write_text(json.dumps(get_document()))
    config = {
        "post_hooks": [],
        "package_name_override": "generated_client",
        # It does not know the type of the export.
        "content_type_overrides": {"application/x-ndjson": "application/octet-stream"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    command = ["-m", "openapi_python_client", "generate", "--path", "openapi.json"]
    options = ["--config", "config.json", "--meta", "none", "--fail-on-warning"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, *command, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    generated = {
        name: importlib.import_module(f"generated_client.{name}")
        for name in ("client", "models", "api.messages.list_messages", "api.messages.get_message")
    }
    models, list_messages = generated["models"], generated["api.messages.list_messages"].sync
    alice, bob = server.sign_up("alice"), server.sign_up("bob")
    path = f"/conversations/{alice.start(bob).json()['conversation_id']}/messages/"
    for body in ("one", "two"):
        alice.call("POST", path, json={"message_body": body})
    bodies = {}
    with generated["client"].AuthenticatedClient(server.site, alice.access) as client:
        for order in models.ListMessagesOrdering:
            page = list_messages(client=client, ordering=order)
            bodies[order.name] = [message.message_body for message in page.results]
        missing = generated["api.messages.get_message"].sync(uuid4(), client=client)
    assert bodies == {"NEWEST_FIRST": ["two", "one"], "OLDEST_FIRST": ["one", "two"]}
    assert isinstance(missing, models.Error)
    assert missing.detail == "Not found."


@pytest.mark.once
def test_generated_typescript_types_compile(server, tmp_path):
    """openapi-typescript's types compile under `tsc --strict`, in a program that then runs."""
    npm, node = find("npm"), find("node")
    shutil.copytree(Path(__file__).with_name("typescript"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.json").write_text(json.dumps(get_document()))
    options = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel", "error"]
    for command in (
        [npm, "install", *options],
        [npm, "run", "build"],
        [node, "client.js", server.site, uuid4().hex],
    ):
        done = subprocess.run(  # noqa: S603
            command, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {
        "received": ["one", "two", "three"],
        "changed": ["One", None],
        "title": "Numbers",
        "unread": 0,
        "last": "three",
        "role": "guest",
    }
