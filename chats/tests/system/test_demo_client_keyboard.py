"""The demo client by keyboard, and for screen readers."""

import re

import pytest
from playwright.sync_api import expect

from chats.tests.support.windows import FROM_API

pytestmark = pytest.mark.once
MAC = "Object.defineProperty(navigator, 'platform', { value: 'MacIntel' })"


@pytest.fixture(scope="module")
def alice(demo_server):
    return demo_server.sign_up("Alice")


@pytest.fixture(scope="module")
def bob(demo_server):
    return demo_server.sign_up("Bob")


@pytest.fixture(scope="module")
def conversation_id(alice, bob):
    """The last of three: each has one message of Bob's, two of Alice's, and one more of his."""
    for title in ("Garden", "Lake", "Hill"):
        conversation_id = alice.start(bob).json()["conversation_id"]
        alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": title})
        bob.send(conversation_id, f"The {title}")
        alice.send(conversation_id, "First of mine")
        alice.send(conversation_id, "See https://example.com/ and https://example.org/")
        bob.send(conversation_id, "Last")
    return conversation_id


@pytest.fixture
def browser(open_browser, alice):
    return open_browser(alice, polls=False)


@pytest.fixture
def window(browser, conversation_id):
    window = browser.open(f"/#{conversation_id}")
    expect(window.messages).to_have_count(4)
    expect(window.inbox).to_have_count(3)
    expect(window.page.locator("#newest")).to_be_hidden()
    return window


@pytest.fixture
def box(window):
    return window.page.get_by_label("Message", exact=True)


@pytest.fixture
def press(window):
    def press(*keys):
        for key in keys:
            window.page.keyboard.press(key)

    return press


def message(window, text):
    return window.page.locator("#messages .message").filter(has_text=text)


def count_tabs(window, target, key="Tab"):
    """How often Tab is pressed until this has the focus."""
    for count in range(1, 100):
        window.page.keyboard.press(key)
        if target.evaluate("element => element === document.activeElement"):
            return count
    raise AssertionError("Tab does not get there.")


class TestTab:
    def test_skip_link_is_first(self, window, box, press):
        window.page.get_by_role("button", name="New conversation").focus()
        press("Shift+Tab")
        expect(window.page.get_by_role("button", name="Skip to the message box")).to_be_focused()
        press("Enter")
        expect(box).to_be_focused()

    def test_few_tabs_lead_to_the_box_from_anywhere(self, window, box, bob, conversation_id):
        window.inbox.last.focus()
        # The people, the conversation's options, a message and its options.
        assert count_tabs(window, box) == 5
        message(window, "First of mine").focus()
        assert count_tabs(window, box) == 2
        # Its two links, too.
        message(window, "See https").focus()
        assert count_tabs(window, box) == 4
        assert count_tabs(window, message(window, "See https"), "Shift+Tab") == 4


class TestMessages:
    def test_arrows_go_from_message_to_message(self, window, box, press):
        press("Shift+Tab", "Shift+Tab")
        expect(message(window, "Last")).to_be_focused()
        expect(message(window, "Last")).to_have_accessible_name(re.compile("Bob Test: Last .*:"))
        press("ArrowDown")
        expect(message(window, "Last")).to_be_focused()
        press("ArrowUp", "ArrowUp")
        expect(message(window, "First of mine")).to_be_focused()
        press("Home")
        expect(message(window, "The Hill")).to_be_focused()
        press("ArrowUp")
        expect(message(window, "The Hill")).to_be_focused()
        press("End")
        expect(message(window, "Last")).to_be_focused()
        press("Escape")
        expect(box).to_be_focused()

    def test_keys_of_a_message(self, window, box, press):
        """Enter opens its menu, `e` edits it, Delete asks whether to delete it."""
        own, others = message(window, "First of mine"), message(window, "Last")
        own.focus()
        press("Enter")
        expect(window.page.get_by_role("button", name="Copy")).to_be_focused()
        press("Escape")
        expect(own).to_be_focused()
        press("e")
        expect(box).to_be_focused()
        expect(box).to_have_value("First of mine")
        press("Escape")
        own.focus()
        press("Delete")
        expect(window.page.get_by_role("dialog")).to_contain_text("Delete the message?")
        press("Escape")
        expect(own).to_be_focused()
        others.focus()
        press("e", "Delete")
        expect(others).to_be_focused()
        expect(box).to_have_value("")
        press("Enter")
        expect(window.page.get_by_role("button", name="Copy")).to_be_focused()

    def test_focus_stays_when_messages_change(self, window, bob, alice):
        """The button of one has it. That message is edited elsewhere, and another one comes in."""
        other_id = alice.start(bob).json()["conversation_id"]
        sent = bob.send(other_id, "Frist").json()["message_id"]
        window.page.goto(f"{window.page.url.split('#')[0]}#{other_id}")
        window.expect_messages("Frist")
        message(window, "Frist").get_by_role("button").focus()
        bob.call("PATCH", f"/messages/{sent}/", json={"message_body": "First"})
        bob.send(other_id, "Second")
        window.expect_messages("First", "Second")
        expect(message(window, "First")).to_be_focused()
        alice.leave(other_id)


