"""What drf-spectacular cannot derive: shared errors and headers, and where they apply.

Endpoints declare which errors they return. One declared as in `401: None` gets its description from
RESPONSES.
"""

import re
from http import HTTPStatus

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.drainage import get_override
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.exceptions import NotAcceptable, UnsupportedMediaType

from chats.rest.conditions import PreconditionFailed
from chats.rest.exceptions import INSTRUCTIONS
from chats.rest.idempotency import KEY_PARAMETER
from messaging_app.middleware import LENGTH_REQUIRED, TOO_LARGE, TOO_LONG, TOO_SLOW, UNAVAILABLE

ETAG = '"1f0d5c2b8e7a4936b1c2d3e4f5a69788"'
STRING = {"type": "string"}
ID = "In lower case. For example `a5044f5c-44f0-4974-b3b4-62705898dd36`."


def refer(section, *names):
    return {name: {"$ref": f"#/components/{section}/{name}"} for name in names}


def header(description, example, required=True, **schema):
    return {"description": description, "required": required, "schema": schema, "example": example}


def respond(description, schema, media_type="application/json", **examples):
    return {"description": description, "content": {media_type: {"schema": schema, **examples}}}


def error(description, detail, *headers, schema="Error", **fields):
    [schema] = refer("schemas", schema).values()
    response = respond(description, schema, example={"detail": detail, **fields})
    return response | {"headers": refer("headers", *headers)}


def etag_parameter(name, description):
    schema = STRING | {"examples": [ETAG]}
    return {"name": name, "in": "header", "description": description, "schema": schema}


IF_NONE_MATCH = etag_parameter(
    "If-None-Match",
    "The `ETag` of an earlier response, for a 304 if it is still current. Browsers send it by "
    "themselves.",
)
IF_MATCH = etag_parameter(
    "If-Match",
    "The `ETag` of a `GET` of the same path. If it is not current any more, the response is a 412, "
    "and nothing changes.",
)
PARAMETERS = {
    parameter["name"]: parameter for parameter in (IF_MATCH, IF_NONE_MATCH, KEY_PARAMETER)
}
HEADERS = {
    "ETag": header("The version of the response, for a later request.", ETAG, **STRING),
    "Retry-After": header("Seconds to wait before the next try.", 30, type="integer", minimum=1),
    "Idempotent-Replayed": header(
        "Created earlier.", "true", required=False, const="true", **STRING
    ),
    "WWW-Authenticate": header("How to authenticate.", 'Bearer realm="api"', **STRING),
}
CODES = """not_authenticated bad_authorization_header token_not_valid password_changed user_inactive
    user_not_found no_active_account email_not_verified"""
CODE = STRING | {"description": "Stays the same when `detail` is reworded.", "enum": CODES.split()}
SCHEMAS = {
    "Error": {"type": "object", "properties": {"detail": STRING}, "required": ["detail"]},
    "AuthenticationError": {
        "type": "object",
        "properties": {"detail": STRING, "code": CODE},
        "required": ["detail", "code"],
    },
    "FieldErrors": {
        "type": "object",
        "description": "Error messages by field or parameter, or under `non_field_errors`.",
        "minProperties": 1,
        "propertyNames": {"not": {"const": "detail"}},
        "additionalProperties": {"type": "array", "items": STRING, "minItems": 1},
    },
}
INVALID = {
    "Field": {"message_body": ["This field is required; “text” is not a field here."]},
    "Parameter": {"page_siz": ["There is no such parameter here; use “page_size”."]},
    "Body": {"detail": "The body is not JSON: unexpected end of data: line 1 column 2 (char 1)."},
}
THROTTLED = "Request was throttled. Expected available in 30 seconds."
RESPONSES = {
    "304": {"description": "The client's copy is current.", "headers": refer("headers", "ETag")},
    "400": respond(
        "The request is malformed or has an invalid value; see the body. Nothing was written.",
        {"anyOf": list(refer("schemas", "Error", "FieldErrors").values())},
        examples={name: {"value": value} for name, value in INVALID.items()},
    ),
    "401": error(
        "The token is missing, invalid or expired, or the credentials are wrong.",
        "Authentication credentials were not provided.",
        "WWW-Authenticate",
        schema="AuthenticationError",
        code="not_authenticated",
    ),
    "404": error("No such object, or you may not see it; the response is the same.", "Not found."),
    "406": error("The client does not accept JSON.", INSTRUCTIONS[NotAcceptable]),
    "408": error("The body takes longer than 30 seconds to arrive.", TOO_SLOW),
    "411": error("The body has no `Content-Length`.", LENGTH_REQUIRED),
    "412": error(
        "`If-Match` or another condition does not hold.", PreconditionFailed.default_detail
    ),
    "413": error("The body is larger than 1 MiB.", TOO_LARGE),
    "414": error("Path and query string are over 8,000 bytes.", TOO_LONG),
    "415": error("The body is not JSON, or is compressed.", INSTRUCTIONS[UnsupportedMediaType]),
    "429": error("Too many requests of this kind.", THROTTLED, "Retry-After"),
    "503": error("The database is unavailable, or the server is busy.", UNAVAILABLE, "Retry-After"),
}


