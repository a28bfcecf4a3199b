"""Behind nginx, with deploy/nginx.conf."""

import http.client
import json
import re
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from django.conf import settings
from requests.adapters import HTTPAdapter

from chats.tests.support.machines import find
from chats.tests.support.proxies import proxying
from chats.tests.support.servers import PASSWORD, free_port
from messaging_app.serve import HEAD_SECONDS

pytestmark = pytest.mark.once

CONFIGURATION = (settings.BASE_DIR / "deploy" / "nginx.conf").read_text()
ACCESS_LOG = "  access_log /var/log/nginx/access.log chat;\n"
HOST = "chat.example.com"
# Those of nginx itself, by requests that do not reach the program.
NGINX_ERRORS = [
    ("GET / HTTP/1.1\r\n", 400),
    (f"GET / HTTP/1.1\r\nHost: {HOST}\r\nCookie: {'x' * 9_000}\r\n", 400),
    (f"TRACE / HTTP/1.1\r\nHost: {HOST}\r\n", 405),
    (f"GET /?{'x' * 9_000} HTTP/1.1\r\n", 414),
    (f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: gzip\r\n", 501),
]
UNREADABLE = "The request is malformed or too long."
# Those that the file names, and a rate that a test reaches.
VARIABLES = {
    "ALLOWED_HOSTS": HOST,
    "TRUSTED_PROXIES": "1",
    "SECURE_SSL_REDIRECT": "1",
    "THROTTLE_SIGN_IN": "1/min",
}


class From(HTTPAdapter):
    """Requests from another address of this machine."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


class Site:
    """Requests go over TLS."""

    def __init__(self, nginx, certificate, port):
        self.nginx, self.certificate = nginx, certificate
        self.plain_address = f"127.0.0.1:{port}"
        self.host = f"{HOST}:{nginx.port}"
        self.url = f"https://127.0.0.1:{nginx.port}"

    def connect(self):
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.nginx.port, context=context)

    def request(self, method, path, address="127.0.0.1", session=None, headers=(), **arguments):
        session = session or requests.Session()
        session.mount(self.url, From(address))
        headers = {"Host": self.host, **dict(headers)}
        options = {"verify": self.certificate, "allow_redirects": False, "timeout": 60}
        return session.request(method, f"{self.url}{path}", headers=headers, **options, **arguments)

    def sign_in(self, email, prefix=""):
        """The headers of further requests."""
        credentials = {"email": email, "password": PASSWORD}
        response = self.request("POST", f"{prefix}/api/token/", json=credentials)
        return {"Authorization": f"Bearer {response.json()['access']}"}

    def get_logged(self, **fields):
        """nginx' line with these fields, which it writes after the response."""
        deadline, found = time.monotonic() + 30, []
        while not found:
            assert time.monotonic() < deadline
            lines = self.nginx.get_requests()
            found = [line for line in lines if fields.items() <= line.items()]
        [line] = found
        return line


@contextmanager
def serving(server, folder, location="location / {"):
    """With the file as an operator changes it, at ports of its own."""
    certificate, key, port = folder / "chat.pem", folder / "chat.key", free_port()
    names = f"subjectAltName=IP:127.0.0.1,IP:::1,DNS:{HOST}"
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}"]
    files = ["-out", certificate, "-keyout", key, "-addext", names]
    subprocess.run([find("openssl"), *command, *files], check=True, capture_output=True)  # noqa: S603
    # Beside a log of the tests' own.
    own_log = f"access_log {folder}/nginx.PORT/access.log json;"
    logs = f"access_log {folder}/access.log chat; {own_log}\n"
    text = CONFIGURATION.replace(ACCESS_LOG, logs)
    for documented, own in {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "listen 443 ssl http2;": "listen 127.0.0.1:PORT ssl http2;",
        "listen [::]:80;": f"listen [::1]:{port};",
        "listen [::]:443 ssl http2;": "listen [::1]:PORT ssl http2;",
        "/var/log/nginx/error.log": f"{folder}/error.log",
        "server 127.0.0.1:8000": f"server {server.address}",
        "/etc/ssl/chat.example.com.pem": str(certificate),
        "/etc/ssl/chat.example.com.key": str(key),
        "location / {": location,
    }.items():
        assert text.count(documented) == 1
        text = text.replace(documented, own)
    with proxying(folder, text) as nginx:
        yield Site(nginx, certificate, port)


