"""The access log and the error log."""

import json
import re
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from uuid import uuid4

import pytest
import requests

from chats.tests.support.servers import PASSWORD, run

OTHERS = """
import messaging_app.wsgi, logging, warnings
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncio").exception("Failed")
warnings.warn("Careful")
"""
LEVELS = """
import logging
logging.getLogger("messaging_app.access_log").info('{"level": "access"}')
logging.getLogger("django.security.DisallowedHost").error("a client's mistake")
for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
    logging.getLogger("some.library").log(level, "")
"""
UNCAUGHT = """
import threading, warnings
from messaging_app.conf.log import log_uncaught
log_uncaught()
def fail(*args):
    raise ValueError(args[0])
thread = threading.Thread(target=fail, args=["in a thread"])
thread.start()
thread.join()
class Deleted:
    def __del__(self):
        fail("in a deletion")
Deleted()
warnings.warn("Careful")
fail("in the program")
"""
UNWRITABLE = """
import logging, os
from messaging_app.conf.log import log_uncaught
log_uncaught()
logging.getLogger().addHandler(logging.StreamHandler(open("/dev/full", "w")))
logging.getLogger().warning("Careful")
os._exit(0)
"""
FORM = "HOSTCookie: csrftoken=" + 32 * "a" + "\r\nX-CSRFToken: " + 32 * "a"
FORM += "\r\nContent-Type: application/x-www-form-urlencoded\r\n"
JSON = "Content-Type: application/json\r\n"
MULTIPART = "Content-Type: multipart/form-data; boundary=\xff\r\n"
# HOST is replaced by the header.
HOSTILE = [
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "\x00\xff\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "GET http://evil.example/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    f"GET / HTTP/1.1\r\nHOSTX: {100_000 * 'a'}\r\n\r\n",
    f"GET /{9_000 * 'a'} HTTP/1.1\r\nHOST\r\n",
    "GET /admin/%00%ff?%ff=%00 HTTP/1.1\r\nHOST\r\n",
    "GET /static/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHOST\r\n",
    "GET /static/%00 HTTP/1.1\r\nHOST\r\n",
    "GET //evil.example/%2f.. HTTP/1.1\r\nHOST\r\n",
    "GET /admin/login/?\xff\xfe HTTP/1.1\r\nHOST\r\n",
    "GET /api/%ff%fe HTTP/1.1\r\nHOST\r\n",
    "GET /api/users/?search=%27%20OR%201%3D1;-- HTTP/1.1\r\nHOST\r\n",
    "GET /api/users/me/ HTTP/1.1\r\nHOSTAuthorization: Bearer \xff.\xff.\xff\r\n\r\n",
    "GET /api/ HTTP/1.1\r\nHOSTOrigin: http://[\r\nX-Request-ID: \xff\r\n\r\n",
    "GET /api/events/ HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET /admin/ HTTP/1.1\r\nHOSTCookie: sessionid=\xff%00'; messages=a:b:c\r\n\r\n",
    f"GET /admin/ HTTP/1.1\r\nHOSTCookie: sessionid={5_000 * 'a'}; messages=a:b:c\r\n\r\n",
    "POST /api/token/ HTTP/1.1\r\nHOSTContent-Length: -1\r\n\r\n",
    "POST /api/token/ HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
    f"POST /api/token/ HTTP/1.1\r\nHOST{JSON}Content-Length: 9\r\n\r\n{{",
    f"POST /api/token/ HTTP/1.1\r\nHOST{JSON}Content-Length: 2\r\n\r\n{{x",
    f"POST /admin/login/ HTTP/1.1\r\nHOST{MULTIPART}Content-Length: 5\r\n\r\nabcde",
    "POST /admin/login/ HTTP/1.1\r\nHOSTOrigin: https://[evil\r\nContent-Length: 0\r\n\r\n",
    f"POST /admin/login/ HTTP/1.1\r\n{FORM}Content-Length: 22\r\n\r\nusername=%00&password=a",
    f"POST /admin/login/ HTTP/1.1\r\n{FORM}Content-Length: 4404\r\n\r\n{1101 * 'a=b&'}",
]


def read_errors(server, begin):
    """The lines of the error log from this position on. Each is JSON."""
    return [json.loads(line) for line in server.error_log.read_text()[begin:].splitlines()]


