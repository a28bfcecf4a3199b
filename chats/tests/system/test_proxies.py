"""Behind proxies that pass no Host, and under a path."""

import re

import pytest
import requests
from playwright.sync_api import expect

from chats.tests.support.proxies import proxying
from chats.tests.support.servers import PASSWORD

pytestmark = pytest.mark.once

WITHOUT_HOST = "server {{ listen 127.0.0.1:PORT; location / {{ proxy_pass http://{}; }} }}"
# Nothing at the end of `proxy_pass`: the path is passed as it is. A slash: without the prefix.
UNDER_A_PATH = """
server {{ listen 127.0.0.1:PORT; proxy_set_header Host $http_host;
  location /chat/ {{ proxy_pass http://{address}; }} }}
server {{ listen 127.0.0.2:PORT; proxy_set_header Host $http_host;
  location /chat/ {{ proxy_pass http://{address}/; }} }}
"""


@pytest.fixture(scope="class")
def nginx(proxied_server, tmp_path_factory):
    variables = {"SCRIPT_NAME": "/chat", "ADMIN_PATH": "staff-only/"}
    proxied_server.restart(workers=1, ALLOWED_HOSTS="127.0.0.1,127.0.0.2", **variables)
    text = UNDER_A_PATH.format(address=proxied_server.address)
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

    def test_links_and_redirects(self, proxied_server, path):
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

    def test_pages_link_to_their_files(self, proxied_server, path):
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

    def test_staff_sign_in(self, proxied_server, path):
        response = self.call("GET", f"{path}/chat/staff-only/")
        assert response.headers["Location"] == "/chat/staff-only/login/?next=/chat/staff-only/"
        email, session = proxied_server.make_superuser(), requests.Session()
        url = f"{path}/chat/staff-only/login/?next=/chat/staff-only/"
        page = session.get(url, timeout=60)
        assert "Path=/chat/;" in page.headers["Set-Cookie"]
        [token] = re.findall('name="csrfmiddlewaretoken" value="(.*?)"', page.text)
        form = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": token}
        response = session.post(url, form | {"next": "/chat/staff-only/"}, timeout=60)
        assert response.url == f"{path}/chat/staff-only/"
        assert "Site administration" in response.text

    def test_health_is_checked_without_the_path(self, proxied_server, path):
        for prefix in ("", "/chat"):
            assert self.call("GET", f"{proxied_server.site}{prefix}/readyz").status_code == 200


def test_demo_client_asks_the_api_under_the_path(proxied_server):
    variables = {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "chats.tests.support.demo_settings"}
    proxied_server.restart(workers=1, SCRIPT_NAME="/chat", **variables)
    page = proxied_server.request("GET", "/chat/").text
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