@pytest.fixture(scope="class")
def site(proxied_server, tmp_path_factory):
    proxied_server.restart(workers=1, **VARIABLES)
    with serving(proxied_server, tmp_path_factory.mktemp("site")) as site:
        yield site


def get_connections(port):
    """The other ends of the connections to this port, also of those that were just closed."""
    rows = [line.split()[1:3] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    at_port = f":{port:04X}"
    return {end for row in rows for end in row if at_port in str(row) and at_port not in end}


class TestSite:
    def test_links_name_the_site_with_its_port(self, site):
        assert site.request("GET", "/api/").json()["users"] == f"https://{site.host}/api/users/"
        response = site.request("GET", "/api/users")
        assert (response.status_code, response.headers["Location"]) == (301, "/api/users/")

    def test_staff_sign_in_without_further_settings(self, proxied_server, site):
        email = proxied_server.make_superuser()
        session = requests.Session()
        page = site.request("GET", "/admin/login/", session=session).text
        [token] = re.findall('name="csrfmiddlewaretoken" value="(.*?)"', page)
        form = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": token}
        cookies = {"csrftoken": session.cookies["csrftoken"]}
        headers = {"Origin": f"https://{site.host}", "Referer": f"https://{site.host}/"}
        arguments = {"data": form | {"next": "/admin/"}, "cookies": cookies, "headers": headers}
        response = site.request("POST", "/admin/login/", **arguments)
        assert (response.status_code, response.headers["Location"]) == (302, "/admin/")
        assert "Secure" in response.headers["Set-Cookie"]

    def test_clients_are_told_apart_by_their_addresses_and_not_by_what_they_say(self, site):
        statuses = []
        # The other tests sign in from 127.0.0.1.
        for n, address in enumerate(["127.0.0.2"] * 11 + ["127.0.0.3"]):
            body = {"email": f"{n}@example.com", "password": "wrong"}
            arguments = {"json": body, "headers": {"X-Forwarded-For": f"10.0.0.{n}"}}
            response = site.request("POST", "/api/token/", address, **arguments)
            statuses.append(response.status_code)
        assert statuses == [401] * 10 + [429, 401]

    def test_access_log_has_the_address_of_the_client(self, proxied_server, site):
        headers = {"X-Forwarded-For": "10.0.0.1"}
        response = site.request("GET", "/api/", "127.0.0.9", headers=headers)
        assert proxied_server.get_request(response)["address"] == "127.0.0.9"

    def test_long_body_is_refused_in_json(self, site):
        response = site.request("POST", "/api/users/", data=b"x" * 1_500_000)
        detail = "A body has at most 1048576 bytes."
        assert (response.status_code, response.json()) == (413, {"detail": detail})

    def test_longer_body_does_not_reach_the_program(self, site):
        response = site.request("POST", "/api/too-long/", data=b"x" * 2_500_000)
        detail = "A body has at most 1048576 bytes."
        assert (response.status_code, response.json()) == (413, {"detail": detail})
        assert site.get_logged(path="/api/too-long/", status="413")["program_status"] == ""

    @pytest.mark.parametrize(("head", "status"), NGINX_ERRORS)
    def test_errors_of_nginx_are_json(self, site, head, status):
        client = site.connect()
        client.connect()
        client.sock.sendall(f"{head}\r\n".encode())
        with http.client.HTTPResponse(client.sock) as response:
            response.begin()
            detail = "Method Not Allowed." if status == 405 else UNREADABLE
            assert response.headers["Content-Type"] == "application/json"
            assert (response.status, json.load(response)) == (status, {"detail": detail})
        client.close()

    def test_page_of_errors_is_no_path_of_its_own(self, site):
        assert site.request("GET", "/nginx-error").status_code == 404

    def test_program_gets_a_request_when_its_body_has_arrived(self, site):
        client = site.connect()
        client.putrequest("POST", "/api/users/resend_verification/", skip_host=True)
        client.putheader("Host", site.host)
        client.putheader("Content-Type", "application/json")
        client.putheader("Content-Length", "20")
        client.endheaders(b"{")
        begin = time.monotonic()
        site.request("GET", "/healthz")
        seconds = time.monotonic() - begin
        client.send(b" " * 19)
        assert client.getresponse().status == 400
        client.close()
        line = site.get_logged(path="/api/users/resend_verification/")
        in_program = float(line["program_seconds"])
        # Times in the log are whole milliseconds.
        assert float(line["seconds"]) - in_program > seconds - 0.003

    def test_connections_to_the_program_are_kept(self, proxied_server, site):
        before = get_connections(proxied_server.port)
        for _ in range(20):
            assert site.request("GET", "/healthz").status_code == 200
        assert len(get_connections(proxied_server.port) - before) <= 1

    def test_events_are_passed_on_as_they_come(self, proxied_server, site):
        """The server sends nothing else that could fill a buffer."""
        headers = site.sign_in(proxied_server.make_superuser())
        with site.request("GET", "/api/events/", headers=headers, stream=True) as response:
            assert response.raw.readline() == b"event: ready\n"

    def test_browser_needs_one_connection_for_its_streams_and_requests(self, proxied_server, site):
        headers = {"Host": site.host, **site.sign_in(proxied_server.make_superuser())}
        options = [f"-H{name}: {value}" for name, value in headers.items()]
        urls = [f"{site.url}/api/events/", f"{site.url}/api/users/me/"]
        curl = [find("curl"), "-sSN", "--parallel", "--http2", "--cacert", site.certificate]
        with subprocess.Popen([*curl, *options, *urls], stdout=subprocess.PIPE) as client:  # noqa: S603
            read = b""
            while b"event: ready" not in read or b"user_id" not in read:
                read += client.stdout.read1()
            client.kill()
        one = site.get_logged(path="/api/users/me/", protocol="HTTP/2.0")
        stream = site.get_logged(path="/api/events/", protocol="HTTP/2.0")
        assert one["connection"] == stream["connection"]

    def test_site_has_an_ipv6_address(self, site):
        url = f"https://[::1]:{site.nginx.port}/healthz"
        assert requests.get(url, verify=site.certificate, timeout=60).status_code == 200

    def test_plain_http_is_redirected(self, site):
        url = f"http://{site.plain_address}/api/?a=1"
        response = requests.get(url, headers={"Host": HOST}, allow_redirects=False, timeout=60)
        assert response.status_code == 301
        assert response.headers["Location"] == f"https://{HOST}/api/?a=1"

    @pytest.mark.parametrize(("scheme", "status"), [("HTTPS", 200), ("https", 200), ("http", 301)])
    def test_scheme_may_be_in_upper_case(self, proxied_server, site, scheme, status):
        headers = {"Host": HOST, "X-Forwarded-Proto": scheme}
        response = proxied_server.request("GET", "/api/", headers=headers, allow_redirects=False)
        assert response.status_code == status

    def test_nginx_closes_idle_connections_before_the_program_does(self):
        [seconds] = re.findall(r"keepalive_timeout (\d+)s;", CONFIGURATION)
        assert int(seconds) < HEAD_SECONDS


def test_program_that_does_not_run_is_a_502_and_no_log_has_the_query(proxied_server, tmp_path):
    with serving(proxied_server, tmp_path) as site:
        proxied_server.stop()
        response = site.request("GET", "/api/messages/?search=secret")
        detail = "The server is not available. Try again in a few seconds."
        assert (response.status_code, response.json()) == (502, {"detail": detail})
        site.get_logged(path="/api/messages/?search=secret", status="502")
    logs = (tmp_path / "access.log").read_text() + (tmp_path / "error.log").read_text()
    assert '"GET /api/messages/" 502 ' in logs
    assert "secret" not in logs


def test_site_under_a_path(proxied_server, tmp_path):
    """As the file says."""
    proxied_server.restart(workers=1, SCRIPT_NAME="/chat", **VARIABLES)
    with serving(proxied_server, tmp_path, "location /chat/ {") as site:
        links = site.request("GET", "/chat/api/").json()
        assert links["users"] == f"https://{site.host}/chat/api/users/"
        headers = site.sign_in(proxied_server.make_superuser(), "/chat")
        events = "/chat/api/events/"
        with site.request("GET", events, headers=headers, stream=True) as response:
            assert response.raw.readline() == b"event: ready\n"
        assert site.request("GET", "/api/").status_code == 404
