import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")

django_application = get_wsgi_application()


def application(environ, start_response):
    """Django's, but a Content-Type whose parameters it cannot decode is a 415.

    It decodes them, and with their charset the query string, while it builds the request,
    before any middleware: `charset=hex` would be a 500.
    """
    if all(map(is_readable, environ.get("CONTENT_TYPE", "").split(";")[1:])):
        return django_application(environ, start_response)
    body = b'{"detail":"Send the body in UTF-8, and no encoded parameter in the Content-Type."}'
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("415 Unsupported Media Type", headers)
    return [body]


def is_readable(parameter):
    """`*` in the name of a parameter marks an encoded value (RFC 2231)."""
    name, _, value = parameter.partition("=")
    if name.strip().lower() == "charset":
        return value.strip(' "').lower() in {"utf-8", "utf8"}
    return "*" not in name
