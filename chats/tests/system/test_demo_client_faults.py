"""The demo client when something goes wrong: nothing is lost or doubled, and the person is told."""

import re

import pytest
from playwright.sync_api import expect

from chats.tests.support.servers import PASSWORD, bodies
from chats.tests.support.windows import lose_response, wait_for_requests

pytestmark = pytest.mark.once
REFRESH = "/api/token/refresh/"
# The most messages that were shown at a time.
WATCH = """() => {
    const list = document.querySelector("#messages");
    const count = () => list.querySelectorAll(".text").length;
    window.most = count();
    const look = () => { window.most = Math.max(window.most, count()); };
    new MutationObserver(look).observe(list, { childList: true });
}"""
# This tab reads what other tabs store half a second late.
LAG = """() => {
    const read = Storage.prototype.getItem;
    const before = localStorage.getItem("chat.session");
    let hasLagged = false;
    addEventListener("storage", () => setTimeout(() => { hasLagged = true; }, 500));
    Storage.prototype.getItem = function (key) {
        return key === "chat.session" && !hasLagged ? before : read.call(this, key);
    };
}"""

# The names that were in the inbox from now on.
WATCH_NAMES = """() => {
    window.names = new Set();
    const list = document.querySelector("#inbox");
    const look = () => list.querySelectorAll(".name").forEach(name => names.add(name.textContent));
    new MutationObserver(look).observe(list, { childList: true });
    look();
}"""


@pytest.fixture
def conversation_id(alice, bob):
    conversation_id = alice.start(bob).json()["conversation_id"]
    bob.send(conversation_id, "Hello, Alice")
    return conversation_id


@pytest.fixture(params=[True, False], ids=["streams", "polls"])
def browser(open_browser, alice, request):
    return open_browser(alice, streams=request.param)


@pytest.fixture
def polling_browser(open_browser, alice):
    return open_browser(alice, streams=False)


@pytest.fixture
def window(browser, conversation_id):
    """Alice looks at her conversation with Bob."""
    return open_conversation(browser, conversation_id)


def open_conversation(browser, conversation_id):
    window = browser.open(f"/#{conversation_id}")
    window.expect_messages("Hello, Alice")
    return window


def read_bodies(person, conversation_id):
    """Oldest first."""
    path = f"/conversations/{conversation_id}/messages/"
    return bodies(person.everything(path, ordering="sent_at"))


def test_idle_polls_are_304_and_hidden_page_does_not_poll(
    demo_server, open_browser, other_origin, alice, bob, conversation_id
):
    """From another origin, whose pages may send and read an ETag."""
    window = open_browser(alice, other_origin, streams=False).open(f"/#{conversation_id}")
    window.expect_messages("Hello, Alice")
    path = f"/api/conversations/{conversation_id}/"
    wait_for_requests(demo_server, 0, 1, path=f"{path}read/", method="POST", status=200)
    polls = [{"path": "/api/conversations/"}, {"path": path}]
    before = len(demo_server.get_requests())
    for poll in polls:
        # The first one may have begun before the message was marked as read.
        wait_for_requests(demo_server, before, 2, **poll, status=304)
    before = len(demo_server.get_requests())
    for poll in polls:
        wait_for_requests(demo_server, before, 5, **poll)
    assert {line["status"] for line in demo_server.get_requests()[before:]} == {304}

    window.set_hidden(True)
    window.send("One request")
    window.expect_all_sent()
    before = len(demo_server.get_requests())
    news = [f"No. {n}" for n in range(10)]
    for body in news:
        bob.send(conversation_id, body)
    sends = {"path": f"{path}messages/", "method": "POST"}
    wait_for_requests(demo_server, before, len(news), **sends)
    # One poll of each kind may have been on its way.
    assert len(demo_server.get_requests()[before:]) <= len(news) + len(polls)
    window.set_hidden(False)
    window.expect_messages("Hello, Alice", "One request", *news)


def test_message_whose_response_was_lost_is_sent_once(demo_server, window, conversation_id, bob):
    window.page.evaluate(WATCH)
    lose_response(window.page, "/messages/")
    before = len(demo_server.get_requests())
    window.send("Once")
    window.expect_all_sent()
    window.expect_messages("Hello, Alice", "Once")
    sends = wait_for_requests(
        demo_server,
        before,
        2,
        method="POST",
        path=f"/api/conversations/{conversation_id}/messages/",
    )
    assert window.page.evaluate("window.lost") == [201]
    assert [line["status"] for line in sends] == [201, 200]
    assert window.page.evaluate("window.most") == 2
    assert read_bodies(bob, conversation_id) == ["Hello, Alice", "Once"]


