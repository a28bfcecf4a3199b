"""The demo client in a browser."""

import json
import os
import time
from urllib.parse import urlsplit
from uuid import uuid4

import jwt
import pytest
from django.conf import settings
from playwright.sync_api import expect

from chats.tests.support.servers import manage

FRONTEND = settings.BASE_DIR / "frontend"
AXE = FRONTEND / "node_modules/axe-core/axe.min.js"
IS_FIREFOX = os.environ.get("BROWSER") == "firefox"
POLL_SECONDS = "const POLL_SECONDS = 3;"
EVENTS = "**/api/events/"
# What distinguishes responses of the API from those of a proxy.
FROM_API = {"X-Request-ID": "1"}
NOT_SERVED = {"detail": "This server does not stream events. Poll the lists instead."}
# What another tab hears from the one that reads the stream: that it is up, or of a comment.
UNTIL_UP = """name => new Promise(resolve => {
    const channel = new BroadcastChannel(name);
    channel.onmessage = ({ data }) => data?.isUp && resolve(true);
    channel.postMessage(null);
})"""
UNTIL_COMMENT = """name => new Promise(resolve => {
    new BroadcastChannel(name).onmessage = ({ data }) => data && !data.event && resolve(true);
})"""
LOSE_RESPONSE = """end => {
    const { fetch } = window;
    window.lost = [];
    window.fetch = async (url, options) => {
        const response = await fetch(url, options);
        if (options.method !== "POST" || !url.endsWith(end) || window.lost.length) return response;
        window.lost.push(response.status);
        throw new TypeError("The response was lost.");
    };
}"""
SESSION = "JSON.parse(localStorage['chat.session'])"


class Browser:
    """A person's browser, whose tabs share a session.

    `requests` are the methods and paths of its requests to the API, `complaints` its errors and
    warnings. Without the stream of events it polls every 0.1 seconds, or hardly ever.
    """

    def __init__(self, browser, origin, server, person=None, polls=True, streams=True, **options):
        self.origin, self.person, self.requests, self.complaints = origin, person, [], []
        state = {"origins": [{"origin": origin, "localStorage": stored_session(person)}]}
        self.context = browser.new_context(storage_state=state, **options)
        code = (FRONTEND / "client.js").read_text()
        assert POLL_SECONDS in code
        code = code.replace(POLL_SECONDS, f"const POLL_SECONDS = {0.1 if polls else 3600};")
        self.context.route(
            "**/client.js", lambda route: route.fulfill(body=code, content_type="text/javascript")
        )
        if not streams:
            self.context.route(EVENTS, lambda route: route.fulfill(status=404, json=NOT_SERVED))
        self.allowed = (origin, server.site, "data:")

    def open(self, path="/", has_clock=False):
        page = self.context.new_page()
        if has_clock:
            page.clock.install()
        window = self.wrap(page)
        page.goto(f"{self.origin}{path}")
        return window

    def wrap(self, page):
        page.on("console", self.listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self.look_at)
        return Window(page)

    def listen(self, message):
        # Tests interrupt requests and have some refused, which the browser reports.
        if message.type in {"error", "warning"} and "Failed to load" not in message.text:
            self.complaints.append(message.text)

    def look_at(self, request):
        if not request.url.startswith(self.allowed):
            self.complaints.append(request.url)
        path = urlsplit(request.url).path
        if path.startswith("/api/"):
            self.requests.append(f"{request.method} {path}")


def stored_session(person):
    if person is None:
        return []
    user = person.get("/users/me/")
    session = {"user": user, "access": person.access, "refresh": person.refresh}
    return [{"name": "chat.session", "value": json.dumps(session)}]


def set_role(server, person, role):
    code = f"User.objects.filter(pk='{person.user_id}').update(role='{role}')"
    manage("shell", "-c", code, DATABASE_URL=server.database.url, DEBUG="1")


class Window:
    """A tab."""

    def __init__(self, page):
        self.page = page
        self.messages = page.locator("#messages .text")
        self.inbox = page.get_by_role("list", name="Inbox").get_by_role("link")
        self.alerts = page.get_by_role("alert").filter(visible=True)

    def choose(self, name):
        self.page.get_by_role("link", name=name).click()

    def press(self, name, index=0):
        self.page.get_by_role("button", name=name, exact=True).nth(index).click()

    def fill(self, **fields):
        for label, value in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).filter(visible=True).fill(
                value
            )

    def sign_in(self, email, password):
        self.page.get_by_label("E-mail address").filter(visible=True).fill(email)
        self.fill(Password=password)
        self.press("Sign in")

    def send(self, *texts):
        for text in texts:
            self.fill(Message=text)
            self.page.keyboard.press("Enter")

    def expect_messages(self, *texts):
        expect(self.messages).to_have_text(texts)

    def expect_all_sent(self):
        expect(self.page.get_by_text("Sending…")).to_have_count(0)

    def expect_accessible(self, look):
        """axe finds nothing, and nothing is wider than a phone or a desktop."""
        if not AXE.exists():
            pytest.skip("axe-core is not installed: run npm ci in frontend/")
        self.page.evaluate(AXE.read_text())
        if look == "right-to-left":
            self.page.evaluate("document.dir = 'rtl'")
        for width in (360, 1280):
            self.page.set_viewport_size({"width": width, "height": 800})
            assert self.page.evaluate("document.documentElement.scrollWidth") <= width
            found = self.page.evaluate("axe.run()")["violations"]
            assert not found, [(rule["id"], rule["nodes"][0]["html"]) for rule in found]

    def wait_for_stream(self, person):
        self.page.wait_for_function(UNTIL_UP, arg=f"chat.stream.{person.user_id}", polling=100)

    def wait_for_comment(self, person):
        self.page.wait_for_function(UNTIL_COMMENT, arg=f"chat.stream.{person.user_id}", polling=100)

    def expire_access_token(self):
        """Replace the stored access token by an expired one."""
        claims = jwt.decode(
            self.page.evaluate(SESSION)["access"], options={"verify_signature": False}
        )
        claims |= {"exp": 1, "jti": uuid4().hex}
        self.page.evaluate(
            f"access => localStorage['chat.session'] = JSON.stringify({{...{SESSION}, access}})",
            jwt.encode(claims, settings.SECRET_KEY),
        )

    def set_hidden(self, is_hidden):
        """As if another tab covered this one."""
        self.page.evaluate(
            """isHidden => {
                const property = { get: () => isHidden, configurable: true };
                Object.defineProperty(document, "hidden", property);
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            is_hidden,
        )


def lose_response(page, end):
    """The page does not hear the response to the first POST to a path with this end. `window.lost`
    has its status code."""
    page.evaluate(LOSE_RESPONSE, end)


def wait_for_requests(server, before, count, **fields):
    """The lines of the access log from `before` on with these fields, once there are `count`."""
    deadline = time.monotonic() + 30
    lines = []
    while len(lines) < count:
        assert time.monotonic() < deadline, lines
        lines = [line for line in server.get_requests()[before:] if fields.items() <= line.items()]
    return lines
