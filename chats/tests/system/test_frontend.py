"""A front end on another origin, in a real browser, with the code that docs/frontend.md shows."""

import re
import time
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from django.conf import settings
from playwright.sync_api import expect

from chats.tests.support.servers import PASSWORD

POLL_MS = 100
NEW_PASSWORD = {"current_password": PASSWORD, "new_password": "moor under the tide"}
pytestmark = pytest.mark.once


@pytest.fixture
def page(server, chromium, front_end):
    """On another origin than the API."""
    recipe = (settings.BASE_DIR / "docs/frontend.md").read_text()
    [code] = re.findall(r"^```js\n(.*?)```", recipe, re.DOTALL | re.MULTILINE)
    for shown, here in {
        'const API = "http://127.0.0.1:8000/api";': f'const API = "{server.url}";',
        "const POLL_MS = 3000;": f"const POLL_MS = {POLL_MS};",
    }.items():
        assert shown in code
        code = code.replace(shown, here)
    (front_end.folder / "chat.js").write_text(code)
    html = Path(__file__).with_name("frontend.html").read_text()
    (front_end.folder / "index.html").write_text(html)
    context = chromium.new_context()
    page = context.new_page()
    page.goto(front_end.origin)
    yield page
    context.close()


@pytest.fixture
def front(server, page):
    """Alice's browser, signed in and looking at her conversation with Bob."""
    alice, bob = server.sign_up("Alice"), server.sign_up("Bob")
    conversation_id = alice.start(bob).json()["conversation_id"]
    bob.send(conversation_id, "Hello, Alice")
    sign_in(page, alice, "not her password")
    expect(page.get_by_role("alert")).to_have_text(
        "No active account found with the given credentials"
    )
    sign_in(page, alice)
    page.get_by_role("button", name="Alice, Bob: Hello, Alice").click()
    front = SimpleNamespace(
        page=page,
        alice=alice,
        bob=bob,
        conversation_id=conversation_id,
        path=f"/api/conversations/{conversation_id}/messages/",
        messages=page.get_by_label("Messages").get_by_role("listitem"),
        unsent=page.get_by_label("Unsent").get_by_role("listitem"),
    )
    expect(front.messages).to_have_text(["Hello, Alice"])
    return front


