"""Behind nginx, with deploy/nginx.conf."""

import http.client
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
    names = f"subjectAltName=IP:127.0.0.1,DNS:{HOST}"
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}"]
    files = ["-out", certificate, "-keyout", key, "-addext", names]
    subprocess.run([find("openssl"), *command, *files], check=True, capture_output=True)  # noqa: S603
    # The tests read a log of their own.
    text = CONFIGURATION.replace(ACCESS_LOG, "")
    for documented, own in {
        "listen 80;": f"listen 127.0.0.1:{port};",
        "listen 443 ssl http2;": "listen 127.0.0.1:PORT ssl http2;",
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

    def test_long_body_is_refused_in_json(self, site):
        response = site.request("POST", "/api/users/", data=b"x" * 1_500_000)
        detail = "A body has at most 1048576 bytes."
        assert (response.status_code, response.json()) == (413, {"detail": detail})

    def test_longer_body_does_not_reach_the_program(self, site):
        response = site.request("POST", "/api/too-long/", data=b"x" * 2_500_000)
        assert response.status_code == 413
        line = site.get_logged(uri="/api/too-long/")
        assert (line["status"], line["program_status"]) == ("413", "")

    def test_program_gets_a_request_when_its_body_has_arrived(self, site):
        context = ssl.create_default_context(cafile=site.certificate)
        client = http.client.HTTPSConnection("127.0.0.1", site.nginx.port, context=context)
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
        line = site.get_logged(uri="/api/users/resend_verification/")
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
        one = site.get_logged(uri="/api/users/me/", protocol="HTTP/2.0")
        stream = site.get_logged(uri="/api/events/", protocol="HTTP/2.0")
        assert one["connection"] == stream["connection"]

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
