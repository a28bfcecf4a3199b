"""The demo client in Chromium, on the API's origin and on another one."""

import re

import pytest
from playwright.sync_api import expect

from chats.management.commands.seed_demo import PASSWORD
from chats.tests.support.windows import IS_FIREFOX

pytestmark = pytest.mark.once
EMPTY = "You have no conversations yet."
cannot_be_set = pytest.mark.skipif(IS_FIREFOX, reason="Playwright cannot set this in Firefox.")


def test_two_people_talk_in_two_tabs(open_browser):
    """Each demo account has a session and a stream of events of its own."""
    browser = open_browser(polls=False)
    alice = browser.open()
    alice.choose("Alice")
    expect(alice.inbox).to_have_count(3)
    expect(alice.page.get_by_text(EMPTY)).to_be_hidden()
    expect(alice.inbox.first).to_contain_text("2 unread")
    alice.choose("Saturday")
    expect(alice.messages.last).to_have_text("Not me, I'm bringing the chairs.")
    expect(alice.inbox.first).not_to_contain_text("unread")

    with alice.page.expect_popup() as popup:
        alice.page.locator("#hint").get_by_role("link", name="Bob").click()
    bob = browser.wrap(popup.value)
    bob.choose(re.compile("^Alice Archer"))
    bob.send("Is it <b>settled</b>?")
    expect(alice.inbox.first).to_contain_text("1 unread")
    alice.choose(re.compile("^Bob Baker.*1 unread"))
    expect(alice.messages.last).to_have_text("Is it <b>settled</b>?")
    bob.send("Well?")
    # Otherwise it is announced when her tab is shown.
    alice.page.bring_to_front()
    expect(alice.page.locator("#live")).to_have_text("Bob Baker: Well?")
    alice.send("No", "Yes")
    expect(bob.messages.last).to_have_text("Yes")

    alice.press("Options of this message", -2)
    alice.press("Edit")
    alice.fill(Message="Not quite")
    alice.press("Save")
    alice.press("Options of this message", -1)
    alice.press("Delete")
    alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expected = ["Is it <b>settled</b>?", "Well?", "Not quite", "Message deleted"]
    for window in (alice, bob):
        expect(window.messages).to_have_count(7)
        expect(window.messages.nth(5)).to_have_text(expected[2])
        expect(window.messages.nth(6)).to_have_text(expected[3])
        assert window.messages.all_text_contents()[3:] == expected
        expect(window.page.get_by_text("· edited")).to_have_count(1)


def test_new_user_registers_starts_a_conversation_and_leaves(
    demo_server, open_browser, other_origin
):
    """Register, start a conversation, name it, add somebody, search, change the profile, leave."""
    window = open_browser(origin=other_origin, polls=False).open()
    window.press("Create an account")
    window.fill(First_name="Dora", Last_name="Dahl", Password="password")
    window.page.get_by_label("E-mail address").filter(visible=True).fill("dora@example.com")
    window.press("Create an account")
    expect(window.page.get_by_text("This password is too common.")).to_be_visible()
    window.fill(Password=PASSWORD)
    window.press("Create an account")
    expect(window.page.get_by_text(EMPTY)).to_be_visible()
    window.press("New conversation")
    window.fill(**{"Name_or_e-mail_address": "nobody@example.com"})
    window.press("Start")
    expect(window.page.get_by_text("Nobody here has the address")).to_be_visible()
    window.fill(**{"Name_or_e-mail_address": "BOB@example.com"})
    window.press("Start")
    expect(window.page.get_by_role("heading", name="Bob Baker")).to_be_visible()
    expect(window.page.get_by_label("Message", exact=True)).to_be_focused()
    window.send("Hello, Bob, and welcome")
    window.expect_messages("Hello, Bob, and welcome")

    window.press("Options of this conversation")
    window.press("Change the title")
    window.fill(Title="Garden")
    window.press("Save")
    expect(window.page.get_by_role("heading", name="Garden")).to_be_visible()
    window.press("Options of this conversation")
    window.press("Add people")
    window.fill(**{"Name_or_e-mail_address": "carol@example.com"})
    window.press("Add")
    expect(window.page.locator("#people")).to_contain_text("Carol Chen")

    window.page.get_by_role("searchbox").fill("WELCOME")
    window.choose(re.compile("^Garden.*You: Hello"))
    expect(window.page.locator(".found .text")).to_have_text("Hello, Bob, and welcome")
    window.page.get_by_role("searchbox").fill("")
    window.press("Dora Dahl")
    window.press("Profile")
    window.fill(First_name="Dorothea")
    window.press("Save")
    expect(window.page.get_by_role("button", name="Dorothea Dahl")).to_be_visible()

    window.press("Options of this conversation")
    window.press("Leave the conversation")
    window.press("Leave")
    expect(window.inbox).to_have_count(0)
    window.press("Dorothea Dahl")
    window.press("Sign out")
    window.sign_in("dora@example.com", "wrong")
    expect(window.alerts).to_have_text("The e-mail address or the password is wrong.")
    window.fill(Password=PASSWORD)
    window.press("Sign in")
    expect(window.page.get_by_role("button", name="Dorothea Dahl")).to_be_visible()