def sign_in(page, person, password=PASSWORD):
    page.get_by_label("E-mail").fill(person.email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def send(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def expire_access_token(page):
    """Of the tab; the one that it then has."""
    tokens = "JSON.parse(sessionStorage.tokens)"
    claims = jwt.decode(page.evaluate(tokens)["access"], options={"verify_signature": False})
    expired = jwt.encode(claims | {"exp": 1}, settings.SECRET_KEY)
    page.evaluate(
        f"access => sessionStorage.tokens = JSON.stringify({{...{tokens}, access}})", expired
    )
    return expired


def wait_for(server, path, status, count):
    """Wait until the server has returned this status `count` times for this path."""
    before, deadline = len(server.get_requests()), time.monotonic() + 30
    found = []
    while len(found) < count:
        assert time.monotonic() < deadline
        lines = server.get_requests()[before:]
        found = [line for line in lines if (line["path"], line["status"]) == (path, status)]


def test_unchanged_polls_are_304_and_news_is_seen(server, front):
    wait_for(server, front.path, 304, count=3)
    wait_for(server, "/api/conversations/", 304, count=3)
    front.bob.send(front.conversation_id, "Are you there?")
    expect(front.messages).to_have_text(["Hello, Alice", "Are you there?"])
    expect(front.page.get_by_label("Inbox")).to_have_text("Alice, Bob: Are you there?")
    send(front.page, "I am")
    expect(front.messages).to_have_text(["Hello, Alice", "Are you there?", "I am"])


def test_a_message_whose_response_was_lost_is_sent_once(server, front):
    lost = []

    def lose(route):
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    front.page.route("**/messages/", lose)
    before = len(server.get_requests())
    send(front.page, "Once")
    expect(front.messages).to_have_text(["Hello, Alice", "Once"])
    expect(front.unsent).to_have_count(0)
    sends = [line for line in server.get_requests()[before:] if line["method"] == "POST"]
    assert (lost, [line["status"] for line in sends]) == ([201], [201, 200])


def test_nothing_is_missed_or_doubled_after_a_sleep(front):
    """More than a page is written meanwhile, and Alice writes too."""
    front.page.context.set_offline(True)
    send(front.page, "Written offline")
    send(front.page, "And this")
    bodies = [f"No. {n}" for n in range(103)]
    for body in bodies:
        front.bob.send(front.conversation_id, body)
    expect(front.unsent).to_have_text(["Written offline", "And this"])
    front.page.context.set_offline(False)
    expect(front.messages).to_have_count(106)
    assert front.messages.all_text_contents() == [
        "Hello, Alice",
        *bodies,
        "Written offline",
        "And this",
    ]


def test_an_expired_token_is_refreshed(server, front):
    expired = expire_access_token(front.page)
    before = len(server.get_requests())
    front.bob.send(front.conversation_id, "Still there?")
    expect(front.messages).to_have_text(["Hello, Alice", "Still there?"])
    front.page.wait_for_function(
        "expired => JSON.parse(sessionStorage.tokens).access !== expired", arg=expired
    )
    posts = [line for line in server.get_requests()[before:] if line["method"] == "POST"]
    assert [line["status"] for line in posts if "refresh" in line["path"]] == [200]


def test_a_lost_response_to_a_refresh_signs_nobody_out(front):
    front.page.context.set_offline(True)
    send(front.page, "Mine")
    lost = []

    def lose(route):
        if not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    front.page.route("**/token/refresh/", lose)
    expire_access_token(front.page)
    front.page.context.set_offline(False)
    expect(front.messages).to_have_text(["Hello, Alice", "Mine"])
    assert lost == [200]


def test_what_was_not_sent_waits_for_the_same_person(front):
    """Alice's session ends: she signs in again, and Bob does not send her text."""
    front.page.context.set_offline(True)
    send(front.page, "Mine")
    tokens = front.page.evaluate("JSON.parse(sessionStorage.tokens)")
    body = {"refresh": tokens["refresh"]}
    assert front.alice.call("POST", "/token/blacklist/", json=body).status_code == 200
    expire_access_token(front.page)
    front.page.context.set_offline(False)
    expect(front.page.get_by_role("alert")).to_have_text("Token is blacklisted")
    expect(front.unsent).to_have_text(["Mine"])
    expect(front.messages).to_have_text(["Hello, Alice"])
    sign_in(front.page, front.alice)
    expect(front.messages).to_have_text(["Hello, Alice", "Mine"])
    expect(front.unsent).to_have_count(0)

    front.page.context.set_offline(True)
    send(front.page, "Mine too")
    expect(front.unsent).to_have_text(["Mine too"])
    front.page.context.set_offline(False)
    expect(front.messages).to_have_text(["Hello, Alice", "Mine", "Mine too"])
    front.alice.call("POST", "/users/set_password/", json=NEW_PASSWORD)
    expect(front.page.get_by_role("alert")).to_have_text("The user's password has been changed.")
    send(front.page, "Not Bob's")
    sign_in(front.page, front.bob)
    expect(front.unsent).to_have_count(0)
    senders = {
        row["message_body"]: row["sender"]["first_name"]
        for row in front.bob.get(f"/conversations/{front.conversation_id}/messages/")["results"]
    }
    assert senders == {"Hello, Alice": "Bob", "Mine": "Alice", "Mine too": "Alice"}


def test_signing_in_twice_doubles_nothing(front):
    sign_in(front.page, front.alice)
    sign_in(front.page, front.alice)
    bodies = [f"No. {n}" for n in range(20)]
    for body in bodies:
        front.bob.send(front.conversation_id, body)
    expect(front.messages).to_have_text(["Hello, Alice", *bodies])


def test_who_is_out_of_a_conversation_still_sees_the_others(front):
    front.alice.call("POST", f"/conversations/{front.conversation_id}/leave/")
    expect(front.page.get_by_role("alert")).to_have_text("Not found.")
    another = front.bob.start(front.alice).json()["conversation_id"]
    front.bob.send(another, "Here instead")
    front.page.get_by_role("button", name="Alice, Bob: Here instead").click()
    expect(front.messages).to_have_text(["Here instead"])


def test_a_refused_message_says_why(front):
    send(front.page, "   ")
    expect(front.page.get_by_role("alert")).to_have_text(
        "message_body: This field may not be only white space."
    )
    send(front.page, "Something")
    expect(front.messages).to_have_text(["Hello, Alice", "Something"])


def test_headers_are_read_across_origins(server, front):
    """And a limit is waited out."""
    server.restart(THROTTLE_WRITE="1/s")
    get = """async ([url, name, method]) => {
        const { access } = JSON.parse(sessionStorage.tokens);
        const headers = { Authorization: `Bearer ${access}`, "Idempotency-Key": "k",
                          "Content-Type": "application/json" };
        const body = method === "POST" ? JSON.stringify({message_body: "Again"}) : undefined;
        let response;
        for (let n = 0; n < 100 && !response?.headers.get(name); n++) {
            const seconds = response?.headers.get("Retry-After") ?? 0;
            await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
            response = await fetch(url, { method, headers, body });
        }
        return [response.status, response.headers.get(name)];
    }"""
    url = f"{server.site}{front.path}"
    status, etag = front.page.evaluate(get, [url, "ETag", "GET"])
    assert (status, len(etag)) == (200, 34)
    assert front.page.evaluate(get, [url, "Retry-After", "POST"]) == [429, "1"]
    assert front.page.evaluate(get, [url, "Idempotent-Replayed", "POST"]) == [200, "true"]
    for text in ("One", "Two", "Three"):
        send(front.page, text)
    expect(front.messages).to_have_text(["Hello, Alice", "Again", "One", "Two", "Three"])
