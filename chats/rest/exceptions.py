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
# The exceptions of the program and of Django, and the responses that they become.
RESPONSES = {
    Http404: lambda exc: exceptions.NotFound(),
    Conversation.DoesNotExist: lambda exc: exceptions.NotFound(),
    Message.DoesNotExist: lambda exc: exceptions.NotFound(),
    IdempotencyKeyReused: lambda exc: IdempotencyKeyConflict(),
    MessageDeleted: lambda exc: MessageConflict(),
    SuspiciousOperation: lambda exc: exceptions.ParseError(str(exc)),
}


def exception_handler(exc, context):
    """DRF's response in one of two shapes: `{"detail": …}`, with the `code` on a 401, or
    `{"<field>": ["…", …]}`."""
    for exception_class, get_response in RESPONSES.items():
        if isinstance(exc, exception_class):
            exc = get_response(exc)
    if isinstance(exc, exceptions.MethodNotAllowed):
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
        response.data = {field: flatten(errors) for field, errors in errors.items()}
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
