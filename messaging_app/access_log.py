import json
import logging
import os
import time
from typing import Any

logger = logging.getLogger(__name__)


def log_access(scope: dict[str, Any], response: Any, seconds: float) -> None:
    """Log a JSON line, without the query string, in which people search for text, and with no
    request header but the User-Agent."""
    request_headers, headers = dict(scope["headers"]), dict(response.headers)
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "request_id": headers.get("X-Request-ID"),
        "address": scope["client"][0],
        "method": scope["method"],
        "path": scope["path"],
        "status": response.status,
        "bytes": len(response.body),
        "milliseconds": round(1_000 * seconds, 3),
        "pid": os.getpid(),
        "user_agent": request_headers.get(b"user-agent", b"").decode("latin-1"),
    }
    logger.info("%s", json.dumps(line))
