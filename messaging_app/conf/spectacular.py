"""How drf-spectacular describes the API."""

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Messaging API",
    "DESCRIPTION": """\
Conversations between users. Sign in with `POST /api/token/`, or register first with \
`POST /api/users/`. Send the `access` token with every further request: `Authorization: Bearer …`. \
On the documentation page, signing in there does that.

Request and response bodies are JSON, including errors. Times are in UTC. Every response of the \
application has an `X-Request-ID` header.

Every path ends with a slash. Without it, `GET` is redirected, and any other method gets a 404 \
that names the right path. A method that a path does not support gets a 405. `HEAD` works \
wherever `GET` does.

Headers of over 32 KiB in all, or over 100 of them, are a 431 with an empty body.
""",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/",
    "SCHEMA_COERCE_PATH_PK_SUFFIX": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "ENUM_NAME_OVERRIDES": {"Role": "chats.models.User.Role"},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "TAGS": [
        {"name": name} for name in ("token", "users", "conversations", "messages", "events", "root")
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "chats.rest.openapi.add_components",
        "messaging_app.conf.spectacular.sort_methods",
    ],
}
METHODS = ["get", "post", "patch", "delete"]


def sort_methods(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """drf-spectacular lists the methods of a path in another order in each process."""
    paths = result["paths"]
    for path, operations in paths.items():
        paths[path] = {
            method: operations[method] for method in sorted(operations, key=METHODS.index)
        }
    return result
