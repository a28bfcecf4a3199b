"""Clients that check every response under /api/ against the OpenAPI description."""

import json
import re
from functools import cache
from http import HTTPStatus
from urllib.parse import urlsplit

import requests
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient
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
# Their successful responses are not described.
UNDESCRIBED_PATHS = {"/api/schema/", "/api/docs/"}
# An operation may send these only where the description has them.
HEADERS = {"retry-after", "idempotent-replayed", "www-authenticate"}


def get_document():
    """The description; a response field that it does not have is an error."""
    document = json.loads(json.dumps(SchemaGenerator().get_schema(public=True)))
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema and not name.endswith("Request"):
            schema["additionalProperties"] = False
    return document


def get_operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


@cache
def get_schema():
    return schemathesis.openapi.from_dict(get_document())


def find_operation(method, path):
    """None if there is none: a path that is written out has no methods of a templated one."""
    operation = get_schema().find_operation_by_path(method, path)
    if operation and operation.path != path and path in get_schema().raw_schema["paths"]:
        return None
    return operation


def check_response(method, url, status, headers, content):
    path = urlsplit(url).path
    if not path.startswith("/api/"):
        return
    if path in UNDESCRIBED_PATHS and status in range(200, 400):
        return
    assert not content or status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
    operation = find_operation("GET" if method == "HEAD" else method, path)
    if operation is None:
        check_undescribed(method, path, status, content)
        return
    response = schemathesis.Response(
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
    case.validate_response(response, checks=checks)
    if method != "HEAD":
        described = operation.responses.find_by_status_code(status).definition.get("headers", {})
        assert set(response.headers) & HEADERS <= {name.lower() for name in described}


def check_undescribed(method, path, status, content):
    """An unknown path or method, or a path without its slash."""
    what = f"{method} {path} returned {status} and is not described: {content[:200]}"
    if status < HTTPStatus.BAD_REQUEST:
        assert status == HTTPStatus.MOVED_PERMANENTLY or method == "OPTIONS", what
    elif method != "HEAD":
        fields = {"detail", "code"} if status == HTTPStatus.UNAUTHORIZED else {"detail"}
        assert status < HTTPStatus.INTERNAL_SERVER_ERROR, what
        assert set(json.loads(content)) == fields, what


class CheckedAPIClient(APIClient):
    def request(self, **environ):
        response = super().request(**environ)
        if not response.streaming:
            check_response(
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"],
                response.status_code,
                response.headers,
                response.content,
            )
        return response


class CheckedSession(requests.Session):
    def send(self, request, **kwargs):
        response = super().send(request, **kwargs)
        check_response(
            request.method, request.url, response.status_code, response.headers, response.content
        )
        return response
