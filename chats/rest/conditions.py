"""`If-Match`, `If-None-Match` and `If-Unmodified-Since` of a PATCH or DELETE (RFC 9110, section
13.1). Django handles those of a GET."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from math import ceil

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.cache import get_conditional_response, set_response_etag
from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from chats.clock import lock

CONDITIONS = ("If-Match", "If-None-Match", "If-Unmodified-Since")
UNREADABLE = 'Send an ETag with its double quotes, such as "1f0d5c2b", or *.'


class PreconditionFailed(APIException):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = (
        "If-Match, If-None-Match or If-Unmodified-Since does not hold, and nothing was changed. "
        "GET the object again, and send the new ETag in If-Match."
    )


@contextmanager
def check_conditions(
    request: Request, rows: QuerySet, get_data: Callable[[], dict]
) -> Iterator[None]:
    """A transaction in which `rows` are locked, if the request has conditions and they hold.

    `get_data` reads what a GET of the same path shows. Raises PreconditionFailed and
    ValidationError.
    """
    if not any(name in request.headers for name in CONDITIONS):
        yield
        return
    if "If-Match" in request.headers and not parse_etags(request.headers["If-Match"]):
        raise ValidationError({"If-Match": [UNREADABLE]})
    with transaction.atomic():
        lock(rows)
        data = get_data()
        shown = set_response_etag(HttpResponse(request.accepted_renderer.render(data)))
        updated_at = data.get("updated_at")
        # Rounded up, so that a change within the same second counts.
        modified = updated_at and ceil(datetime.fromisoformat(updated_at).timestamp())
        if get_conditional_response(request, shown.headers["ETag"], modified):
            raise PreconditionFailed
        yield
