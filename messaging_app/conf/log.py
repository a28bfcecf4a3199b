"""Logs requests to standard output and the rest to standard error, as lines of JSON. A client's
mistake is one line at most."""

import json
import logging
from typing import Any


class JSONFormatter(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S%z"
    default_msec_format = None

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            # Of the filter below.
            "request_id": getattr(record, "correlation_id", None),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def as_mistake(record: logging.LogRecord) -> bool:
    """What a client did wrong is no error of the program, and has no traceback."""
    record.levelno, record.levelname = logging.WARNING, "WARNING"
    record.exc_info = None
    return True


def build_logging(*, is_debug: bool) -> dict[str, Any]:
    stderr = {
        "class": "logging.StreamHandler",
        "formatter": "text" if is_debug else "json",
        "filters": ["request_id"],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "request_id": {"()": "django_guid.log_filters.CorrelationId"},
            "as_mistake": {"()": "django.utils.log.CallbackFilter", "callback": as_mistake},
        },
        "formatters": {
            "json": {"()": "messaging_app.conf.log.JSONFormatter"},
            "text": {
                "format": "{asctime} {levelname} {correlation_id} {name} {message}",
                "style": "{",
            },
            "message": {"format": "{message}", "style": "{"},
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "message",
            },
            "stderr": stderr,
            "stderr_mistakes": stderr | {"filters": ["request_id", "as_mistake"]},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "messaging_app.access_log": {
                "handlers": ["stdout"],
                "level": "INFO",
                "propagate": False,
            },
            "django": {"handlers": [], "level": "INFO"},
            "django.request": {"level": "ERROR"},
            "_granian": {"handlers": []},
            # It quotes a header that it refuses.
            "django_guid": {"level": "ERROR"},
            # Such as a false Host header.
            "django.security": {"handlers": ["stderr_mistakes"], "propagate": False},
        },
    }
