from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions, status, views
from rest_framework.settings import api_settings

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
# What the exceptions of the program and of Django become.
API_EXCEPTIONS = {
    Http404: exceptions.NotFound,
    Conversation.DoesNotExist: exceptions.NotFound,
    Message.DoesNotExist: exceptions.NotFound,
    IdempotencyKeyReused: IdempotencyKeyConflict,
    MessageDeleted: MessageConflict,
}


def exception_handler(exc, context):
    """DRF's response in one of two shapes: `{"detail": …}`, with the `code` on a 401, or
    `{"<field>": ["…", …]}`."""
    if type(exc) in API_EXCEPTIONS:
        exc = API_EXCEPTIONS[type(exc)]()
    elif isinstance(exc, SuspiciousOperation):
        exc = exceptions.ParseError(str(exc))
    elif isinstance(exc, exceptions.MethodNotAllowed):
        allowed = ", ".join(context["view"].allowed_methods)
        exc.detail = exceptions.ErrorDetail(f"{exc.detail} Allowed: {allowed}.")
    elif type(exc) in INSTRUCTIONS:
        exc.detail = INSTRUCTIONS[type(exc)]
    response = views.exception_handler(exc, context)
    if response is None:
        return None
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        response.data = describe_authentication_error(exc.detail)
    elif isinstance(exc, exceptions.ValidationError):
        errors = exc.detail
        if not isinstance(errors, dict):
            errors = {api_settings.NON_FIELD_ERRORS_KEY: errors}
        response.data = {field: flatten(messages) for field, messages in errors.items()}
    return response


def describe_authentication_error(detail):
    """`detail` is a string in DRF's exceptions, and a dictionary in simplejwt's."""
    if not isinstance(detail, dict):
        return {"detail": detail, "code": detail.code}
    # simplejwt's text for an access token says nothing that a client can act on.
    text = INVALID_ACCESS if "messages" in detail else detail["detail"]
    return {"detail": text, "code": detail.get("code", detail["detail"].code)}


def flatten(errors):
    """The strings in nested dictionaries and lists of errors, in their order."""
    if isinstance(errors, dict):
        errors = errors.values()
    elif not isinstance(errors, list):
        return [str(errors)]
    return [text for part in errors for text in flatten(part)]
