"""The demo client follows the stream of events, and polls while there is none."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from chats.tests.support.windows import EVENTS, wait_for_requests

pytestmark = pytest.mark.once
STREAM = "GET /api/events/"
INBOX = "GET /api/conversations/"
# The events that the parser finds in a text, for every place where a chunk can end.
PARSE = """async text => {
    const { Parser } = await import("/stream.js");
    const bytes = new TextEncoder().encode(text);
    return [...bytes.keys()].map(end => {
        const parser = new Parser();
        const chunks = [bytes.slice(0, end), bytes.slice(end)];
        const events = chunks.flatMap(chunk => [...parser.parse(chunk)]);
        return JSON.stringify([events, parser.retry]);
    });
}"""


@pytest.fixture
def conversation_id(alice, bob):
    conversation_id = alice.start(bob).json()["conversation_id"]
    bob.send(conversation_id, "Hello, Alice")
    return conversation_id


def test_every_change_is_shown_at_once(open_browser, alice, bob, conversation_id):
    """Messages, edits, deletions, titles, participants and what was read in another browser."""
    window = open_browser(alice, polls=False).open(f"/#{conversation_id}")
    other = open_browser(alice, polls=False).open()
    window.expect_messages("Hello, Alice")
    expect(other.inbox).not_to_contain_text("unread")
    sent = bob.send(conversation_id, "How are yuo?").json()
    window.expect_messages("Hello, Alice", "How are yuo?")
    path = f"/messages/{sent['message_id']}/"
    bob.call("PATCH", path, json={"message_body": "How are you?"})
    window.expect_messages("Hello, Alice", "How are you?")
    bob.call("DELETE", path)
    window.expect_messages("Hello, Alice", "Message deleted")
    window.send("Fine")
    expect(other.inbox).to_contain_text("You: Fine")
    bob.call("PATCH", f"/conversations/{conversation_id}/", json={"title": "Garden"})
    expect(window.page.get_by_role("heading", name="Garden")).to_be_visible()

    other_id = bob.start(alice).json()["conversation_id"]
    bob.send(other_id, "News")
    for tab in (window, other):
        expect(tab.inbox).to_have_count(2)
        expect(tab.inbox.first).to_contain_text("1 unread")
    other.choose("Bob Test")
    other.expect_messages("News")
    expect(window.inbox.first).not_to_contain_text("unread")
    alice.leave(conversation_id)
    expect(window.alerts).to_have_text("You do not take part in this conversation.")
    for tab in (window, other):
        expect(tab.inbox).to_have_count(1)


def test_message_of_a_conversation_that_one_has_left_is_not_loading(
    open_browser, alice, bob, conversation_id
):
    sent = bob.send(conversation_id, "Found").json()["message_id"]
    alice.leave(conversation_id)
    window = open_browser(alice, polls=False).open(f"/#{conversation_id}/{sent}")
    expect(window.alerts).to_have_text("You do not take part in this conversation.")
    expect(window.page.get_by_text("Loading…")).to_have_count(0)


def test_person_who_is_added_again_goes_on_where_they_were(
    open_browser, alice, bob, conversation_id
):
    window = open_browser(alice, polls=False).open(f"/#{conversation_id}")
    window.expect_messages("Hello, Alice")
    window.fill(Message="Half a tho")
    alice.leave(conversation_id)
    expect(window.alerts).to_have_text("You do not take part in this conversation.")
    bob.add(conversation_id, alice)
    bob.send(conversation_id, "Welcome back")
    window.expect_messages("Hello, Alice", "Welcome back")
    expect(window.alerts).to_have_count(0)
    box = window.page.get_by_label("Message", exact=True)
    expect(box).to_have_value("Half a tho")
    expect(box).to_be_focused()


def test_idle_page_sends_no_request(open_browser, alice, bob, conversation_id):
    """The server's next comment comes after 14 seconds, in which it could poll 70 times."""
    browser = open_browser(alice)
    window = browser.open(f"/#{conversation_id}")
    window.wait_for_stream(alice)
    window.expect_messages("Hello, Alice")
    before = len(browser.requests)
    texts = ["Are you there?", "Alice?", "Good night"]
    for n, text in enumerate(texts, 1):
        bob.send(conversation_id, text)
        window.expect_messages("Hello, Alice", *texts[:n])
    window.wait_for_comment(alice)
    # Each message is requested, with its row of the inbox. They are marked as read.
    path = f"/api/conversations/{conversation_id}/"
    requests = browser.requests[before:]
    assert requests.count(f"GET {path}") == len(texts)
    assert requests.count(f"POST {path}read/") <= len(texts)
    # It can be that the first request of the inbox, or of what is read, is still to come.
    assert len(requests) <= 2 * len(texts) + 2
    assert browser.requests.count(STREAM) == 1


