"""Behind nginx: with docker/nginx.conf, without Host, and under a path."""

import re
import subprocess
import time
from contextlib import contextmanager

import pytest
import requests
from django.conf import settings
from playwright.sync_api import expect
from requests.adapters import HTTPAdapter

from chats.tests.support.machines import find
from chats.tests.support.servers import PASSWORD, Database, Server, free_port, running
from chats.tests.support.services import Nginx
from messaging_app.serve import HEAD_SECONDS

pytestmark = pytest.mark.once

CONFIGURATION = (settings.BASE_DIR / "docker" / "nginx.conf").read_text()
HOST = "chat.example.com"
WITHOUT_HOST = "server {{ listen 127.0.0.1:PORT; location / {{ proxy_pass http://{}; }} }}"
# Nothing at the end of `proxy_pass`: the path is passed as it is. A slash: without the prefix.
UNDER_A_PATH = """
server {{ listen 127.0.0.1:PORT; proxy_set_header Host $http_host;
  location /chat/ {{ proxy_pass http://{address}; }} }}
server {{ listen 127.0.0.2:PORT; proxy_set_header Host $http_host;
  location /chat/ {{ proxy_pass http://{address}/; }} }}
"""


@contextmanager
def proxying(folder, text):
    service = Nginx(folder, text)
    service.start()
    try:
        yield service
    finally:
        service.remove()


class RedirectingServer(Server):
    def is_up(self):
        """Only health checks are not redirected to https, nor depend on the path."""
        try:
            return requests.get(f"{self.site}/healthz", timeout=60).status_code == 200
        except requests.ConnectionError:
            time.sleep(0.02)
            return False


@pytest.fixture(scope="module")
def own_server(tmp_path_factory, static_files, django_db_blocker):
    folder = tmp_path_factory.mktemp("proxied")
    url = f"sqlite:///{folder}/proxied.sqlite3"
    with django_db_blocker.unblock():
        server = RedirectingServer(Database(folder, url), folder, requests.Session, CACHE_URL="")
    with running(server, workers=1):
        yield server