class TestFocus:
    def test_is_in_the_box_after_cancelling_an_edit(self, window, box, press):
        press("ArrowUp")
        window.press("Cancel")
        expect(box).to_be_focused()

    def test_is_on_the_row_of_a_conversation_that_was_closed(self, window, press):
        window.page.set_viewport_size({"width": 360, "height": 700})
        window.page.get_by_role("link", name="Back to the inbox").focus()
        press("Enter")
        expect(window.inbox.first).to_be_focused()

    def test_is_in_the_sidebar_after_leaving(self, window, alice, bob):
        alice.start(bob)
        expect(window.inbox).to_have_count(4)
        window.inbox.first.click()
        expect(window.page.get_by_role("heading", name="Bob Test")).to_be_visible()
        window.press("Options of this conversation")
        window.press("Leave the conversation")
        window.press("Leave")
        expect(window.inbox).to_have_count(3)
        expect(window.page.get_by_role("button", name="New conversation")).to_be_focused()

    def test_is_on_the_first_of_the_older_conversations(self, window, alice):
        """After the last page, there is no button any more."""
        [newest, *older] = alice.get("/conversations/")["results"]
        first = {"results": [newest], "next": "http://example.com/?cursor=1"}
        last = {"results": older, "next": None}
        window.page.route(
            "**/conversations/?page*", lambda route: route.fulfill(json=first, headers=FROM_API)
        )
        window.page.route(
            "**/conversations/?cursor*", lambda route: route.fulfill(json=last, headers=FROM_API)
        )
        window.page.reload()
        window.press("Show older conversations")
        expect(window.inbox.nth(1)).to_be_focused()


class TestMenu:
    def test_arrows_go_through_a_menu_and_escape_leaves_it(self, window, press):
        options = window.page.get_by_role("button", name="Options of this conversation")
        items = window.page.locator("#menu button")
        options.focus()
        expect(options).to_have_attribute("aria-expanded", "false")
        press("Enter")
        expect(options).to_have_attribute("aria-expanded", "true")
        expect(items.first).to_be_focused()
        press("ArrowDown")
        expect(items.nth(1)).to_be_focused()
        press("End")
        expect(items.last).to_be_focused()
        press("ArrowDown")
        expect(items.first).to_be_focused()
        press("ArrowUp")
        expect(items.last).to_be_focused()
        press("Home", "Escape")
        expect(window.page.locator("#menu")).to_be_hidden()
        expect(options).to_be_focused()
        expect(options).to_have_attribute("aria-expanded", "false")
        press("Enter", "Tab")
        expect(window.page.locator("#menu")).to_be_hidden()
        expect(message(window, "Last")).to_be_focused()


class TestInbox:
    def test_arrows_go_from_conversation_to_conversation(self, window, press):
        window.page.get_by_role("searchbox").focus()
        count_tabs(window, window.inbox.filter(has_text="Hill"))
        press("ArrowDown", "End")
        expect(window.inbox.last).to_be_focused()
        press("Home", "ArrowDown", "Enter")
        expect(window.page.get_by_role("heading", name="Lake")).to_be_visible()