@pytest.mark.once
class TestLogs:
    def test_access_log_has_the_request_id_of_the_response(self, server):
        response = server.request("GET", "/api/")
        line = server.get_request(response)
        assert {name: line[name] for name in ("method", "path", "status", "bytes")} == {
            "method": "GET",
            "path": "/api/",
            "status": 200,
            "bytes": len(response.content),
        }

    def test_request_id_of_a_proxy_is_kept(self, server):
        request_id = str(uuid4())
        response = server.request("GET", "/api/", headers={"X-Request-ID": request_id})
        assert response.headers["X-Request-ID"] == request_id

    @pytest.mark.parametrize("request_id", ["x", "1\u00ff", "a" * 1000])
    def test_request_id_that_is_not_a_uuid_is_replaced(self, server, request_id):
        headers = {"X-Request-ID": request_id.encode("latin-1")}
        response = server.request("GET", "/api/", headers=headers)
        assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])

    def test_quotes_are_escaped_in_the_access_log(self, server):
        response = server.request("GET", '/api/"%22\\%0a%00', headers={"User-Agent": '"\\\t'})
        assert server.get_request(response)["path"] == '/api/""\\\n\x00'

    def test_server_error_is_logged_with_request_id_and_traceback(self, server):
        person = server.sign_up("alice")
        # The description has no 500.
        person.session_class = requests.Session
        begin = len(server.error_log.read_text())
        server.database.execute("ALTER TABLE chats_message RENAME TO gone")
        try:
            response = person.call("GET", "/messages/")
        finally:
            server.database.execute("ALTER TABLE gone RENAME TO chats_message")
        assert response.status_code == 500
        assert response.json() == {"detail": "Internal Server Error"}
        [line] = read_errors(server, begin)
        assert line.pop("time")
        assert line.pop("traceback").startswith("Traceback (most recent call last):\n")
        assert line == {
            "level": "ERROR",
            "request_id": response.headers["X-Request-ID"],
            "logger": "django.request",
            "message": "Internal Server Error: /api/messages/",
        }

    @pytest.mark.parametrize("path", ["/api/", "/admin/login/", "/nothing"])
    @pytest.mark.parametrize("host", ["evil.example", "a b", "\u00ff\u0085"])
    def test_unknown_host_is_logged_as_one_line(self, server, path, host):
        begin = len(server.error_log.read_text())
        response = server.request("GET", path, headers={"Host": host.encode("latin-1")})
        assert response.status_code == 400
        server.get_request(response)
        [line] = read_errors(server, begin)
        check_mistake(line, response, "DisallowedHost")
        assert line["message"].startswith("Invalid HTTP_HOST header")

    @pytest.mark.parametrize(
        ("form", "status", "logger"),
        [
            ({f"field{n}": "" for n in range(1_001)}, 400, "TooManyFieldsSent"),
            ({"username": "a" * 2_621_440}, 400, "RequestDataTooBig"),
            ({"username": "a"}, 403, "csrf"),
        ],
        ids=["fields", "bytes", "no token"],
    )
    def test_refused_form_is_logged_as_one_line(self, server, form, status, logger):
        begin = len(server.error_log.read_text())
        cookies = {"csrftoken": "a" * 32}
        response = server.request("POST", "/admin/login/", data=form, cookies=cookies)
        assert response.status_code == status
        server.get_request(response)
        [line] = read_errors(server, begin)
        check_mistake(line, response, logger)

    def test_reset_mail_is_not_logged(self, server):
        """Without EMAIL_URL it is not sent, which is one line."""
        begin, printed = len(server.error_log.read_text()), len(server.access_log.read_text())
        person = server.sign_up("alice")
        body = {"email": person.email}
        response = server.request("POST", "/api/users/reset_password/", json=body)
        assert response.status_code == 204
        while not (lines := read_errors(server, begin)):
            server.request("GET", "/healthz")
        [line] = lines
        assert line["level"] == "WARNING"
        assert line["message"] == "An e-mail was not sent, because EMAIL_URL names no mail server."
        assert line["request_id"] == response.headers["X-Request-ID"]
        for line in server.access_log.read_text()[printed:].splitlines():
            assert json.loads(line)["request_id"]

    def test_other_loggers_and_warnings_are_lines_of_json(self):
        done = run("shell", "-v0", "-c", OTHERS)
        error, *_, warning = map(json.loads, done.stderr.splitlines())
        assert (error["logger"], error["message"]) == ("asyncio", "Failed")
        assert "ZeroDivisionError" in error["traceback"]
        assert warning["logger"] == "py.warnings"
        assert "UserWarning: Careful" in warning["message"]

    @pytest.mark.parametrize(
        ("level", "printed"),
        [
            ("DEBUG", ["access", "WARNING", "DEBUG", "INFO", "WARNING", "ERROR"]),
            ("info", ["access", "WARNING", "INFO", "WARNING", "ERROR"]),
            ("WARNING", ["WARNING", "WARNING", "ERROR"]),
            ("ERROR", ["ERROR"]),
        ],
    )
    def test_log_level_is_the_least_that_is_logged(self, level, printed):
        done = run("shell", "-v0", "-c", LEVELS, LOG_LEVEL=level)
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        assert [json.loads(line)["level"] for line in lines] == printed

    def test_what_nothing_catches_is_a_line_of_json(self):
        """In a thread, while an object is deleted, in the main program, and a warning."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", UNCAUGHT], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert [(line["level"], line.get("traceback", "").splitlines()[-1:]) for line in lines] == [
            ("CRITICAL", ["ValueError: in a thread"]),
            ("CRITICAL", ["ValueError: in a deletion"]),
            ("WARNING", []),
            ("CRITICAL", ["ValueError: in the program"]),
        ]

    def test_log_that_cannot_be_written_puts_no_text_into_the_other(self):
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", UNWRITABLE], capture_output=True, text=True, check=True
        )
        [line] = done.stderr.splitlines()
        assert json.loads(line)["message"] == "Careful"

    def test_what_strangers_send_is_at_most_a_warning(self, server):
        """Each line of both logs is JSON, too."""
        begin, count = len(server.error_log.read_text()), len(server.get_requests())
        for data in HOSTILE:
            request = data.replace("HOST", "Host: 127.0.0.1\r\n").encode("latin-1")
            with server.connect() as connection, suppress(OSError):
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(10_000):
                    pass
            with server.connect() as connection, suppress(OSError):
                connection.sendall(request)
                # Closing sends a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.get_request(server.request("GET", "/api/"))
        assert {line["level"] for line in read_errors(server, begin)} == {"WARNING"}
        assert not [line for line in server.get_requests()[count:] if line["status"] >= 500]

    def test_secrets_are_not_logged(self, server):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        conversation_id = alice.start(bob).json()["conversation_id"]
        path = f"/conversations/{conversation_id}/messages/"
        secret, wrong = uuid4().hex, uuid4().hex
        assert alice.send(conversation_id, secret, key=secret).status_code == 201
        assert alice.get(path, search=secret)["results"]
        assert alice.call("GET", path, params={"nothing": secret}).status_code == 400
        sign_in = {"email": alice.email, "password": wrong}
        assert server.request("POST", "/api/token/", json=sign_in, timeout=9).status_code == 401
        refresh = {"refresh": alice.refresh}
        fresh = server.request("POST", "/api/token/refresh/", json=refresh, timeout=9).json()
        # The web server itself responds to malformed requests.
        for garbage in (f"GET /?{secret} NONSENSE", f"GET / HTTP/1.1\r\nAuthorization {wrong}"):
            assert send_raw(server, f"{garbage}\r\n\r\n").startswith(b"HTTP/1.1 400")
        # The description has no 500.
        alice.session_class = requests.Session
        server.database.execute("ALTER TABLE chats_message RENAME TO gone")
        try:
            response = alice.send(conversation_id, secret)
        finally:
            server.database.execute("ALTER TABLE gone RENAME TO chats_message")
        assert response.status_code == 500
        server.get_request(response)
        logs = server.access_log.read_text() + server.error_log.read_text()
        assert f"POST /api{path}" not in logs
        assert path in logs
        tokens = [alice.access, alice.refresh, *fresh.values()]
        assert not [word for word in (secret, wrong, PASSWORD, *tokens) if word in logs]


def check_mistake(line, response, name):
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert (line["level"], line["logger"]) == ("WARNING", f"django.security.{name}")
    assert "traceback" not in line


def send_raw(server, text):
    with server.connect() as connection:
        connection.sendall(text.encode())
        return connection.recv(100)