def test_no_message_is_missed_while_offline(window, bob, conversation_id):
    """More than a page is written meanwhile, and Alice writes too."""
    window.page.context.set_offline(True)
    expect(window.page.get_by_text("There is no connection")).to_be_visible()
    window.send("Written offline", "And this")
    expect(window.page.get_by_text("Sending…")).to_have_count(2)
    written = [f"No. {n}" for n in range(103)]
    for body in written:
        bob.send(conversation_id, body)
    window.page.context.set_offline(False)
    expect(window.messages).to_have_count(106)
    expected = ["Hello, Alice", *written, "Written offline", "And this"]
    window.expect_messages(*expected)
    window.expect_all_sent()
    expect(window.page.get_by_text("There is no connection")).to_have_count(0)
    assert read_bodies(bob, conversation_id) == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, '{"error": "blocked"}'),
        (403, "null"),
        (403, "<p>Please sign in</p>"),
        (200, '{"status": "blocked"}'),
    ],
)
def test_response_of_a_proxy_counts_as_no_connection(
    polling_browser, bob, conversation_id, status, body
):
    window = open_conversation(polling_browser, conversation_id)
    pattern = "**/api/**"
    window.page.context.route(pattern, lambda route: route.fulfill(status=status, body=body))
    expect(window.page.get_by_text("There is no connection")).to_be_visible()
    window.page.context.unroute(pattern)
    bob.send(conversation_id, "Hello again")
    window.expect_messages("Hello, Alice", "Hello again")


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (
            {"status": 429, "headers": {"Retry-After": "50"}, "json": {"detail": "Throttled."}},
            "Sending… That was too often. Trying again.",
        ),
        (
            {"status": 500, "json": {"detail": "Server error."}},
            "Sending… Server error. Trying again.",
        ),
        (
            {"status": 413, "body": "<p>Too large</p>"},
            "Not sent. The server takes nothing as large as this.",
        ),
    ],
    ids=["too often", "error", "too large"],
)
def test_message_says_why_it_is_not_sent(polling_browser, conversation_id, refusal, state):
    window = open_conversation(polling_browser, conversation_id)
    pattern = "**/messages/"
    window.page.route(pattern, lambda route: route.fulfill(**refusal))
    window.send("Well?")
    expect(window.page.get_by_text(state)).to_be_visible()
    window.page.unroute(pattern)
    if refusal["status"] == 413:
        window.press("Try again")
    else:
        window.set_hidden(False)  # which ends all waiting
    window.expect_all_sent()
    window.expect_messages("Hello, Alice", "Well?")


def test_error_of_the_server_is_told(polling_browser, conversation_id):
    error = {"status": 500, "json": {"detail": "Server error."}}
    polling_browser.context.route("**/api/conversations/**", lambda route: route.fulfill(**error))
    window = polling_browser.open(f"/#{conversation_id}")
    banner = window.page.get_by_text("Server error. Trying again…")
    expect(banner).to_be_visible()
    polling_browser.context.unroute("**/api/conversations/**")
    window.set_hidden(False)
    window.expect_messages("Hello, Alice")
    expect(banner).to_have_count(0)


def test_unsent_messages_survive_a_reload_and_do_not_block_other_conversations(
    window, alice, bob, conversation_id
):
    other_id = alice.start(bob).json()["conversation_id"]
    pattern = f"**/{conversation_id}/messages/"
    window.page.context.route(pattern, lambda route: route.abort())
    window.send("First", "Second")
    window.page.goto(f"{window.page.url.split('#')[0]}#{other_id}")
    expect(window.messages).to_have_count(0)
    window.send("Meanwhile")
    window.expect_messages("Meanwhile")
    window.expect_all_sent()
    window.page.reload()
    window.page.context.unroute(pattern)
    window.page.goto(f"{window.page.url.split('#')[0]}#{conversation_id}")
    window.expect_messages("Hello, Alice", "First", "Second")
    window.expect_all_sent()
    assert read_bodies(bob, conversation_id) == ["Hello, Alice", "First", "Second"]


def test_message_is_sent_after_a_restart_of_the_server(demo_server, window, bob, conversation_id):
    demo_server.kill()
    expect(window.page.get_by_text("There is no connection")).to_be_visible()
    window.send("Are you back?")
    demo_server.start(workers=1)
    window.expect_all_sent()
    window.expect_messages("Hello, Alice", "Are you back?")
    assert read_bodies(bob, conversation_id) == ["Hello, Alice", "Are you back?"]


def test_tabs_share_a_session_through_refreshes(demo_server, browser, window, bob, conversation_id):
    """Also when the response to a refresh is lost. Signing out ends it in all of them."""
    other = browser.open(f"/#{conversation_id}")
    other.expect_messages("Hello, Alice")
    before = len(demo_server.get_requests())
    window.expire_access_token()
    bob.send(conversation_id, "Refreshed")
    for tab in (window, other):
        expect(tab.messages.last).to_have_text("Refreshed")
    # Two, if the other tab did not see the new tokens in time. The API repeats its response.
    refreshes = wait_for_requests(demo_server, before, 1, path=REFRESH)
    assert [line["status"] for line in refreshes] in ([200], [200, 200])

    for tab in (window, other):
        lose_response(tab.page, "/token/refresh/")
    window.expire_access_token()
    bob.send(conversation_id, "Refreshed again")
    for tab in (window, other):
        expect(tab.messages.last).to_have_text("Refreshed again")
    assert [200] in [tab.page.evaluate("window.lost") for tab in (window, other)]
    window.press("Alice Test")
    window.press("Sign out")
    for tab in (window, other):
        expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
        tab.page.bring_to_front()
        expect(tab.page.get_by_label("E-mail address").filter(visible=True)).to_be_focused()


