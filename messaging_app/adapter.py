"""Calls the WSGI application for a request in the form of ASGI."""

import sys
from contextlib import closing
from time import thread_time
from typing import IO, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from messaging_app.metrics import ENDPOINT, NO_ENDPOINT
from messaging_app.parts import Parts
from messaging_app.wsgi import application

Scope = dict[str, Any]


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    processor_seconds: float
    endpoint: str
    # What is sent instead of the body.
    parts: Parts | None = None


def build_environ(scope: Scope, body: IO[bytes]) -> dict[str, Any]:
    """PEP 3333. Leaves out headers with an underscore in their name: `X_Forwarded_For` would become
    the same variable as `X-Forwarded-For`."""
    host, port = scope["server"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for header, value in scope["headers"]:
        if b"_" in header:
            continue
        name = header.decode("latin-1").upper().replace("-", "_")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = f"HTTP_{name}"
        text = value.decode("latin-1")
        environ[name] = f"{environ[name]},{text}" if name in environ else text
    return environ


def call_application(environ: dict[str, Any]) -> Response:
    begin = thread_time()
    status, headers = "", []

    def start_response(*arguments: Any) -> None:
        nonlocal status, headers
        status, headers = arguments[:2]

    chunks = application(environ, start_response)
    parts = Parts(chunks) if getattr(chunks, "is_sent_in_parts", False) else None
    body = b""
    if not parts:
        with closing(chunks):
            body = b"".join(chunks)
    code, _, _ = status.partition(" ")
    endpoint = environ.get(ENDPOINT, NO_ENDPOINT)
    return Response(int(code), headers, body, thread_time() - begin, endpoint, parts)