def describe_error(description, detail):
    """For the `responses` of an endpoint: an error that only it returns."""
    examples = [OpenApiExample("Error", {"detail": detail})]
    return OpenApiResponse(refer("schemas", "Error")["Error"], description, examples)


class BearerScheme(SimpleJWTScheme):
    target_class = "chats.auth.JWTAuthentication"
    priority = 1
    name = "bearer"

    def get_security_definition(self, auto_schema):
        words = "The `access` token of `POST /api/token/`."
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": words}


class AutoSchema(SpectacularAutoSchema):
    def get_description(self):
        """The docstring with each paragraph on one line: Swagger UI shows line breaks."""
        action = getattr(self.view, "action", None)
        doc = get_doc(getattr(self.view, action)) if action else super().get_description()
        return re.sub(r"(?<!\n)\n(?!\n)", " ", doc)

    def get_paginated_name(self, serializer_name):
        return f"{serializer_name}Page"

    def _get_examples(self, serializer, *args):
        if not self._is_list_view(serializer):
            return super()._get_examples(serializer, *args)
        [row] = (e.value for e in get_override(serializer, "examples") if not e.request_only)
        return {"Page": {"value": self._get_paginator().get_example(serializer.Meta.model, row)}}

    def get_operation(self, *args):
        if (operation := super().get_operation(*args)) is None:
            return None
        if self.method == "DELETE":
            # drf-spectacular describes no body for it.
            self.method = "POST"
            if body := self._get_request_body():
                operation["requestBody"] = body
            self.method = "DELETE"
        parameters, responses = operation.setdefault("parameters", []), operation["responses"]
        for parameter in parameters:
            complete_parameter(parameter)
        for body in (operation.get("requestBody", {}), *responses.values()):
            for content in body.get("content", {}).values():
                [example] = content.pop("examples").values()
                content["example"] = example["value"]
        for status, response in responses.items():
            response["description"] = response["description"] or HTTPStatus(int(status)).phrase
        if is_stream(operation):
            pass
        elif self.method == "GET":
            parameters += refer("parameters", "If-None-Match").values()
            responses["200"]["headers"] = refer("headers", "ETag")
        elif self.method in {"PATCH", "DELETE"}:
            parameters += refer("parameters", "If-Match").values()
            if "200" in responses:
                responses["200"]["headers"] = refer("headers", "ETag")
        elif responses.keys() >= {"200", "201"}:
            parameters += refer("parameters", "Idempotency-Key").values()
            responses["200"]["headers"] = refer("headers", "Idempotent-Replayed")
            responses["200"]["description"] = "What an earlier request created."
        described = {status for status, response in responses.items() if "content" in response}
        responses |= refer("responses", *self.get_errors(operation) - described)
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def get_errors(self, operation):
        """The declared errors, and those implied by method, path and parameters."""
        errors = operation["responses"].keys() & RESPONSES.keys()
        errors |= {"400", "411", "413", "414", "503"}
        if is_stream(operation):
            return errors | {"401"}
        errors |= {"406"}
        if self.method == "GET":
            errors |= {"304"}
        if self.method in {"GET", "PATCH", "DELETE"}:
            errors |= {"412"}
        if "security" in operation:
            errors |= {"401"} if self.method == "GET" else {"401", "429"}
        names = {parameter.get("name") for parameter in operation["parameters"]}
        implied = {"404": "{" in self.path, "429": "search" in names}
        implied |= dict.fromkeys(["408", "415"], "requestBody" in operation)
        return errors | {status for status, is_implied in implied.items() if is_implied}


def is_stream(operation):
    content = operation["responses"].get("200", {}).get("content", {})
    return not content.keys().isdisjoint({"text/event-stream", "application/x-ndjson"})


def complete_parameter(parameter):
    """Copies the example from the description to the schema. Swagger UI would send a parameter's
    `example` as its value. It ignores the `examples` of a schema."""
    words = ID if parameter["in"] == "path" else parameter["description"]
    parameter["description"] = words.strip()
    parameter["schema"].setdefault("examples", re.findall("For example `(.*)`", words))


def add_components(result, **kwargs):
    """Adds what operations refer to. A response, unlike a request, always has every field. Of the
    PATCH requests, only that of the profile may leave fields out."""
    components = result["components"]
    for name, schema in components["schemas"].items():
        is_response = not name.endswith("Request")
        is_whole = name.startswith("Patched") and name != "PatchedProfileRequest"
        if "properties" in schema and (is_response or is_whole):
            schema["required"] = list(schema["properties"])
    components["schemas"] |= SCHEMAS
    components |= {"headers": HEADERS, "parameters": PARAMETERS, "responses": RESPONSES}
    return result
