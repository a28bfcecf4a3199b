"""What operations share: parameters, headers and errors."""

from chats.openapi.examples import ANN, BEN, CURSOR, MESSAGE

JSON = "application/json"

# By name: what it means, and an example.
PARAMETERS = {
    "conversation_id": (
        "The conversation's `conversation_id`, in lower case.",
        MESSAGE["conversation"],
    ),
    "message_id": ("The message's `message_id`, in lower case.", MESSAGE["message_id"]),
    "page_size": ("Rows on a page; above 100 means 100.", 50),
    "cursor": ("Where the page begins, as found in `next` and `previous`.", CURSOR),
    "email": ("A whole e-mail address, in any case.", "ben@example.com"),
    "search": (
        "One literal text, whatever its ASCII case, in a message's body or in a person's name.",
        "hello",
    ),
    "participants": (
        "The `user_id` of somebody who takes part; repeated, all of them do.",
        [BEN["user_id"]],
    ),
    "created_at_after": ("Later than this, ISO 8601.", "2026-01-31T12:00:00Z"),
    "created_at_before": ("Earlier than this, ISO 8601.", "2026-12-31T12:00:00Z"),
    "conversation": ("The messages of one conversation.", MESSAGE["conversation"]),
    "sender": ("The `user_id` of who wrote.", ANN["user_id"]),
    "sent_at_after": ("Later than this, ISO 8601.", MESSAGE["sent_at"]),
    "sent_at_before": ("Earlier than this, ISO 8601.", MESSAGE["sent_at"]),
    "ordering": ("`-sent_at`, newest first, is the default.", "sent_at"),
}

ETAG = '"1f0d5c2b8e7a4936b1c2d3e4f5a69788"'
SHARED_PARAMETERS = {
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of an earlier answer: 304 if it is still the same. Browsers do "
        "this by themselves.",
        "schema": {"type": "string", "examples": [ETAG]},
    },
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes the call safe to repeat when its answer was lost: with the same key "
        "it answers 200 with the same row. Of your choice.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[ -~]+$",
            "examples": ["0d9e4f0c-5a0f-4c39-9d2f-6a4f6c1f7c55"],
        },
    },
}
HEADERS = {
    "ETag": {
        "description": "The state of what was answered, for `If-None-Match`.",
        "required": True,
        "schema": {"type": "string"},
        "example": ETAG,
    },
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 30,
    },
    "Idempotent-Replayed": {
        "description": "This is the row of the first try: nothing was written.",
        "required": True,
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string"},
        "example": 'Bearer realm="api"',
    },
}

# --- Errors

ERROR_SCHEMAS = {
    "Error": {
        "type": "object",
        "properties": {"detail": {"type": "string"}},
        "required": ["detail"],
    },
    "AuthenticationError": {
        "type": "object",
        "properties": {
            "detail": {"type": "string"},
            "code": {
                "type": "string",
                "description": "Stable, for programs.",
                "enum": [
                    "not_authenticated",
                    "bad_authorization_header",
                    "token_not_valid",
                    "password_changed",
                    "user_inactive",
                    "user_not_found",
                    "no_active_account",
                ],
            },
        },
        "required": ["detail", "code"],
    },
    "FieldErrors": {
        "type": "object",
        "description": "What is wrong, by field or parameter; `non_field_errors` where none is "
        "to blame.",
        "minProperties": 1,
        "propertyNames": {"not": {"const": "detail"}},
        "additionalProperties": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
        },
    },
}


def reference(section, name):
    return {"$ref": f"#/components/{section}/{name}"}


def refer_to_headers(*names):
    return {name: reference("headers", name) for name in names}


def error(description, example, schema="Error", headers=()):
    return {
        "description": description,
        "headers": refer_to_headers(*headers),
        "content": {JSON: {"schema": reference("schemas", schema), "example": example}},
    }


RESPONSES = {
    304: {
        "description": "Not modified: what the client has is still right. There is no body.",
        "headers": refer_to_headers("ETag"),
    },
    400: {
        "description": "The request cannot be understood, or a value in it is refused; the answer "
        "says which and why. Nothing was written.",
        "content": {
            JSON: {
                "schema": {
                    "anyOf": [reference("schemas", "Error"), reference("schemas", "FieldErrors")]
                },
                "examples": {
                    "Field": {"value": {"message_body": ["This field is required."]}},
                    "Parameter": {
                        "value": {
                            "page_siz": [
                                "There is no such parameter here; the nearest is “page_size”."
                            ]
                        }
                    },
                    "Body": {
                        "value": {
                            "detail": "The body is not JSON: unexpected end of data: "
                            "line 1 column 2 (char 1)."
                        }
                    },
                },
            }
        },
    },
    401: error(
        "No token, or one that is not valid, or no longer; or credentials that are wrong.",
        {"detail": "Authentication credentials were not provided.", "code": "not_authenticated"},
        "AuthenticationError",
        headers=["WWW-Authenticate"],
    ),
    404: error(
        "There is none, or the caller takes no part in it: the two cannot be told apart.",
        {"detail": "Not found."},
    ),
    406: error(
        "The client takes no JSON.",
        {"detail": "The answer is JSON: accept application/json, or anything."},
    ),
    411: error(
        "The body has no `Content-Length`.",
        {"detail": "Send the body with a Content-Length."},
    ),
    412: error(
        "An `If-Match` or `If-Unmodified-Since` does not hold.", {"detail": "Precondition Failed"}
    ),
    413: error("The body is over 1 MiB.", {"detail": "A body has at most 1048576 bytes."}),
    414: {
        "description": "The path and its parameters are over 8,000 bytes; the server in front of "
        "the program says so, not in JSON.",
        "content": {
            "text/html": {
                "schema": {"type": "string"},
                "example": "<html>… Request Line is too large (10036 &gt; 8190) …</html>",
            }
        },
    },
    415: error(
        "The body is not said to be JSON.",
        {"detail": "Send JSON, with the Content-Type application/json."},
    ),
    422: error(
        "The key was used for another body.",
        {
            "detail": "This Idempotency-Key was used for another message_body: "
            "take a new key for a new message, or send the same body."
        },
    ),
    429: error(
        "Too many calls of this kind.",
        {"detail": "Request was throttled. Expected available in 30 seconds."},
        headers=["Retry-After"],
    ),
    503: error(
        "The database does not answer.",
        {"detail": "The database does not answer. Try again in a few seconds."},
        headers=["Retry-After"],
    ),
}