def test_password_is_changed_and_account_deleted(open_browser, alice):
    """The first ends no session of this browser."""
    browser = open_browser(alice)
    window, other = browser.open(), browser.open()
    window.press("Alice Test")
    window.press("Change password")
    window.page.get_by_label("Current password").fill("tide over the moor")
    window.page.get_by_label("New password").fill("moor under the tide")
    window.press("Change")
    expect(window.page.get_by_role("dialog")).to_have_count(0)
    expect(other.page.get_by_role("button", name="Alice Test")).to_be_visible()
    other.press("Alice Test")
    other.press("Delete account")
    other.page.get_by_label("Current password").fill("moor under the tide")
    other.page.get_by_role("dialog").get_by_role("button", name="Delete account").click()
    for tab in (window, other):
        expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_long_conversation_is_scrolled_upwards(open_browser):
    """The visible messages stay in place."""
    window = open_browser().open("/?as=alice")
    window.choose("Counting to 150")
    expect(window.messages.last).to_be_in_viewport()
    window.page.get_by_role("region", name="Messages").focus()
    window.page.keyboard.press("Home")
    expect(window.messages.filter(has_text=re.compile("^101$"))).to_be_in_viewport()
    window.page.keyboard.press("Home")
    expect(window.messages.first).not_to_have_text("101")
    window.page.keyboard.press("Home")
    expect(window.messages).to_have_count(150)
    assert window.messages.all_text_contents() == [str(number + 1) for number in range(150)]


@pytest.mark.parametrize("look", ["light", "dark", "right-to-left"])
def test_demo_client_is_accessible(open_browser, look):
    window = open_browser(color_scheme="dark" if look == "dark" else "light").open()
    page = window.page
    window.expect_accessible(look)
    window.choose("Carol")
    expect(window.inbox.last).to_be_visible()
    window.expect_accessible(look)
    window.choose("Saturday")
    expect(window.messages.first).to_be_visible()
    page.route("**/messages/", lambda route: route.fulfill(status=400, body='{"detail": "No."}'))
    window.send("Refused")
    expect(page.get_by_text("Not sent. No.")).to_be_visible()
    window.press("Options of this message")
    window.expect_accessible(look)
    page.keyboard.press("Escape")
    for button in ("3 people", "New conversation"):
        window.press(button)
        window.expect_accessible(look)
        page.keyboard.press("Escape")


@cannot_be_set
def test_forced_colours_outline_what_is_open_and_found(open_browser):
    window = open_browser(forced_colors="active").open("/?as=alice")
    window.choose("Saturday")
    window.page.get_by_role("searchbox").fill("chairs")
    window.choose(re.compile("^Saturday.*chairs"))
    found = window.page.locator(".message.found")
    window.page.get_by_role("searchbox").fill("")
    for element in (found, window.page.locator("#inbox a[aria-current]")):
        expect(element).to_have_css("outline", re.compile("solid 2px$"))


@cannot_be_set
def test_nothing_moves_for_people_who_asked_for_less_motion(open_browser):
    button = open_browser(reduced_motion="reduce").open().page.get_by_role("button").first
    expect(button).to_have_css("transition-duration", "0s")


def test_openapi_example_signs_in_as_a_demo_account(demo_server):
    document = demo_server.request("GET", "/api/schema/").json()
    body = document["paths"]["/api/token/"]["post"]["requestBody"]["content"]["application/json"]
    assert demo_server.request("POST", "/api/token/", json=body["example"]).status_code == 200
