"""The list of conversations in the demo client."""

import pytest
from playwright.sync_api import expect

from chats.tests.support.windows import FRONTEND

pytestmark = pytest.mark.once


@pytest.fixture
def browser(open_browser, alice):
    return open_browser(alice)


@pytest.mark.parametrize(("text", "direction"), [("Hello", "ltr"), ("مرحبا", "rtl")])
def test_preview_has_the_direction_of_the_message(browser, alice, bob, text, direction):
    """Not that of the name before it."""
    bob.call("PATCH", "/users/me/", json={"first_name": "محمد" if direction == "ltr" else "Bob"})
    bob.send(bob.start(alice).json()["conversation_id"], text)
    preview = browser.open().inbox.locator(".preview")
    expect(preview).to_contain_text(text)
    expect(preview).to_have_css("direction", direction)


def start(person, other, title):
    """A conversation in which the other one has written."""
    conversation_id = person.start(other).json()["conversation_id"]
    person.call("PATCH", f"/conversations/{conversation_id}/", json={"title": title})
    other.send(conversation_id, "Hello")
    return conversation_id


class TestBehindTheFirstPage:
    @pytest.fixture
    def window(self, browser, alice, bob):
        """Pages of two conversations, of which two are shown."""
        code = (FRONTEND / "client.js").read_text()
        assert "page_size=50" in code
        code = code.replace("page_size=50", "page_size=2")
        served = {"body": code, "content_type": "text/javascript"}
        browser.context.route("**/client.js", lambda route: route.fulfill(**served))
        for title in ("One", "Two", "Three", "Four", "Five"):
            start(alice, bob, title)
        window = browser.open()
        window.wait_for_stream(alice)
        window.press("Show older conversations")
        expect_titles(window, "Five", "Four", "Three", "Two")
        return window

    def test_conversation_that_was_left_or_read_elsewhere_is_not_shown_as_before(
        self, window, alice
    ):
        expect(window.page).to_have_title("(4) Chat")
        three, two = [row["conversation_id"] for row in alice.everything("/conversations/")][2:4]
        alice.leave(three)
        expect_titles(window, "Five", "Four", "Two", "One")
        alice.call("POST", f"/conversations/{two}/read/", json={"read_at": "2100-01-01T00:00:00Z"})
        expect(window.inbox.nth(2)).not_to_contain_text("unread")
        expect(window.page).to_have_title("(3) Chat")

    def test_none_is_missed_while_offline(self, window, alice, bob):
        """More than a page is new meanwhile."""
        window.page.context.set_offline(True)
        for title in ("Six", "Seven", "Eight"):
            start(alice, bob, title)
        window.page.context.set_offline(False)
        expect_titles(window, "Eight", "Seven", "Six", "Five", "Four", "Three", "Two", "One")


def expect_titles(window, *titles):
    expect(window.inbox.locator(".name")).to_have_text(titles)
