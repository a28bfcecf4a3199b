from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions, status, views

from chats.models import Conversation, Message
from chats.services import IdempotencyKeyReused, MessageDeleted


class IdempotencyKeyConflict(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = (
        "This Idempotency-Key was used for another message_body: "
        "use a new key for a new message, or send the same body."
    )


class MessageConflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "The message was deleted. It cannot be edited."


INVALID_ACCESS = "The access token is invalid or expired."
INSTRUCTIONS = {
    exceptions.NotAcceptable: "Responses are JSON: accept application/json or */*.",
    exceptions.UnsupportedMediaType: "Send JSON, with the Content-Type application/json.",
}


def exception_handler(exc, context):
    """DRF's response in one of two shapes: `{"detail": …}`, with the `code` on a 401, or
    `{"<field>": ["…", …]}`."""
    if isinstance(exc, (Http404, Conversation.DoesNotExist, Message.DoesNotExist)):
        exc = exceptions.NotFound()
    elif isinstance(exc, IdempotencyKeyReused):
        exc = IdempotencyKeyConflict()
    elif isinstance(exc, MessageDeleted):
        exc = MessageConflict()
    elif isinstance(exc, SuspiciousOperation):
        exc = exceptions.ParseError(str(exc))
    elif isinstance(exc, exceptions.MethodNotAllowed):
        exc.detail = f"{exc.detail} Allowed: {', '.join(context['view'].allowed_methods)}."
    elif type(exc) in INSTRUCTIONS:
        exc.detail = INSTRUCTIONS[type(exc)]
    response = views.exception_handler(exc, context)
    if response is None:
        return None
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        # The detail of simplejwt's exceptions is a dictionary; that of DRF's is a string.
        errors = exc.detail if isinstance(exc.detail, dict) else {"detail": exc.detail}
        detail = errors["detail"]
        response.data = {"detail": detail, "code": errors.get("code", detail.code)}
        if "messages" in errors:
            # simplejwt's detail for an access token says nothing that a client can act on.
            response.data["detail"] = INVALID_ACCESS
    elif isinstance(exc, exceptions.ValidationError):
        response.data = {field: flatten(errors) for field, errors in response.data.items()}
    return response


def flatten(errors):
    """The strings in nested dictionaries and lists of errors, in their order."""
    if isinstance(errors, dict):
        errors = errors.values()
    elif not isinstance(errors, list):
        return [str(errors)]
    return [text for part in errors for text in flatten(part)]
