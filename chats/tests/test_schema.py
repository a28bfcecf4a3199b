"""The OpenAPI description: complete, and true. `conformance.py` holds every answer against it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import jsonschema_rs
import pytest
from django.conf import settings

from chats.tests.conformance import get_document, get_schema
from chats.tests.servers import PASSWORD, environment
from chats.tests.services import find

README = settings.BASE_DIR / "README.md"


@pytest.fixture(scope="module")
def document():
    return get_document()


def get_operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def resolve(document, node):
    """The node, or what it refers to."""
    if "$ref" not in node:
        return node
    _, *names = node["$ref"].split("/")
    for name in names:
        document = document[name]
    return document


class TestExamples:
    """Each is there, and is what its own schema says."""

    @pytest.fixture
    def check(self, document):
        def check(schema, example):
            whole = {"components": document["components"], **schema}
            jsonschema_rs.validate(whole, example, validate_formats=True)

        return check

    def test_of_parameters_and_headers(self, document, check):
        operations = get_operations(document).values()
        parameters = [resolve(document, p) for o in operations for p in o["parameters"]]
        for parameter in parameters:
            [example] = parameter["schema"]["examples"]
            check(parameter["schema"], example)
            assert parameter["description"]
        for header in document["components"]["headers"].values():
            check(header["schema"], header["example"])
            assert header["description"]

    def test_of_bodies(self, document, check):
        for operation in get_operations(document).values():
            responses = [resolve(document, r) for r in operation["responses"].values()]
            assert all(response["description"] for response in responses)
            for body in [operation.get("requestBody", {}), *responses]:
                for content in body.get("content", {}).values():
                    several = [example["value"] for example in content.get("examples", {}).values()]
                    examples = several or [content["example"]]
                    for example in examples:
                        check(content["schema"], example)


def test_only_what_is_open_needs_no_token(document):
    is_open = {call for call, o in get_operations(document).items() if "security" not in o}
    assert is_open == {
        "GET /api/",
        "POST /api/token/",
        "POST /api/token/refresh/",
        "POST /api/token/verify/",
        "POST /api/token/blacklist/",
        "POST /api/users/",
        "POST /api/users/reset_password/",
        "POST /api/users/reset_password_confirm/",
    }


def test_headers_are_where_they_are_sent(document):
    def calls_with(find):
        return {call for call, operation in get_operations(document).items() if find(operation)}

    def takes(name):
        reference = {"$ref": f"#/components/parameters/{name}"}
        return calls_with(lambda operation: reference in operation["parameters"])

    def answers_with(name):
        def find(operation):
            responses = [resolve(document, r) for r in operation["responses"].values()]
            return any(name in response.get("headers", {}) for response in responses)

        return calls_with(find)

    calls = set(get_operations(document))
    reads = {call for call in calls if call.startswith("GET ")}
    sends = {
        "POST /api/conversations/",
        "POST /api/conversations/{conversation_id}/messages/",
    }
    assert takes("Idempotency-Key") == answers_with("Idempotent-Replayed") == sends
    assert takes("If-None-Match") == answers_with("ETag") == reads
    assert answers_with("Retry-After") == calls - {"GET /api/"}


def test_the_readme_lists_the_calls_and_their_answers(document):
    """But for what it says of all of them: 304, 400 and so on."""
    of_each = {"200", "201", "204", "401", "404", "422"}
    described = {
        re.sub(r"{\w+}", "{id}", call): set(operation["responses"]) & of_each
        for call, operation in get_operations(document).items()
    }
    listed = {}
    rows = re.findall(r"^\| (`[A-Z]+ /api/.*?) \|.*\| (.*) \|$", README.read_text(), re.MULTILINE)
    for calls, statuses in rows:
        for call in re.findall(r"`([A-Z]+ /api/\S*)`", calls):
            listed[call] = set(re.findall(r"\d{3}", statuses)) & of_each
    assert {call: listed[call] for call in described} == described


def test_no_call_answers_with_a_5xx_or_off_the_description(server, tmp_path):
    """Schemathesis, on a running server; most ids that it sends are of rows that there are."""
    ann, ben, carl = (server.sign_up(name) for name in ("Ann", "Ben", "Carl"))
    conversation, left = (ann.start(ben, carl).json()["conversation_id"] for _ in range(2))
    message = ann.send(conversation, "Hello, Ben!").json()["message_id"]
    document = get_document()
    for call, operation in get_operations(document).items():
        ids = {"conversation_id": left if "/leave/" in call else conversation}
        ids["message_id"] = message
        for parameter in operation["parameters"]:
            if parameter.get("in") == "path":
                parameter["schema"] = {"enum": [ids[parameter["name"]]]}
    schemas = document["components"]["schemas"]
    people = {"enum": [ben.user_id, carl.user_id]}
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
def test_a_typed_client_comes_out_of_it(server, document, tmp_path):
    """openapi-typescript's types compile under `tsc --strict`, in a program that then runs."""
    npm, node = find("npm"), find("node")
    shutil.copytree(Path(__file__).with_name("typescript"), tmp_path, dirs_exist_ok=True)
    (tmp_path / "openapi.json").write_text(json.dumps(document))
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
        "last": "three",
        "role": "guest",
    }
