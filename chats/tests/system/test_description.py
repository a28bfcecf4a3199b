"""The OpenAPI description, held against a running server and a generated client."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from chats.tests.support.conformance import get_document, get_operations, get_schema
from chats.tests.support.servers import PASSWORD, environment
from chats.tests.support.services import find


@pytest.mark.once
def test_every_response_is_described_and_none_is_a_5xx(server, tmp_path):
    """Schemathesis, on a running server; most ids that it sends are of rows that there are."""
    ann, ben, carl = (server.sign_up(name) for name in ("Ann", "Ben", "Carl"))
    conversation, left = (ann.start(ben, carl).json()["conversation_id"] for _ in range(2))
    sent = [ann.send(conversation, body).json()["message_id"] for body in ("Hello, Ben!", "Bye!")]
    document = get_document()
    for call, operation in get_operations(document).items():
        ids = {"conversation_id": left if "/leave/" in call else conversation}
        ids |= {"message_id": sent[call.startswith("DELETE ")], "user_id": ben.user_id}
        for parameter in operation["parameters"]:
            if parameter.get("in") == "path":
                parameter["schema"] = {"enum": [ids[parameter["name"]]]}
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
        "POST /api/token/",
        "POST /api/token/refresh/",
        "POST /api/token/verify/",
        "POST /api/token/blacklist/",
    }
    assert succeeded | without_success == set(get_operations(document))


@pytest.mark.once
def test_a_typed_client_comes_out_of_it(server, tmp_path):
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