def test_busy_conversation_is_marked_as_read_by_one_request_at_a_time(
    open_browser, alice, bob, conversation_id
):
    """Writes are limited. Meanwhile nothing counts as unread."""
    browser = open_browser(alice, polls=False)
    window = browser.open()
    window.wait_for_stream(alice)
    held = []

    def hold(route):
        held.append(route)

    window.page.route("**/read/", hold, times=1)
    window.choose("Bob Test")
    texts = ["Are you there?", "Alice?", "Good night"]
    for n, text in enumerate(texts, 1):
        bob.send(conversation_id, text)
        window.expect_messages("Hello, Alice", *texts[:n])
        expect(window.inbox).to_contain_text(text)
        expect(window.inbox).not_to_contain_text("unread")
    assert browser.requests.count(f"POST /api/conversations/{conversation_id}/read/") == 1
    with window.page.expect_response("**/read/"):
        held[0].continue_()
    with window.page.expect_response("**/read/"):
        pass
    [row] = alice.get("/conversations/")["results"]
    assert (row["last_message"]["message_body"], row["unread_count"]) == ("Good night", 0)


def test_event_during_a_request_is_not_lost(demo_server, open_browser, alice, bob, conversation_id):
    """The conversation is requested again after a response that was already out of date."""
    browser = open_browser(alice, polls=False)
    window, other = browser.open(f"/#{conversation_id}"), browser.open()
    for tab in (window, other):
        tab.wait_for_stream(alice)
    window.expect_messages("Hello, Alice")
    # It marks nothing as read, which would be another event.
    window.set_hidden(True)
    held, before = [], len(demo_server.get_requests())
    path = f"/api/conversations/{conversation_id}/"
    window.page.route(f"**{path}?*", lambda route: held.append((route, route.fetch())), times=1)
    bob.send(conversation_id, "One")
    expect(other.inbox).to_contain_text("One")
    wait_for_requests(demo_server, before, 1, path=path)
    bob.send(conversation_id, "Two")
    # Both tabs have heard of it.
    expect(other.inbox).to_contain_text("Two")
    [(route, response)] = held
    route.fulfill(response=response)
    window.expect_messages("Hello, Alice", "One", "Two")
    expect(window.inbox).to_contain_text("Two")


def test_tabs_share_a_stream_and_another_one_takes_over(open_browser, alice, bob, conversation_id):
    browser = open_browser(alice, polls=False)
    tabs = [browser.open(f"/#{conversation_id}") for _ in range(3)]
    for tab in tabs:
        tab.wait_for_stream(alice)
    written = ["Hello, Alice"]
    while tabs:
        written.append(f"{len(tabs)} tabs")
        bob.send(conversation_id, written[-1])
        for tab in tabs:
            tab.expect_messages(*written)
        assert browser.requests.count(STREAM) == 4 - len(tabs)
        tabs.pop(0).page.close()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_nothing_is_missed_while_the_server_is_away(
    demo_server, open_browser, alice, bob, conversation_id, end
):
    """In the tab that reads the stream, and in another one. Both poll meanwhile."""
    browser = open_browser(alice)
    tabs = [browser.open(f"/#{conversation_id}") for _ in range(2)]
    for tab in tabs:
        tab.wait_for_stream(alice)
    getattr(demo_server, end)()
    for tab in tabs:
        expect(tab.page.get_by_text("There is no connection")).to_be_visible()
    demo_server.start(workers=1)
    bob.send(conversation_id, "Back again")
    for tab in tabs:
        tab.expect_messages("Hello, Alice", "Back again")
        tab.wait_for_stream(alice)
    bob.send(conversation_id, "At once")
    for tab in tabs:
        tab.expect_messages("Hello, Alice", "Back again", "At once")


def test_server_without_streams_is_polled(open_browser, alice, bob, conversation_id):
    """It is asked for a stream once."""
    browser = open_browser(alice, streams=False)
    window = browser.open(f"/#{conversation_id}")
    for body in ("Hello", "Again"):
        bob.send(conversation_id, body)
        expect(window.messages.last).to_have_text(body)
        # What waits for another try does not wait any longer.
        window.set_hidden(False)
    assert browser.requests.count(STREAM) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 429, "headers": {"Retry-After": "1"}, "json": {"detail": "Too many."}},
        {"status": 502, "body": "<p>Bad gateway</p>"},
        {"status": 200, "body": "<p>Please sign in</p>"},
    ],
)
def test_page_polls_until_there_is_a_stream(open_browser, alice, bob, conversation_id, refusal):
    """The person is not told, because other requests succeed."""
    browser = open_browser(alice)
    browser.context.route(EVENTS, lambda route: route.fulfill(**refusal))
    is_refusal = lambda response: f"GET {urlsplit(response.url).path}" == STREAM  # noqa: E731
    with browser.context.expect_event("response", is_refusal):
        window = browser.open(f"/#{conversation_id}")
    bob.send(conversation_id, "Polled")
    window.expect_messages("Hello, Alice", "Polled")
    expect(window.page.get_by_text("There is no connection")).to_have_count(0)
    browser.context.unroute(EVENTS)
    window.wait_for_stream(alice)


