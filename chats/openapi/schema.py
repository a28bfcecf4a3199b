"""The OpenAPI description.

drf-spectacular derives paths, parameters and the fields of bodies. The words, the examples and what
holds for all operations, such as their errors and ETags, are added here.
"""

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework.permissions import AllowAny

from chats.openapi.components import (
    ERROR_SCHEMAS,
    HEADERS,
    JSON,
    PARAMETERS,
    RESPONSES,
    SHARED_PARAMETERS,
    refer_to_headers,
    reference,
)
from chats.openapi.examples import EXAMPLES
from chats.openapi.operations import OPERATIONS

SUCCESSES = {200: "OK.", 201: "Created.", 204: "Done; there is no body."}
COMPONENT_NAMES = {"ConversationListSerializer": "ConversationSummary"}


class BearerScheme(SimpleJWTScheme):
    """simplejwt's, for a header whose first word has any case."""

    target_class = "chats.auth.JWTAuthentication"
    priority = 1
    name = "bearer"

    def get_security_definition(self, auto_schema):
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access` token of `POST /api/token/`.",
        }


class AutoSchema(SpectacularAutoSchema):
    @property
    def documented(self):
        return OPERATIONS[f"{self.method} {self.path}"]

    @property
    def is_open(self):
        permissions = self.view.get_permissions()
        return not permissions or any(isinstance(p, AllowAny) for p in permissions)

    def get_operation_id(self):
        return self.documented.name

    def get_summary(self):
        return self.documented.summary

    def get_description(self):
        return self.documented.description

    def get_tags(self):
        return super().get_tags() or ["root"]

    def get_auth(self):
        return [] if self.is_open else super().get_auth()

    def get_request_serializer(self):
        return self.documented.request

    def get_response_serializers(self):
        documented = self.documented
        statuses = {documented.status: SUCCESSES[documented.status]}
        if documented.takes_idempotency_key:
            statuses[200] = "The row of the first try with this key, as it is now."
        return {
            status: OpenApiResponse(documented.response, description)
            for status, description in sorted(statuses.items())
        }

    def get_serializer_name(self, serializer, direction):
        name = super().get_serializer_name(serializer, direction)
        return COMPONENT_NAMES.get(name, name)

    def get_paginated_name(self, serializer_name):
        return f"{serializer_name}Page"

    def get_operation(self, *args):
        if (operation := super().get_operation(*args)) is None:
            # That of the schema itself.
            return None
        parameters = operation.setdefault("parameters", [])
        responses = operation["responses"]
        for parameter in parameters:
            describe(parameter, *PARAMETERS[parameter["name"]])
        if self.method == "GET":
            parameters.append(reference("parameters", "If-None-Match"))
            responses["200"]["headers"] = refer_to_headers("ETag")
        if self.method == "DELETE":
            # drf-spectacular leaves it out.
            schema = self.resolve_serializer(self.documented.request, "request").ref
            operation["requestBody"] = {"content": {JSON: {"schema": schema}}, "required": True}
        if self.documented.takes_idempotency_key:
            parameters.append(reference("parameters", "Idempotency-Key"))
            responses["200"]["headers"] = refer_to_headers("Idempotent-Replayed")
        for body in (operation.get("requestBody", {}), *responses.values()):
            for content in body.get("content", {}).values():
                component = content["schema"].get("$ref", "").rpartition("/")[2]
                content["example"] = EXAMPLES[component] if component else {}
        for status in sorted(map(str, self.get_further_statuses())):
            responses[status] = reference("responses", status)
        return operation

    def get_further_statuses(self):
        statuses = {400, 406, 411, 413, *self.documented.errors}
        if self.method == "GET":
            statuses |= {304, 412}
        else:
            statuses |= {503}
        if not self.is_open:
            statuses |= {401, 503}
            if self.method != "GET":
                statuses |= {429}
        if "{" in self.path:
            statuses |= {404}
        if self._is_list_view():
            statuses |= {414}
        if self.documented.request:
            statuses |= {415}
        return statuses


def describe(parameter, text, example):
    """With the example in words too: Swagger UI shows none of a schema's, and would send a
    parameter's own by itself."""
    [shown] = example if isinstance(example, list) else [example]
    parameter["description"] = f"{text} For example `{shown}`."
    parameter["schema"]["examples"] = [example]


def add_components(result, **kwargs):
    """What operations share; and in an answer, unlike in a request, every field is there."""
    components = result["components"]
    for name, schema in components["schemas"].items():
        if "properties" in schema and not name.endswith("Request"):
            schema["required"] = list(schema["properties"])
    components["schemas"] |= ERROR_SCHEMAS
    components["headers"] = HEADERS
    components["parameters"] = SHARED_PARAMETERS
    components["responses"] = {str(status): response for status, response in RESPONSES.items()}
    return result
