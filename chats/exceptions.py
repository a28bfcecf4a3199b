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


SIGN_IN_AGAIN = "The access token is not valid, or no longer: refresh it, or sign in again."
INSTRUCTIONS = {
    exceptions.NotAcceptable: "The answer is JSON: accept application/json, or anything.",
    exceptions.UnsupportedMediaType: "Send JSON, with the Content-Type application/json.",
}


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
    elif isinstance(exc, exceptions.MethodNotAllowed):
        exc.detail = f"{exc.detail} Allowed: {', '.join(context['view'].allowed_methods)}."
    elif type(exc) in INSTRUCTIONS:
        exc.detail = INSTRUCTIONS[type(exc)]
    response = views.exception_handler(exc, context)
    if response is None:
        return None
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        # simplejwt's own exceptions carry detail, code and messages; DRF's are a string.
        errors = exc.detail if isinstance(exc.detail, dict) else {"detail": exc.detail}
        detail = errors["detail"]
        response.data = {"detail": detail, "code": errors.get("code", detail.code)}
        if "messages" in errors:
            # Of the access token; those of the calls that take a token say more.
            response.data["detail"] = SIGN_IN_AGAIN
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
