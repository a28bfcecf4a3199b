import json
import sqlite3
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import BadRequest, DisallowedHost
from django.db import DataError, InterfaceError, InternalError, OperationalError
from django.http import HttpResponse, HttpResponseBadRequest
from django.utils.cache import set_response_etag
from django.utils.log import log_response

JSON = "application/json"
LENGTH_REQUIRED = "Send the body with a Content-Length."
TOO_LARGE = "A body has at most 1048576 bytes."
# messaging_app/serve.py has the limits for the whole head.
URL_MAX_BYTES = 8_000
TOO_LONG = f"A path and its query string have at most {URL_MAX_BYTES} bytes."
BODY_MAX_SECONDS = 30
TOO_SLOW = f"The body did not arrive within {BODY_MAX_SECONDS} seconds."
CUT_OFF = "The body ended early."
BUSY = "The server is busy. Try again in a few seconds."
NO_SUCH_PATH = f"There is no such path. The API is under {settings.PATH_PREFIX}/api/."
UNAVAILABLE = "The database is not available. Try again in a few seconds."
RETRY_AFTER_SECONDS = 5
FALSE_HOST = "The Host header is not a name of this site."
NOT_STORABLE = "The database cannot store or compare a value of this request."
POSTGRES_READ_ONLY = "25006"
JSON_POLICY = "default-src 'none'; frame-ancestors 'none'"
# The key in `request.META` of a RequestRefused.
REFUSAL = "messaging_app.refusal"


class RequestRefused(Exception):
    """The server has no room for the request, or does not let it reach a view."""

    def __init__(self, status, detail):
        super().__init__(status, detail)
        self.status, self.detail = status, detail


class ApiMiddleware:
    """Makes every error response under /api/ JSON, in DEBUG too, and every response private.
    Elsewhere, a 404 is JSON for clients that do not ask for HTML.

    Refuses a body that is too large, or that has no Content-Length: Django reads a chunked body as
    empty.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not is_api(request):
            return self.respond_outside(request)
        is_head = request.method == "HEAD"
        if is_head:
            # For the same ETag and 304 as GET.
            request.method = "GET"
        response = self.refuse(request) or self.get_response(request)
        if (
            response.status_code >= HTTPStatus.BAD_REQUEST
            and response.headers.get("Content-Type") != JSON
        ):
            set_error(response, describe(request, response))
        if request.method == "PATCH" and response.status_code == HTTPStatus.OK:
            # That of the next GET, which returns the same.
            set_response_etag(response)
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers.setdefault("Content-Security-Policy", JSON_POLICY)
        if is_head and not response.streaming:
            response.content = b""
        return response

    def respond_outside(self, request):
        """Only clients that ask for HTML get Django's page for a path that does not exist."""
        response = self.get_response(request)
        is_html = "text/html" in request.headers.get("Accept", "")
        if response.status_code == HTTPStatus.NOT_FOUND and not is_html:
            set_error(response, NO_SUCH_PATH)
        return response

    def refuse(self, request):
        if "Transfer-Encoding" in request.headers:
            return set_error(HttpResponse(status=411), LENGTH_REQUIRED)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()):
            return set_error(HttpResponse(status=400), "The Content-Length is not a number.")
        limit = settings.API_REQUEST_MAX_BYTES
        # int() refuses a number of thousands of digits.
        if len(length) > len(str(limit)) or int(length) > limit:
            return set_error(HttpResponse(status=413), TOO_LARGE)
        if not request.META.get("QUERY_STRING", "").isascii():
            # Django would decode it in one way for the filters and in another for the cache key.
            return set_error(HttpResponse(status=400), "Percent-encode the query string.")
        return None


class ErrorMiddleware:
    """Maps database outages to 503, and values that the database refuses to 400. Outside the API,
    also maps BadRequest, and a NUL, which PostgreSQL cannot store, to 400."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if refusal := request.META.get(REFUSAL):
            return refuse(refusal)
        values = [request.META.get("QUERY_STRING", ""), *request.COOKIES.values()]
        if not is_api(request) and any("\0" in value or "%00" in value for value in values):
            return bad_request("There is a NUL in the query string or in a cookie.")
        return self.get_response(request)

    def process_exception(self, request, exception):
        if isinstance(exception, (OperationalError, InterfaceError)) or has_lost_server(exception):
            if getattr(exception.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                # An error in the statement itself.
                return None
            return unavailable(request, exception)
        if isinstance(exception, RequestRefused):
            return refuse(exception)
        if isinstance(exception, DataError):
            response = bad_request(NOT_STORABLE)
            return set_error(response, NOT_STORABLE) if is_api(request) else response
        if isinstance(exception, BadRequest) and not is_api(request):
            return bad_request(str(exception))
        return None


def has_lost_server(exception):
    """Two outages that psycopg reports as InternalError: a demoted server that refuses a write, and
    a pooler that reports more than one error because its server is gone."""
    sqlstate = getattr(exception.__cause__, "sqlstate", "")
    return isinstance(exception, InternalError) and sqlstate in {None, POSTGRES_READ_ONLY}


def describe(request, response):
    if response.status_code == HTTPStatus.BAD_REQUEST:
        try:
            request.get_host()
        except DisallowedHost:
            return FALSE_HOST
    phrase = HTTPStatus(response.status_code).phrase
    return f"{phrase}. Allowed: {response['Allow']}." if response.has_header("Allow") else phrase


def refuse(refusal):
    response = set_error(HttpResponse(status=refusal.status), refusal.detail)
    response.headers["Cache-Control"] = "no-store"
    if refusal.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def bad_request(detail):
    return HttpResponseBadRequest(detail, content_type="text/plain")


def unavailable(request, exception):
    response = HttpResponse(UNAVAILABLE, status=503, content_type="text/plain")
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    log_response(
        "Service Unavailable: %s",
        request.path,
        response=response,
        request=request,
        exception=exception,
    )
    return set_error(response, UNAVAILABLE) if is_api(request) else response


def is_api(request):
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def set_error(response, detail):
    """Changes the response in place, because Django has marked it as logged."""
    response.content = json.dumps({"detail": detail}, separators=(",", ":"))
    response.headers["Content-Type"] = JSON
    response.headers["Content-Length"] = str(len(response.content))
    return response
