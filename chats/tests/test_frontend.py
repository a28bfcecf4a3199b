"""A front end on another origin, in a real browser, with the code that the README shows."""

import re
import time
from pathlib import Path
from types import SimpleNamespace

import jwt
import pytest
from django.conf import settings
from playwright.sync_api import expect

from chats.tests.servers import PASSWORD

POLL_MS = 100
pytestmark = pytest.mark.once


@pytest.fixture
def page(server, chromium, front_end):
    """On another origin than the API."""
    readme = (settings.BASE_DIR / "README.md").read_text()
    [code] = re.findall(r"^```js\n(.*?)```", readme, re.DOTALL | re.MULTILINE)
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
    page.get_by_label("E-mail").fill(alice.email)
    page.get_by_label("Password").fill("not her password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text(
        "No active account found with the given credentials"
    )
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Alice, Bob: Hello, Alice").click()
    expect(page.get_by_role("listitem")).to_have_text(["Hello, Alice"])
    return SimpleNamespace(
        page=page,
        alice=alice,
        bob=bob,
        conversation_id=conversation_id,
        path=f"/api/conversations/{conversation_id}/messages/",
    )


def send(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def wait_for(server, method, path, status, count=1):
    """Until the server has answered so many of such requests from now on."""
    before, deadline = len(server.get_requests()), time.monotonic() + 30
    wanted, found = (method, path, status), []
    while len(found) < count:
        assert time.monotonic() < deadline
        lines = server.get_requests()[before:]
        found = [line for line in lines if (line["method"], line["path"], line["status"]) == wanted]


def test_unchanged_polls_are_304_and_news_is_seen(server, front):
    wait_for(server, "GET", front.path, 304, count=3)
    wait_for(server, "GET", "/api/conversations/", 304, count=3)
    front.bob.send(front.conversation_id, "Are you there?")
    expect(front.page.get_by_role("listitem")).to_have_text(["Hello, Alice", "Are you there?"])
    expect(front.page.get_by_label("Inbox")).to_have_text("Alice, Bob: Are you there?")
    send(front.page, "I am")
    expect(front.page.get_by_role("listitem")).to_have_text(
        ["Hello, Alice", "Are you there?", "I am"]
    )


def test_a_message_whose_answer_was_lost_is_there_once(server, front):
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
    expect(front.page.get_by_role("listitem")).to_have_text(["Hello, Alice", "Once"])
    front.page.wait_for_function("localStorage.outbox === '[]'")
    sends = [line for line in server.get_requests()[before:] if line["method"] == "POST"]
    assert (lost, [line["status"] for line in sends]) == ([201], [201, 200])


def test_nothing_is_missed_or_doubled_after_a_sleep(front):
    """More than a page is written meanwhile, and Alice writes too."""
    front.page.context.set_offline(True)
    send(front.page, "Written offline")
    bodies = [f"No. {n}" for n in range(103)]
    for body in bodies:
        front.bob.send(front.conversation_id, body)
    front.page.context.set_offline(False)
    messages = front.page.get_by_role("listitem")
    expect(messages).to_have_count(105)
    assert messages.all_text_contents() == ["Hello, Alice", *bodies, "Written offline"]


def test_an_expired_token_is_refreshed(server, front):
    tokens = "JSON.parse(localStorage.tokens)"
    before = front.page.evaluate(tokens)
    claims = jwt.decode(before["access"], options={"verify_signature": False}) | {"exp": 1}
    expired = jwt.encode(claims, settings.SECRET_KEY)
    front.page.evaluate(
        f"access => localStorage.tokens = JSON.stringify({{...{tokens}, access}})", expired
    )
    front.bob.send(front.conversation_id, "Still there?")
    expect(front.page.get_by_role("listitem")).to_have_text(["Hello, Alice", "Still there?"])
    after = front.page.evaluate(tokens)
    assert after["refresh"] != before["refresh"]
    assert after["access"] not in {before["access"], expired}


def test_a_refused_message_says_why(front):
    send(front.page, "   ")
    expect(front.page.get_by_role("alert")).to_have_text(
        "message_body: This field may not be only white space."
    )
    send(front.page, "Something")
    expect(front.page.get_by_role("listitem")).to_have_text(["Hello, Alice", "Something"])


def test_headers_are_read_across_origins(server, front):
    """And a limit is waited out."""
    server.restart(THROTTLE_WRITE="1/s")
    get = """async ([url, name, method]) => {
        const { access } = JSON.parse(localStorage.tokens);
        const headers = { Authorization: `Bearer ${access}`, "Idempotency-Key": "k",
                          "Content-Type": "application/json" };
        const body = method === "POST" ? JSON.stringify({message_body: "Again"}) : undefined;
        let answer;
        for (let n = 0; n < 100 && !answer?.headers.get(name); n++)
            answer = await fetch(url, { method, headers, body });
        return [answer.status, answer.headers.get(name)];
    }"""
    url = f"{server.site}{front.path}"
    status, etag = front.page.evaluate(get, [url, "ETag", "GET"])
    assert (status, len(etag)) == (200, 34)
    assert front.page.evaluate(get, [url, "Retry-After", "POST"]) == [429, "1"]
    assert front.page.evaluate(get, [url, "Idempotent-Replayed", "POST"]) == [200, "true"]
    for text in ("One", "Two", "Three"):
        send(front.page, text)
    expect(front.page.get_by_role("listitem")).to_have_text(
        ["Hello, Alice", "Again", "One", "Two", "Three"]
    )