def test_stream_that_a_proxy_holds_back_is_opened_again(open_browser, alice, bob, conversation_id):
    """After half a minute. Meanwhile the page polls."""
    browser = open_browser(alice)
    browser.context.route(EVENTS, lambda route: None)
    is_stream = lambda request: f"GET {urlsplit(request.url).path}" == STREAM  # noqa: E731
    with browser.context.expect_event("request", is_stream):
        window = browser.open(f"/#{conversation_id}", has_clock=True)
    bob.send(conversation_id, "Polled")
    window.expect_messages("Hello, Alice", "Polled")
    browser.context.unroute(EVENTS)
    with window.page.expect_request(EVENTS):
        window.page.clock.fast_forward("00:31")
    window.wait_for_stream(alice)


def test_tab_polls_while_the_one_that_reads_the_stream_is_silent(
    open_browser, alice, conversation_id
):
    browser = open_browser(alice)
    browser.open().wait_for_stream(alice)
    other = browser.open(has_clock=True)
    other.wait_for_stream(alice)
    for _ in range(10):
        with other.page.expect_request("**/api/conversations/?*"):
            other.page.clock.fast_forward("00:31")


def test_tab_polls_when_a_hidden_one_has_lost_the_stream(open_browser, alice, bob, conversation_id):
    """The timers of the hidden one, which would open the stream again, are late."""
    browser = open_browser(alice)
    hidden = browser.open()
    hidden.wait_for_stream(alice)
    window = browser.open(f"/#{conversation_id}")
    window.wait_for_stream(alice)
    hidden.set_hidden(True)
    hidden.page.evaluate("() => { window.setTimeout = () => 0; }")
    hidden.page.evaluate("dispatchEvent(new Event('offline'))")
    bob.send(conversation_id, "Are you there?")
    window.expect_messages("Hello, Alice", "Are you there?")


def test_stream_is_opened_again_after_a_sleep(open_browser, alice, bob, conversation_id):
    """The clock has moved, and timers have not."""
    window = open_browser(alice, polls=False).open(has_clock=True)
    window.wait_for_stream(alice)
    window.page.clock.set_system_time(datetime.now(UTC) + timedelta(hours=1))
    with window.page.expect_request(EVENTS):
        window.set_hidden(False)
    bob.send(conversation_id, "Good morning")
    expect(window.inbox).to_contain_text("Good morning")


def test_hidden_page_counts_unread_conversations(open_browser, alice, bob, conversation_id):
    window = open_browser(alice, polls=False).open()
    expect(window.page).to_have_title("(1) Chat")
    window.wait_for_stream(alice)
    window.set_hidden(True)
    other_id = bob.start(alice).json()["conversation_id"]
    bob.send(other_id, "Are you there?")
    expect(window.page).to_have_title("(2) Chat")


def test_stream_begins_with_a_new_access_token_and_ends_at_sign_out(
    demo_server, open_browser, alice, bob, conversation_id
):
    browser = open_browser(alice, polls=False)
    window = browser.open(f"/#{conversation_id}")
    window.expire_access_token()
    window.page.reload()
    window.wait_for_stream(alice)
    bob.send(conversation_id, "Renewed")
    window.expect_messages("Hello, Alice", "Renewed")
    before = len(demo_server.get_requests())
    window.press("Alice Test")
    window.press("Sign out")
    # A stream's line is written when it has ended.
    wait_for_requests(demo_server, before, 1, path="/api/events/", status=200)


def test_parser_takes_any_chunks_and_line_ends(open_browser):
    text = (
        "\ufeff: comment\n\nevent: one\ndata: {}\n\n"
        "event:two\r\ndata: Zoë 🌳\u2028\r\ndata:  more\r\nid: 1\r\n\r\n"
        "retry: 1500\rretry: soon\rdata\r\revent: none\r\r"
        "\n:\n\nevent: incomplete\ndata: {}\n"
    )
    expected = [
        {"event": "one", "data": "{}"},
        {"event": "two", "data": "Zoë 🌳\u2028\n more"},
        {"event": "message", "data": ""},
    ]
    results = open_browser().open().page.evaluate(PARSE, text)
    assert len(results) == len(text.encode())
    assert [json.loads(result) for result in set(results)] == [[expected, 1500]]
