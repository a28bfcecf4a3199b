"""Logs requests to standard output and errors to standard error. A client's mistake is one line at
most."""

from logging import LogRecord


def drop_traceback(record: LogRecord) -> bool:
    record.exc_info = None
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "django_guid.log_filters.CorrelationId"},
        "drop_traceback": {"()": "django.utils.log.CallbackFilter", "callback": drop_traceback},
    },
    "formatters": {
        "line": {"format": "{asctime} {levelname} {correlation_id} {name} {message}", "style": "{"},
        "message": {"format": "{message}", "style": "{"},
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "formatter": "message",
        },
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        },
        "stderr_without_traceback": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id", "drop_traceback"],
        },
    },
    "loggers": {
        "messaging_app.access_log": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        "django": {"handlers": ["stderr"], "level": "INFO"},
        "django.request": {"level": "ERROR"},
        "_granian": {"handlers": ["stderr"], "propagate": False},
        # It quotes a header that it refuses.
        "django_guid": {"handlers": ["stderr"], "level": "ERROR"},
        # What a client did wrong, such as a false Host header.
        "django.security": {"handlers": ["stderr_without_traceback"], "propagate": False},
    },
}
