import json
import logging
import os
import time
from typing import Any

from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle

from messaging_app.adapter import Response, Scope

logger = logging.getLogger(__name__)


def log_access(scope: Scope, response: Response, sent_bytes: int, seconds: float) -> None:
    """Log the request as a line of JSON.

    The query string is left out, because it contains search texts. Of the headers, only the
    User-Agent is logged.
    """
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "request_id": dict(response.headers).get("X-Request-ID"),
        "address": get_address(scope),
        "method": scope["method"],
        "path": scope["path"],
        "status": response.status,
        "bytes": sent_bytes,
        "milliseconds": round(1_000 * seconds, 3),
        "pid": os.getpid(),
        "user_agent": dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1"),
    }
    logger.info("%s", json.dumps(line))


def get_address(scope: Scope) -> str:
    """The client's, as throttling finds it."""
    request: Any = HttpRequest()
    request.META = {"REMOTE_ADDR": scope["client"][0]}
    name = b"x-forwarded-for"
    if values := [value.decode("latin-1") for key, value in scope["headers"] if key == name]:
        request.META["HTTP_X_FORWARDED_FOR"] = ",".join(values)
    return BaseThrottle().get_ident(request)
