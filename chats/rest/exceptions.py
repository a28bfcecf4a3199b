from django.core.exceptions import NON_FIELD_ERRORS, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions, status, views
from rest_framework.serializers import as_serializer_error
from rest_framework.settings import api_settings

from chats.models import Conversation, Message, User
from chats.safety.reports import NothingToReport
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


class ReportConflict(MessageConflict):
    default_detail = "The message was deleted. There is nothing to report."


INSTRUCTIONS = {
    exceptions.NotAcceptable: "Responses are JSON: accept application/json or */*.",
    exceptions.UnsupportedMediaType: "Send JSON, with the Content-Type application/json.",
}
YOUR_ACCOUNT = "Your own account is /api/users/me/."
ONE_CONVERSATION = "The path of one conversation is /api/conversations/{id}/."
ONE_MESSAGE = "The path of one message is /api/messages/{id}/."
# What to use instead of a method, by the name of the route.
METHOD_HINTS = {
    "conversation-list": dict.fromkeys(["PUT", "PATCH", "DELETE"], ONE_CONVERSATION),
    "conversation-detail": {
        "DELETE": "To leave the conversation, use POST /api/conversations/{id}/leave/.",
        "POST": "To send a message, use POST /api/conversations/{id}/messages/.",
        "PUT": "Use PATCH.",
    },
    "conversation-add-participant": {
        "DELETE": "To remove a participant, use POST /api/conversations/{id}/remove_participant/."
    },
    "conversation-remove-participant": {"DELETE": "Use POST."},
    "conversation-message-list": dict.fromkeys(["PUT", "PATCH", "DELETE"], ONE_MESSAGE),
    "conversation-message-detail": {"PUT": "Use PATCH.", "POST": "Use PATCH."},
    "message-list": dict.fromkeys(["PUT", "PATCH", "DELETE"], ONE_MESSAGE),
    "message-detail": {"PUT": "Use PATCH.", "POST": "Use PATCH."},
    "user-list": dict.fromkeys(["PUT", "PATCH", "DELETE"], YOUR_ACCOUNT),
    "user-detail": dict.fromkeys(["POST", "PUT", "PATCH", "DELETE"], YOUR_ACCOUNT),
    "user-block": {"GET": "GET /api/users/blocked/ lists the users that you have blocked."},
    "blocked-user-list": {"POST": "To block a user, use POST /api/users/{id}/block/."},
    "user-me": {"PUT": "Use PATCH.", "POST": "To register, use POST /api/users/."},
}
# What the exceptions of the program and of Django become.
API_EXCEPTIONS = {
    Http404: exceptions.NotFound,
    Conversation.DoesNotExist: exceptions.NotFound,
    Message.DoesNotExist: exceptions.NotFound,
    User.DoesNotExist: exceptions.NotFound,
    IdempotencyKeyReused: IdempotencyKeyConflict,
    MessageDeleted: MessageConflict,
    NothingToReport: ReportConflict,
}


def exception_handler(exc, context):
    """DRF's response in one of two shapes: `{"detail": …}`, with the `code` on a 401, or
    `{"<field>": ["…", …]}`."""
    if type(exc) in API_EXCEPTIONS:
        exc = API_EXCEPTIONS[type(exc)]()
    elif isinstance(exc, DjangoValidationError):
        exc = exceptions.ValidationError(as_serializer_error(exc))
    elif isinstance(exc, SuspiciousOperation):
        exc = exceptions.ParseError(str(exc))
    elif isinstance(exc, exceptions.MethodNotAllowed):
        exc.detail = exceptions.ErrorDetail(f"{exc.detail} {describe_methods(context)}")
    elif type(exc) in INSTRUCTIONS:
        exc.detail = INSTRUCTIONS[type(exc)]
    response = views.exception_handler(exc, context)
    if response is None:
        return None
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        response.data = describe_authentication_error(exc)
    elif not isinstance(exc.detail, str):
        response.data = describe_field_errors(exc.detail or [exc.default_detail])
    return response


def describe_methods(context):
    request = context["request"]
    sentence = f"Allowed: {', '.join(context['view'].allowed_methods)}."
    hint = METHOD_HINTS.get(request.resolver_match.view_name, {}).get(request.method)
    return f"{sentence} {hint}" if hint else sentence


def describe_authentication_error(exc):
    """`exc.detail` is a string in DRF's exceptions, and a dictionary in simplejwt's."""
    code = getattr(exc.detail, "code", exc.default_code)
    if isinstance(exc.detail, dict):
        code = exc.detail.get("code", code)
    return {"detail": flatten(exc.detail)[0], "code": code}


def describe_field_errors(errors):
    if not isinstance(errors, dict):
        errors = {NON_FIELD_ERRORS: errors}
    names = {NON_FIELD_ERRORS: api_settings.NON_FIELD_ERRORS_KEY}
    return {str(names.get(field, field)): flatten(errors[field]) for field in errors}


def flatten(errors):
    """The strings in nested dictionaries and lists of errors, in their order."""
    if isinstance(errors, dict):
        errors = errors.values()
    elif not isinstance(errors, list):
        return [str(errors)]
    return [text for part in errors for text in flatten(part)]
