from django.core.exceptions import SuspiciousOperation
from django.http import Http404
from rest_framework import exceptions, status, views

from chats.models import Conversation, User


class IdempotencyKeyConflict(exceptions.APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = (
        "This Idempotency-Key was used for another message_body: "
        "take a new key for a new message, or send the same body."
    )


def exception_handler(exc, context):
    """DRF's answer in one of two shapes: `{"detail": …}`, with the `code` on a 401, or
    `{"<field>": ["…", …]}`."""
    if isinstance(exc, (Http404, Conversation.DoesNotExist)):
        exc = exceptions.NotFound()
    elif isinstance(exc, User.DoesNotExist):
        exc = exceptions.AuthenticationFailed("User not found", code="user_not_found")
        exc.auth_header = context["view"].get_authenticate_header(context["request"])
    elif isinstance(exc, SuspiciousOperation):
        exc = exceptions.ParseError(str(exc))
    response = views.exception_handler(exc, context)
    if response is None:
        return None
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        # simplejwt's own exceptions carry detail, code and messages; DRF's are a string.
        errors = exc.detail if isinstance(exc.detail, dict) else {"detail": exc.detail}
        detail = errors["detail"]
        response.data = {"detail": detail, "code": errors.get("code", detail.code)}
    elif isinstance(exc, exceptions.ValidationError):
        response.data = {field: flat(errors) for field, errors in response.data.items()}
    return response


def flat(errors):
    """The strings in nested dictionaries and lists of errors, in order."""
    if isinstance(errors, dict):
        errors = errors.values()
    elif not isinstance(errors, list):
        return [str(errors)]
    return [text for part in errors for text in flat(part)]
