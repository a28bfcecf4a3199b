"""Searching in the demo client, and opening what was found."""

import re

import pytest
from playwright.sync_api import expect

from chats.tests.support.windows import FROM_API

pytestmark = pytest.mark.once
INBOX = "**/conversations/?page_size=50"


@pytest.fixture
def conversation_id(alice, bob):
    conversation_id = alice.start(bob).json()["conversation_id"]
    alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": "Garden"})
    return conversation_id


@pytest.fixture
def browser(open_browser, alice):
    return open_browser(alice, polls=False)


class Results:
    """The search of a window, and what it has found."""

    def __init__(self, window, text):
        self.page = window.page
        self.status = window.page.locator("#found")
        self.box = window.page.get_by_role("searchbox")
        self.messages = window.page.get_by_role("group", name="Messages").get_by_role("link")
        self.found = window.page.locator(".message.found .text")
        self.box.fill(text)

    def expect_found(self, text):
        expect(self.found).to_have_text(text)
        expect(self.found).to_be_in_viewport()


def scroll_to(window, edge):
    window.page.locator("#scroller").evaluate(f"list => list.scrollTop = {edge}")


class TestHit:
    def test_opens_in_a_conversation_that_is_not_open(self, open_browser):
        """With a page before and after it, not all that is newer."""
        browser = open_browser(polls=False)
        window = browser.open("/?as=alice")
        expect(window.inbox).to_have_count(3)
        results = Results(window, "2")
        expect(results.messages).to_have_count(20)
        expect(results.messages.first).to_have_text(re.compile("^Counting to 150.*: 142$"))
        expect(results.messages.first.locator("mark")).to_have_text("2")
        window.press("Show more")
        expect(results.messages).to_have_count(33)
        expect(results.messages.nth(20)).to_be_focused()

        before = len(browser.requests)
        results.messages.last.click()
        results.expect_found("2")
        expect(results.found.locator("mark")).to_have_text("2")
        window.expect_messages(*[str(number) for number in range(1, 28)])
        assert len(browser.requests) - before <= 5

        scroll_to(window, "list.scrollHeight")
        expect(results.found).not_to_be_in_viewport()
        results.messages.last.click()
        results.expect_found("2")

    def test_goes_on_to_the_newest_messages(self, open_browser):
        window = open_browser(polls=False).open("/?as=alice")
        results = Results(window, "20")
        results.messages.last.click()
        results.expect_found("20")
        newest = window.page.get_by_role("button", name="Newest messages")
        expect(newest).to_be_visible()
        scroll_to(window, "list.scrollHeight")
        expect(window.messages.nth(45)).to_be_attached()
        expect(window.messages.filter(has_text=re.compile("^45$"))).to_be_in_viewport()
        last = window.messages.filter(has_text=re.compile("^150$"))
        while not last.count():
            scroll_to(window, "list.scrollHeight")
        scroll_to(window, "list.scrollHeight")
        expect(newest).to_be_hidden()
        expect(window.messages.first).to_have_text("1")
        assert window.messages.all_text_contents() == [str(number + 1) for number in range(150)]

        window.page.reload()
        results.expect_found("20")
        newest.click()
        expect(window.messages.last).to_have_text("150")
        expect(window.messages.last).to_be_in_viewport()
        expect(newest).to_be_hidden()

    def test_is_found_again_by_going_back(self, browser, alice, bob, conversation_id):
        other_id = alice.start(bob).json()["conversation_id"]
        for text in ("Rose 0", *(f"Line {number}" for number in range(80))):
            alice.send(conversation_id, text)
        alice.send(other_id, "Rose 100")
        window = browser.open(f"/#{conversation_id}")
        expect(window.messages).to_have_count(50)
        results = Results(window, "rose")
        expect(results.messages.first).to_contain_text("Bob Test")
        expect(results.messages).to_have_count(2)
        results.messages.last.click()
        results.expect_found("Rose 0")
        results.messages.first.click()
        results.expect_found("Rose 100")
        window.page.go_back()
        results.expect_found("Rose 0")
        window.page.go_back()
        expect(window.messages.last).to_have_text("Line 79")
        expect(results.found).to_have_count(0)
        window.page.go_forward()
        results.expect_found("Rose 0")
        window.send("Tulip")
        expect(window.messages.last).to_have_text("Tulip")
        expect(window.messages.last).to_be_in_viewport()

    def test_is_loading_until_it_is_shown(self, browser, alice, bob, conversation_id):
        """Also after another conversation, whose beginning was in sight."""
        for number in range(60):
            bob.send(conversation_id, f"Line {number}.")
        other_id = alice.start(bob).json()["conversation_id"]
        window = browser.open(f"/#{other_id}")
        beginning = window.page.locator("#beginning")
        expect(beginning).to_have_text("The conversation begins here.")
        held = []
        window.page.route("**/messages/?page_size=50", lambda route: held.append(route))  # noqa: PLW0108
        results = Results(window, "Line 3.")
        with window.page.expect_request("**/messages/?page_size=50"):
            results.messages.click()
        expect(beginning).to_have_text("Loading…")
        held[0].continue_()
        results.expect_found("Line 3.")

    def test_leaves_newer_messages_unread(self, browser, bob, conversation_id):
        for number in range(60):
            bob.send(conversation_id, f"Line {number}.")
        window = browser.open()
        expect(window.inbox.first).to_contain_text("60 unread")
        results = Results(window, "Line 3.")
        results.messages.click()
        results.expect_found("Line 3.")
        bob.send(conversation_id, "News")
        results.box.fill("")
        expect(window.inbox.first).to_contain_text("61 unread")
        expect(window.messages.last).to_have_text("News")
        expect(window.messages.last).not_to_be_in_viewport()

    def test_is_marked_as_text(self, browser, bob, conversation_id):
        bob.send(conversation_id, f"{'word ' * 500}<B>a.c*</B> abc <b>A.C*</b>")
        window = browser.open()
        results = Results(window, "<b>a.c*")
        expect(results.messages).to_have_text(re.compile(r": …(word ){5}<B>a\.c\*</B> abc"))
        results.messages.click()
        marks = results.found.locator("mark")
        expect(marks).to_have_text(["<B>a.c*", "<b>A.C*"])

    def test_names_an_unknown_conversation_with_one_request(self, browser, bob, conversation_id):
        bob.send(conversation_id, "Rose 1")
        bob.send(conversation_id, "Rose 2")
        empty = {"next": None, "previous": None, "results": []}
        browser.context.route(INBOX, lambda route: route.fulfill(json=empty, headers=FROM_API))
        results = Results(browser.open(), "rose")
        expect(results.messages).to_have_text([re.compile("^Garden.*Bob: Rose")] * 2)
        request = f"GET /api/conversations/{conversation_id}/"
        assert browser.requests.count(request) == 1


