import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from messaging_app.backends.postgres.base import Connection, DatabaseWrapper
from messaging_app.backends.postgres.session import REQUEST_LIMITS
from messaging_app.conf.debug import refuse_debug

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")

refuse_debug()
logging.captureWarnings(capture=True)
django_application = get_wsgi_application()
DatabaseWrapper.limits = REQUEST_LIMITS
# A server that hangs cannot end its statements, so the client does.
Connection.max_seconds = 35


def application(environ, start_response):
    """Django's, without the Content-Type parameters that it cannot decode.

    Django applies their charset to the query string before any middleware runs, so that
    `charset=hex` would be a 500. JSON is UTF-8 whatever they say (RFC 8259).
    """
    media_type, *parameters = environ.get("CONTENT_TYPE", "").split(";")
    if not all(map(is_readable, parameters)):
        environ["CONTENT_TYPE"] = media_type
    # Proxies pass the path with the prefix or without it.
    if environ["PATH_INFO"].startswith(f"{settings.PATH_PREFIX}/"):
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(settings.PATH_PREFIX)
    # A scheme is the same in upper case (RFC 3986, section 3.1).
    if scheme := environ.get("HTTP_X_FORWARDED_PROTO"):
        environ["HTTP_X_FORWARDED_PROTO"] = scheme.lower()
    return django_application(environ, start_response)


def is_readable(parameter):
    """`*` in the name of a parameter marks an encoded value (RFC 2231)."""
    name, _, value = parameter.partition("=")
    if name.strip().lower() == "charset":
        return value.strip(' "').lower() in {"utf-8", "utf8"}
    return "*" not in name
