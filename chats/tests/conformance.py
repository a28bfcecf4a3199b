"""Every answer that a test gets is held against the OpenAPI description."""

import json
import re
from functools import cache
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
import schemathesis
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Described by themselves, in their own ways.
BESIDE = {"/api/schema/", "/api/docs/"}
# What is promised across origins; `required` says where it has to be.
HEADERS = {"retry-after", "idempotent-replayed", "www-authenticate"}


def get_document():
    """The description, strict on answers: a field that it does not know is an error."""
    document = json.loads(json.dumps(SchemaGenerator().get_schema(public=True)))
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema and not name.endswith("Request"):
            schema["additionalProperties"] = False
    return document


@cache
def get_schema():
    return schemathesis.openapi.from_dict(get_document())


def check_answer(method, url, status, headers, content):
    path = urlsplit(url).path
    if not path.startswith("/api/"):
        return
    if path in BESIDE and status in range(200, 400):
        return
    assert not content or status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
    operation = get_schema().find_operation_by_path("GET" if method == "HEAD" else method, path)
    if operation is None:
        check_undescribed(method, path, status, content)
        return
    answer = schemathesis.Response(
        status_code=status,
        headers={name.lower(): [value] for name, value in headers.items()},
        content=content,
        request=requests.Request(method, f"http://testserver{path}").prepare(),
        elapsed=0,
        verify=False,
    )
    parameters = dict.fromkeys(re.findall(r"{(\w+)}", operation.path), "any")
    case = operation.Case(path_parameters=parameters)
    checks = CHECKS[:1] if method == "HEAD" else CHECKS
    case.validate_response(answer, checks=checks)
    if method != "HEAD":
        described = operation.responses.find_by_status_code(status).definition.get("headers", {})
        assert set(answer.headers) & HEADERS <= {name.lower() for name in described}


def check_undescribed(method, path, status, content):
    """A path or a verb that there is not, or a path without its slash."""
    what = f"{method} {path} answered {status} and is not described: {content[:200]}"
    if status < HTTPStatus.BAD_REQUEST:
        assert status == HTTPStatus.MOVED_PERMANENTLY or method == "OPTIONS", what
    elif method != "HEAD":
        fields = {"detail", "code"} if status == HTTPStatus.UNAUTHORIZED else {"detail"}
        assert status < HTTPStatus.INTERNAL_SERVER_ERROR, what
        assert set(json.loads(content)) == fields, what


def check_test_client(patch):
    request = Client.request

    def checked(self, **environ):
        answer = request(self, **environ)
        if not answer.streaming:
            check_answer(
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"],
                answer.status_code,
                answer.headers,
                answer.content,
            )
        return answer

    patch.setattr(Client, "request", checked)


def check_requests(patch):
    send = requests.Session.send

    def checked(self, request, **arguments):
        answer = send(self, request, **arguments)
        check_answer(
            request.method, request.url, answer.status_code, answer.headers, answer.content
        )
        return answer

    patch.setattr(requests.Session, "send", checked)
