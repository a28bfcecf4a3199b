"""The OpenAPI description is complete and true. `api` checks every response against it."""

import re

import jsonschema_rs
import pytest
from django.conf import settings

from chats.tests.support.conformance import get_operations
from messaging_app.conf.spectacular import METHODS

README = settings.BASE_DIR / "README.md"


def resolve(document, node):
    """The node, or the node that it refers to."""
    if "$ref" not in node:
        return node
    _, *names = node["$ref"].split("/")
    for name in names:
        document = document[name]
    return document


class TestExamplesMatchTheirSchemas:
    """Every parameter, header and body has an example that its schema accepts."""

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


def test_open_operations_need_no_token(document):
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
        "POST /api/users/verify_email/",
        "POST /api/users/resend_verification/",
        "POST /api/users/set_email_confirm/",
    }


def test_methods_of_a_path_are_in_a_fixed_order(document):
    for operations in document["paths"].values():
        assert list(operations) == [method for method in METHODS if method in operations]


def test_403_is_for_participants_only(document):
    """Another participant's message cannot be changed, one's own cannot be reported, and a guest
    removes nobody. Outsiders get a 404."""
    refusing = {call for call, o in get_operations(document).items() if "403" in o["responses"]}
    conversation = "/api/conversations/{conversation_id}/"
    calls = ("PATCH {}{{message_id}}/", "DELETE {}{{message_id}}/", "POST {}{{message_id}}/report/")
    paths = ("/api/messages/", f"{conversation}messages/")
    assert refusing == {
        f"POST {conversation}remove_participant/",
        *(call.format(path) for call in calls for path in paths),
    }


def test_headers_are_described_where_they_are_sent(document):
    def calls_with(find):
        return {call for call, operation in get_operations(document).items() if find(operation)}

    def takes(name):
        reference = {"$ref": f"#/components/parameters/{name}"}
        return calls_with(lambda operation: reference in operation["parameters"])

    def responds_with(name):
        def find(operation):
            responses = [resolve(document, r) for r in operation["responses"].values()]
            return any(name in response.get("headers", {}) for response in responses)

        return calls_with(find)

    calls = set(get_operations(document))
    streams = {"GET /api/events/", "GET /api/users/me/export/"}
    reads = {call for call in calls if call.startswith("GET ")} - streams
    patches = {call for call in calls if call.startswith("PATCH ")}
    deletes = {call for call in calls if call.startswith("DELETE ")}
    sends = {
        "POST /api/conversations/",
        "POST /api/conversations/{conversation_id}/messages/",
        "POST /api/messages/",
    }
    assert takes("Idempotency-Key") == responds_with("Idempotent-Replayed") == sends
    assert takes("If-None-Match") == reads
    assert takes("If-Match") == patches | deletes
    assert responds_with("ETag") == reads | patches
    assert responds_with("Retry-After") == calls


def test_readme_lists_every_endpoint_and_its_status_codes(document):
    """Except for those that all endpoints share, such as 304 and 400."""
    of_each = {"200", "201", "204", "401", "403", "404", "409", "422"}
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