class TestShortcuts:
    def test_conversations_are_changed_from_the_box(self, window, box, press):
        heading = window.page.locator("#title")
        press("Alt+ArrowUp")
        expect(heading).to_have_text("Hill")
        press("Alt+ArrowDown")
        expect(heading).to_have_text("Lake")
        expect(box).to_be_focused()
        press("Alt+ArrowDown")
        expect(heading).to_have_text("Garden")
        press("Alt+ArrowUp")
        expect(heading).to_have_text("Lake")

    @pytest.mark.parametrize("width", [1280, 360])
    def test_search(self, window, press, width):
        """On a phone it is on another page."""
        window.page.set_viewport_size({"width": width, "height": 700})
        press("Control+k")
        expect(window.page.get_by_role("searchbox")).to_be_focused()

    def test_list_of_shortcuts(self, window, box, press):
        press("Control+/")
        dialog = window.page.get_by_role("dialog", name="Keyboard shortcuts")
        expect(dialog).to_contain_text("Ctrl K")
        press("Escape")
        expect(dialog).to_have_count(0)
        expect(box).to_be_focused()
        window.press("Alice Test")
        window.press("Keyboard shortcuts")
        expect(dialog).to_be_visible()

    def test_single_keys_work_outside_text_only_and_can_be_switched_off(self, window, box, press):
        dialog = window.page.get_by_role("dialog", name="Keyboard shortcuts")
        search = window.page.get_by_role("searchbox")
        last = message(window, "Last")
        window.page.keyboard.type("/n?")
        expect(box).to_have_value("/n?")
        box.fill("")
        last.focus()
        press("/")
        expect(search).to_be_focused()
        window.page.keyboard.type("/n?")
        expect(search).to_have_value("/n?")
        search.fill("")
        last.focus()
        press("n")
        expect(window.page.get_by_role("dialog", name="New conversation")).to_be_visible()
        press("Escape")
        last.focus()
        press("?")
        dialog.get_by_role("checkbox").uncheck()
        # While a dialog is open, no shortcut works.
        press("?", "Control+/", "Escape")
        expect(dialog).to_have_count(0)
        window.page.reload()
        expect(window.messages).to_have_count(4)
        last.focus()
        press("?", "n", "/")
        expect(last).to_be_focused()
        expect(window.page.get_by_role("dialog")).to_have_count(0)
        press("Control+/")
        dialog.get_by_role("checkbox").check()
        press("Escape")
        last.focus()
        press("/")
        expect(search).to_be_focused()

    def test_command_key_of_a_mac(self, browser, conversation_id):
        browser.context.add_init_script(MAC)
        window = browser.open(f"/#{conversation_id}")
        expect(window.messages).to_have_count(4)
        window.page.keyboard.press("Meta+/")
        expect(window.page.get_by_role("dialog")).to_contain_text("⌘ K")


@pytest.mark.parametrize("look", ["light", "dark", "right-to-left"])
def test_axe_finds_nothing(open_browser, alice, bob, look):
    """In links, code, folded messages, the line before the unread, menus and shortcuts."""
    conversation_id = alice.start(bob).json()["conversation_id"]
    alice.send(conversation_id, "`Mine`, https://example.com/ and https://müller.de/")
    bob.send(conversation_id, "```\nx = 1\n``` https://example.com/")
    bob.send(conversation_id, "A line\n" * 60)
    color_scheme = "dark" if look == "dark" else "light"
    browser = open_browser(alice, polls=False, color_scheme=color_scheme)
    window = browser.open(f"/#{conversation_id}")
    expect(window.page.locator(".line")).to_be_visible()
    expect(window.page.get_by_role("button", name="Show more")).to_be_visible()
    window.expect_accessible(look)
    message(window, "Mine").focus()
    window.page.keyboard.press("Enter")
    window.expect_accessible(look)
    window.page.keyboard.press("Escape")
    window.page.keyboard.press("e")
    expect(window.page.locator(".message.edited")).to_be_visible()
    window.expect_accessible(look)
    window.page.keyboard.press("Escape")
    window.page.keyboard.press("Control+/")
    window.expect_accessible(look)
    alice.leave(conversation_id)
