"""Repeated requests: the `Idempotency-Key` header, the ids derived from it, the replayed response.

With a key, the id of the new row is a UUIDv5, so that the database refuses a second one.
"""

import re
import uuid
from collections.abc import Iterable

from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from chats.models import Conversation

# Never to be changed: ids derived from them are in the database.
MESSAGE_NAMESPACE = uuid.UUID("5f0b4ad4-6b3f-4c53-9d55-30fd6ab7f3a5")
CONVERSATION_NAMESPACE = uuid.UUID("c3e1b9e0-0a5d-4c0f-8d1c-8f2b3a1f6b7d")

# The header in the API's description.
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A value of your choice that makes the request safe to repeat. A repeated "
    "request with the same key creates nothing and returns what the first one created.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[ -~]+$",
        "examples": ["0d9e4f0c-5a0f-4c39-9d2f-6a4f6c1f7c55"],
    },
}


def get_key(request: Request) -> str | None:
    """The header's value, or None without it."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[ -~]{1,255}", key):
        message = "Send 1 to 255 printable ASCII characters, or leave the header out."
        raise ValidationError({"Idempotency-Key": [message]})
    return key


def derive_message_id(request: Request, conversation: Conversation) -> uuid.UUID | None:
    """From caller, conversation and key. None without a key."""
    if (key := get_key(request)) is None:
        return None
    return uuid.uuid5(MESSAGE_NAMESPACE, f"{request.user.pk}\n{conversation.pk}\n{key}")


def derive_conversation_id(request: Request, user_ids: Iterable[uuid.UUID]) -> uuid.UUID | None:
    """From caller, key and the set of participants. None without a key."""
    if (key := get_key(request)) is None:
        return None
    # A key contains no line break, so the separator is unambiguous.
    participants = " ".join(sorted(map(str, {request.user.pk, *user_ids})))
    return uuid.uuid5(CONVERSATION_NAMESPACE, f"{request.user.pk}\n{participants}\n{key}")


def created_or_replayed(request: Request, data: dict, is_new: bool) -> Response:
    if is_new:
        return Response(data, status.HTTP_201_CREATED)
    return Response(data, headers={"Idempotent-Replayed": "true"} if get_key(request) else None)