class TestBox:
    def test_is_left_and_cleared_by_keyboard(self, browser, bob, conversation_id):
        for text in ("Rose 1", "Rose 2"):
            bob.send(conversation_id, text)
        window = browser.open()
        keyboard = window.page.keyboard
        results = Results(window, "rose")
        expect(results.messages).to_have_count(2)
        keyboard.press("ArrowDown")
        expect(results.messages.first).to_be_focused()
        keyboard.press("ArrowDown")
        keyboard.press("ArrowDown")
        expect(results.messages.last).to_be_focused()
        keyboard.press("Enter")
        results.expect_found("Rose 1")
        expect(window.page.locator(".message.found")).to_be_focused()
        results.messages.first.focus()
        keyboard.press("ArrowUp")
        expect(results.box).to_be_focused()
        keyboard.press("ArrowDown")
        keyboard.press("Escape")
        expect(results.box).to_be_focused()
        expect(results.box).to_have_value("")
        expect(results.messages).to_have_count(0)
        expect(window.inbox).to_have_count(1)

    def test_says_what_is_wrong(self, browser, conversation_id):
        window = browser.open()
        results = Results(window, "x" * 101)
        expect(results.status).to_have_text("Search for 100 characters at most.")
        results.box.fill("   ")
        expect(results.status).to_have_text("")
        expect(window.inbox).to_have_count(1)
        assert [request for request in browser.requests if "messages" in request] == []
        results.box.fill("nowhere")
        expect(results.status).to_have_text("Nothing was found.")
        throttled = {"status": 429, "headers": {"Retry-After": "40"}, "json": {"detail": "No."}}
        window.page.route("**/messages/?search=*", lambda route: route.fulfill(**throttled))
        results.box.fill("rose")
        expect(results.status).to_have_text("That was too often. Try again in 40 seconds.")