def test_session_outlives_a_password_change_that_another_tab_reads_late(polling_browser):
    window, other = polling_browser.open(), polling_browser.open()
    other.page.evaluate(LAG)
    window.press("Alice Test")
    window.press("Change password")
    window.page.get_by_label("Current password").fill(PASSWORD)
    window.page.get_by_label("New password").fill("moor under the tide")
    with other.page.expect_response(lambda response: response.status == 401):
        window.press("Change")
    with other.page.expect_response(lambda response: response.status in {200, 304}):
        pass
    for tab in (window, other):
        expect(tab.page.get_by_role("button", name="Alice Test")).to_be_visible()


def test_unsent_message_waits_for_the_same_user(window, alice, bob, conversation_id):
    """Alice's session ends. Bob signs in and does not send her text; Alice does."""
    window.page.context.set_offline(True)
    window.send("Mine")
    alice.call(
        "POST",
        "/users/set_password/",
        json={"current_password": PASSWORD, "new_password": "moor under the tide"},
    )
    window.page.context.set_offline(False)
    expect(window.alerts).to_contain_text("The password of your account was changed.")
    window.sign_in(bob.email, PASSWORD)
    window.expect_messages("Hello, Alice")
    window.press("Bob Test")
    window.press("Sign out")
    window.sign_in(alice.email, "moor under the tide")
    window.choose("Bob Test")
    window.expect_messages("Hello, Alice", "Mine")
    window.expect_all_sent()
    senders = bob.get(f"/conversations/{conversation_id}/messages/")["results"]
    assert [row["sender"]["first_name"] for row in senders] == ["Alice", "Bob"]


@pytest.mark.parametrize("late", ["older rows", "row"])
def test_response_for_somebody_who_has_signed_out_is_not_shown(
    demo_server, open_browser, alice, bob, conversation_id, late
):
    """In a second tab somebody else has signed in meanwhile."""
    carol = demo_server.sign_up("Carol")
    alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": "Secret"})
    alice.start(bob)
    browser = open_browser(alice, polls=False)
    first_page = "**/conversations/?page_size=50"

    def shorten(route):
        route.fulfill(response=route.fetch(url=route.request.url.replace("=50", "=1")))

    browser.context.route(first_page, shorten)
    window, other = browser.open(), browser.open()
    for tab in (window, other):
        expect(tab.inbox).to_have_text([re.compile("Bob Test")])
    held = []
    older, row = "**/conversations/?cursor=*", "**/?updated_at_after=9999*"
    pattern = older if late == "older rows" else row
    with window.page.expect_request(pattern) as request:
        window.page.route(pattern, lambda route: held.append((route, route.fetch())), times=1)
        if late == "older rows":
            window.press("Show older conversations")
        else:
            window.page.evaluate("id => { location.hash = id; }", conversation_id)
    browser.context.unroute(first_page)
    other.press("Alice Test")
    other.press("Sign out")
    other.sign_in(carol.email, PASSWORD)
    expect(window.page.get_by_role("button", name="Carol Test")).to_be_visible()
    window.page.evaluate(WATCH_NAMES)
    [(route, response)] = held
    with window.page.expect_event("requestfinished", lambda done: done == request.value):
        route.fulfill(response=response)
    carol.start(bob)
    expect(window.inbox).to_have_text([re.compile("Bob Test")])
    assert window.page.evaluate("[...names]") == ["Bob Test"]


def test_removed_participant_is_told_and_keeps_the_text(window, alice, bob, conversation_id):
    window.page.context.set_offline(True)
    window.send("Too late")
    alice.leave(conversation_id)
    window.page.context.set_offline(False)
    expect(window.alerts).to_have_text("You do not take part in this conversation.")
    expect(
        window.page.get_by_text("Not sent. You do not have access to this any more.")
    ).to_be_visible()
    expect(window.page.get_by_text("Too late")).to_be_visible()
    expect(window.inbox).to_have_count(0)
    expect(window.page.locator("#title")).to_be_focused()
    expect(window.page.get_by_role("button", name="Edit")).to_have_count(0)
    window.press("Options of this message")
    expect(window.page.locator("#menu button")).to_have_text(["Copy"])
    window.page.keyboard.press("Escape")
    window.press("Discard")
    window.expect_messages("Hello, Alice")
    assert read_bodies(bob, conversation_id) == ["Hello, Alice"]


def test_erased_user_is_told(window, alice):
    alice.call("DELETE", "/users/me/", json={"current_password": PASSWORD})
    expect(window.alerts).to_contain_text(
        "You were signed out: Your account is not active any more."
    )