class From(HTTPAdapter):
    """Requests from another address of this machine."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


class Site:
    """The proxy of docker/nginx.conf, asked over TLS."""

    def __init__(self, port, certificate):
        self.host, self.certificate = f"{HOST}:{port}", certificate
        self.url = f"https://127.0.0.1:{port}"

    def request(self, method, path, address="127.0.0.1", session=None, headers=(), **arguments):
        session = session or requests.Session()
        session.mount(self.url, From(address))
        headers = {"Host": self.host, **dict(headers)}
        options = {"verify": self.certificate, "allow_redirects": False, "timeout": 60}
        return session.request(method, f"{self.url}{path}", headers=headers, **options, **arguments)


@pytest.fixture(scope="class")
def site(own_server, tmp_path_factory):
    own_server.restart(
        workers=1,
        ALLOWED_HOSTS=HOST,
        TRUSTED_PROXIES="1",
        SECURE_SSL_REDIRECT="1",
        THROTTLE_SIGN_IN="1/min",
    )
    folder = tmp_path_factory.mktemp("site")
    certificate, key = folder / "chat.pem", folder / "chat.key"
    names = f"subjectAltName=IP:127.0.0.1,DNS:{HOST}"
    command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}"]
    files = ["-out", certificate, "-keyout", key, "-addext", names]
    subprocess.run([find("openssl"), *command, *files], check=True, capture_output=True)  # noqa: S603
    text = CONFIGURATION
    for documented, own in {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ssl;": "listen 127.0.0.1:PORT ssl;",
        "127.0.0.1:8000": own_server.address,
        "/etc/ssl/chat.example.com.pem": str(certificate),
        "/etc/ssl/chat.example.com.key": str(key),
    }.items():
        assert text.count(documented) == 1
        text = text.replace(documented, own)
    with proxying(folder, text) as nginx:
        yield Site(nginx.port, certificate)


class TestDocumentedProxy:
    def test_links_name_the_site_with_its_port(self, site):
        assert site.request("GET", "/api/").json()["users"] == f"https://{site.host}/api/users/"
        response = site.request("GET", "/api/users")
        assert (response.status_code, response.headers["Location"]) == (301, "/api/users/")

    def test_staff_sign_in_without_further_settings(self, own_server, site):
        email = own_server.make_superuser()
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

    def test_events_are_passed_on_as_they_come(self, own_server, site):
        """The server sends nothing else that could fill a buffer."""
        credentials = {"email": own_server.make_superuser(), "password": PASSWORD}
        access = site.request("POST", "/api/token/", json=credentials).json()["access"]
        headers = {"Authorization": f"Bearer {access}"}
        with site.request("GET", "/api/events/", headers=headers, stream=True) as response:
            assert response.raw.readline() == b"event: ready\n"

    @pytest.mark.parametrize(("scheme", "status"), [("HTTPS", 200), ("https", 200), ("http", 301)])
    def test_scheme_may_be_in_upper_case(self, own_server, site, scheme, status):
        headers = {"Host": HOST, "X-Forwarded-Proto": scheme}
        response = own_server.request("GET", "/api/", headers=headers, allow_redirects=False)
        assert response.status_code == status

    def test_nginx_closes_idle_connections_before_the_program_does(self):
        [seconds] = re.findall(r"keepalive_timeout (\d+)s;", CONFIGURATION)
        assert int(seconds) < HEAD_SECONDS


@pytest.fixture(scope="class")
def nginx(own_server, tmp_path_factory):
    variables = {"SCRIPT_NAME": "/chat", "ADMIN_PATH": "staff-only/"}
    own_server.restart(workers=1, ALLOWED_HOSTS="127.0.0.1,127.0.0.2", **variables)
    text = UNDER_A_PATH.format(address=own_server.address)
    with proxying(tmp_path_factory.mktemp("path"), text) as nginx:
        yield nginx


class TestPath:
    """SCRIPT_NAME=/chat, with the prefix in the request's path and without it, and
    ADMIN_PATH=staff-only/."""

    @pytest.fixture(params=["127.0.0.1", "127.0.0.2"], ids=["passed", "removed"])
    def path(self, nginx, request):
        return f"http://{request.param}:{nginx.port}"

    def call(self, method, url, **arguments):
        return requests.request(method, url, timeout=60, allow_redirects=False, **arguments)

    def test_links_and_redirects(self, own_server, path):
        api = f"{path}/chat/api"
        assert self.call("GET", f"{api}/").json()["users"] == f"{api}/users/"
        response = self.call("GET", f"{api}/users/me?a=1")
        assert response.status_code == 301
        assert response.headers["Location"] == "/chat/api/users/me/?a=1"
        response = self.call("POST", f"{api}/users")
        detail = "Not found: the path ends with a slash, /chat/api/users/."
        assert (response.status_code, response.json()) == (404, {"detail": detail})
        listed = "GET /chat/api/ and /chat/api/docs/ list what there is."
        response = self.call("GET", f"{api}/register/")
        detail = f"There is no such path; use POST /chat/api/users/. {listed}"
        assert (response.status_code, response.json()) == (404, {"detail": detail})
        detail = "There is no such path. The API is under /chat/api/."
        for unknown in ("nothing/", "admin/", "admin/login/", "admin"):
            response = self.call("GET", f"{path}/chat/{unknown}")
            assert (response.status_code, response.json()) == (404, {"detail": detail})

    def test_pages_link_to_their_files(self, own_server, path):
        for page in ("/chat/staff-only/login/", "/chat/api/docs/"):
            response = self.call("GET", f"{path}{page}")
            links = re.findall('(?:href|src|data-schema)="(/.*?)"', response.text)
            assert links
            for link in links:
                assert link.startswith("/chat/")
                assert self.call("GET", f"{path}{link}").ok
        document = self.call("GET", f"{path}/chat/api/schema/").json()
        assert document["servers"] == [{"url": "/chat"}]
        assert "/api/users/" in document["paths"]

    def test_staff_sign_in(self, own_server, path):
        response = self.call("GET", f"{path}/chat/staff-only/")
        assert response.headers["Location"] == "/chat/staff-only/login/?next=/chat/staff-only/"
        email, session = own_server.make_superuser(), requests.Session()
        url = f"{path}/chat/staff-only/login/?next=/chat/staff-only/"
        page = session.get(url, timeout=60)
        assert "Path=/chat/;" in page.headers["Set-Cookie"]
        [token] = re.findall('name="csrfmiddlewaretoken" value="(.*?)"', page.text)
        form = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": token}
        response = session.post(url, form | {"next": "/chat/staff-only/"}, timeout=60)
        assert response.url == f"{path}/chat/staff-only/"
        assert "Site administration" in response.text

    def test_health_is_checked_without_the_path(self, own_server, path):
        for prefix in ("", "/chat"):
            assert self.call("GET", f"{own_server.site}{prefix}/readyz").status_code == 200


def test_demo_client_asks_the_api_under_the_path(own_server):
    variables = {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "chats.tests.support.demo_settings"}
    own_server.restart(workers=1, SCRIPT_NAME="/chat", **variables)
    page = own_server.request("GET", "/chat/").text
    assert '<meta name="api" content="/chat/api">' in page


def test_demo_client_loads_older_messages_behind_a_proxy_that_passes_no_host(
    demo_server, open_browser, alice, bob, tmp_path
):
    conversation_id = alice.start(bob).json()["conversation_id"]
    for n in range(60):
        alice.send(conversation_id, f"{n}")
    with proxying(tmp_path, WITHOUT_HOST.format(demo_server.address)) as nginx:
        link = requests.get(f"http://{nginx.address}/api/", timeout=60).json()["users"]
        assert link == f"{demo_server.url}/users/"
        browser = open_browser(alice, origin=f"http://{nginx.address}")
        # Requests to the server itself are complaints.
        browser.allowed = (browser.origin, "data:")
        window = browser.open(f"/#{conversation_id}")
        expect(window.messages.last).to_have_text("59")
        window.page.locator("#scroller").evaluate("element => element.scrollTo(0, 0)")
        expect(window.messages.first).to_have_text("0")
