"""Logs requests to standard output and the rest to standard error, as lines of JSON. A client's
mistake is one line at most."""

import json
import logging
import sys
import threading
from typing import Any

from django.core.exceptions import ImproperlyConfigured

logger = logging.getLogger("messaging_app")


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
    return logging.getLogger().isEnabledFor(record.levelno)


def log_uncaught() -> None:
    """From now on, what nothing catches is logged, and warnings are, too. Until the settings
    configure logging, everything goes to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(capture=True)
    # Of a log that cannot be written, logging would print each error as text.
    logging.raiseExceptions = False
    sys.excepthook = lambda kind, error, traceback: log_exception(error)
    sys.unraisablehook = lambda args: log_exception(args.exc_value)
    threading.excepthook = lambda args: log_exception(args.exc_value)


def log_exception(error: BaseException | None) -> None:
    if isinstance(error, ImproperlyConfigured):
        logger.critical("%s", error)
    else:
        logger.critical("Uncaught exception", exc_info=error)


def build_logging(level: str, *, is_debug: bool) -> dict[str, Any]:
    stderr = {
        "class": "logging.StreamHandler",
        "level": level,
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
                "level": level,
                "stream": "ext://sys.stdout",
                "formatter": "message",
            },
            "stderr": stderr,
            "stderr_mistakes": stderr | {"filters": ["request_id", "as_mistake"]},
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "messaging_app.access_log": {
                "handlers": ["stdout"],
                "level": "INFO",
                "propagate": False,
            },
            "django": {"handlers": [], "level": level},
            "django.request": {"level": "ERROR"},
            "_granian": {"handlers": []},
            # It quotes a header that it refuses.
            "django_guid": {"level": "ERROR"},
            # Such as a false Host header.
            "django.security": {"handlers": ["stderr_mistakes"], "propagate": False},
        },
    }
