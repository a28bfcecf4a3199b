"""People's accounts in the demo client, and the links in their e-mails."""

import json
import re

import pytest
from playwright.sync_api import expect

from chats.tests.support.mail import wait_for_link
from chats.tests.support.servers import PASSWORD
from chats.tests.support.windows import FROM_API, IS_FIREFOX

pytestmark = pytest.mark.once
NEW_PASSWORD = "moor under the tide"
RESET = "Choose a new password"
VERIFY = "Confirm your e-mail address"
CHANGE = "Confirm your new e-mail address"
DEAD = "This link does not work any more"


@pytest.fixture
def window(open_browser):
    """Nobody is signed in."""
    return open_browser(polls=False).open()


@pytest.fixture
def get_link(demo_server):
    return lambda email, subject: wait_for_link(demo_server.mails, email, subject)


@pytest.fixture
def verifying_server(demo_server):
    demo_server.restart(workers=1, EMAIL_VERIFICATION="1")
    yield demo_server
    demo_server.restart(workers=1)


def open_link(window, link):
    window.page.goto("about:blank")
    window.page.goto(link)


def expect_panel(window, title, text=""):
    panel = window.page.get_by_role("region", name=title, exact=True)
    expect(panel).to_contain_text(text)


def ask_for_link(window, email):
    window.page.get_by_label("E-mail address").fill(email)
    window.press("Send the link")
    expect_panel(window, "Check your e-mail")
    words = window.page.locator("#panel").inner_text()
    assert email in words
    return words.replace(email, "")


def open_menu(window, item, name="Alice Test"):
    window.press(name)
    window.press(item)


class TestForgottenPassword:
    def test_is_replaced_by_a_link_once(self, window, alice, get_link):
        asked = []
        window.page.on("request", lambda request: asked.append((request.url, request.headers)))
        window.press("Forgot your password?")
        known = ask_for_link(window, alice.email)
        window.press("Back to signing in")
        window.press("Forgot your password?")
        assert ask_for_link(window, "nobody@example.com") == known

        link = get_link(alice.email, RESET)
        token = re.search("token=(.*)", link)[1]
        open_link(window, link)
        window.fill(New_password="password")
        window.press("Save the password")
        expect(window.page.get_by_text("This password is too common.")).to_be_visible()
        window.fill(New_password=NEW_PASSWORD)
        window.press("Save the password")
        expect_panel(window, "Your password is changed")
        assert token not in window.page.evaluate("location.href + JSON.stringify(history.state)")
        window.page.reload()
        expect_panel(window, "Sign in")
        assert not [url for url, headers in asked if token in f"{url}{headers}"]

        open_link(window, link)
        window.fill(New_password=PASSWORD)
        window.press("Save the password")
        expect_panel(window, DEAD, "It was used before")
        assert ask_for_link(window, alice.email) == known
        open_link(window, get_link(alice.email, RESET))
        window.fill(New_password=PASSWORD)
        window.press("Save the password")
        window.press("Continue")
        window.sign_in(alice.email, PASSWORD)
        expect(window.page.get_by_role("button", name="Alice Test")).to_be_visible()

    def test_ends_the_session_and_keeps_what_was_written(
        self, demo_server, open_browser, window, alice, bob, get_link
    ):
        conversation_id = alice.start(bob).json()["conversation_id"]
        other = open_browser(alice, polls=False).open(f"/#{conversation_id}")
        expect(other.page.get_by_text("The conversation begins here.")).to_be_visible()
        other.page.route("**/messages/", lambda route: route.abort())
        other.send("Unsent")
        other.fill(Message="Half a tho")
        tab = other.page.context.new_page()
        demo_server.request("POST", "/api/users/reset_password/", json={"email": alice.email})
        tab.goto(get_link(alice.email, RESET))
        tab.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
        tab.get_by_role("button", name="Save the password").click()
        expect(other.alerts).to_have_text(
            "You were signed out: The password of your account was changed."
        )
        tab.get_by_role("button", name="Continue").click()
        expect(tab.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        other.page.unroute("**/messages/")
        other.sign_in(alice.email, NEW_PASSWORD)
        other.expect_messages("Unsent")
        other.expect_all_sent()
        expect(other.page.get_by_label("Message", exact=True)).to_have_value("Half a tho")
        [message] = bob.everything(f"/conversations/{conversation_id}/messages/")
        assert message["message_body"] == "Unsent"


class TestAddress:
    def test_is_confirmed_by_a_link_once(self, open_browser, alice, get_link):
        browser = open_browser(alice, polls=False)
        window = browser.open()
        open_menu(window, "E-mail address")
        dialog = window.page.get_by_role("dialog")
        window.press("Send a link")
        expect(dialog).to_contain_text("a link is on its way.")
        link = get_link(alice.email, VERIFY)
        tab = browser.open()
        open_link(tab, link)
        tab.press("Confirm")
        expect_panel(tab, "Thank you")
        tab.press("Continue")
        expect(tab.page.get_by_role("button", name="Alice Test")).to_be_visible()
        open_link(tab, link)
        tab.press("Confirm")
        expect_panel(tab, DEAD)
        tab.press("Back to your conversations")
        expect(tab.page.get_by_role("button", name="Alice Test")).to_be_visible()

    def test_is_changed_by_a_link_to_the_new_one(self, open_browser, alice, get_link):
        """Which is followed on another device."""
        new_email = f"new.{alice.email.lower()}"
        window = open_browser(alice, polls=False).open()
        open_menu(window, "E-mail address")
        window.press("Send the link")
        expect(window.page.get_by_text("Please fill this in.")).to_have_count(2)
        window.fill(**{"New_e-mail_address": new_email}, Current_password="wrong")
        window.press("Send the link")
        expect(window.page.get_by_text("This is not your current password.")).to_be_visible()
        window.fill(Current_password=PASSWORD)
        window.press("Send the link")
        dialog = window.page.get_by_role("dialog", name="Check your e-mail")
        expect(dialog).to_contain_text(new_email)
        expect(dialog).to_contain_text(alice.email.lower())
        window.press("Close")
        other = open_browser(polls=False).open()
        for title in ("Thank you", "Your address was not changed"):
            open_link(other, get_link(new_email, CHANGE))
            other.press("Confirm")
            expect_panel(other, title)
        # Signs in again, with the new address.
        open_menu(window, "Change password")
        window.fill(Current_password=PASSWORD, New_password=NEW_PASSWORD)
        window.press("Change")
        expect(window.page.get_by_role("dialog")).to_have_count(0)
        open_menu(window, "E-mail address")
        expect(window.page.get_by_role("dialog")).to_contain_text(new_email)

    def test_form_opens_when_the_server_is_silent(self, open_browser, alice):
        window = open_browser(alice, polls=False).open()
        window.page.route("**/users/me/", lambda route: None)
        open_menu(window, "E-mail address")
        dialog = window.page.get_by_role("dialog")
        expect(dialog).to_contain_text(alice.email.lower(), timeout=10_000)

    def test_is_confirmed_before_the_first_sign_in(self, verifying_server, window, get_link):
        email = "erin@example.com"
        window.press("Create an account")
        window.fill(First_name="Erin", Last_name="Test", Password=PASSWORD)
        window.fill(**{"E-mail_address": email})
        window.press("Create an account")
        expect_panel(window, VERIFY, email)
        window.press("Back to signing in")
        window.sign_in(email, PASSWORD)
        expect_panel(window, VERIFY, email)
        window.press("Send the link again")
        expect_panel(window, "Check your e-mail", email)
        open_link(window, get_link(email, VERIFY))
        expect_panel(window, "Is this your e-mail address?")
        window.press("Confirm")
        window.press("Continue")
        window.sign_in(email, PASSWORD)
        expect(window.page.get_by_role("button", name="Erin Test")).to_be_visible()


class TestExport:
    def export(self, window):
        open_menu(window, "Export your data")
        window.page.get_by_role("dialog").get_by_role("button", name="Export").click()

    @pytest.mark.skipif(IS_FIREFOX, reason="Playwright is not told what Firefox downloads.")
    def test_is_saved_as_a_file(self, open_browser, alice, bob):
        conversation_id = alice.start(bob).json()["conversation_id"]
        alice.send(conversation_id, "Hello")
        window = open_browser(alice, polls=False).open()
        with window.page.expect_download() as download:
            self.export(window)
        assert re.fullmatch(r"chat-\d{4}-\d\d-\d\d\.ndjson", download.value.suggested_filename)
        rows = [json.loads(line) for line in download.value.path().read_text().splitlines()]
        assert [row["type"] for row in rows] == ["profile", "conversation", "message", "end"]
        expect(window.page.get_by_role("dialog")).to_have_count(0)

    @pytest.mark.parametrize(
        "body",
        ['{"type": "profile"}\n', '{"type": "profile"}\n{"type": "end", "lines": 2}\n', ""],
        ids=["without its end", "without a line", "empty"],
    )
    def test_says_that_the_file_broke_off(self, open_browser, alice, body):
        window = open_browser(alice, polls=False).open()
        window.page.route("**/export/", lambda route: route.fulfill(body=body, headers=FROM_API))
        self.export(window)
        expect(window.alerts).to_have_text("The file broke off before its end. Try again.")


class TestWords:
    def test_of_signing_in(self, window, alice):
        window.press("Sign in")
        expect(window.page.get_by_text("Please fill this in.")).to_have_count(2)
        window.sign_in(alice.email, "wrong")
        expect(window.alerts).to_have_text("The e-mail address or the password is wrong.")

    def test_of_too_many_links(self, window):
        refusal = {"status": 429, "headers": {"Retry-After": "3000"}, "json": {"detail": "No."}}
        window.page.route("**/reset_password/", lambda route: route.fulfill(**refusal))
        window.press("Forgot your password?")
        window.fill(**{"E-mail_address": "alice@example.com"})
        window.press("Send the link")
        expect(window.alerts).to_have_text("That was too often. Try again in 50 minutes.")

    def test_of_an_error_of_another_field(self, window):
        refusal = {"password": ["This is too short."], "other": ["This is wrong."]}
        window.page.route("**/api/token/", lambda route: route.fulfill(status=400, json=refusal))
        window.sign_in("alice@example.com", "x")
        expect(window.page.get_by_text("This is too short.")).to_be_visible()
        expect(window.alerts).to_have_text("This is wrong.")


@pytest.mark.parametrize("look", ["light", "dark", "right-to-left"])
def test_forms_are_accessible(open_browser, alice, bob, look):
    browser = open_browser(polls=False, color_scheme="dark" if look == "dark" else "light")
    window = browser.open()
    window.press("Sign in")
    window.expect_accessible(look)
    window.press("Forgot your password?")
    window.expect_accessible(look)
    for link in ("#reset?uid=x&token=y", "#verify?uid=x&token=y"):
        open_link(window, f"{browser.origin}/{link}")
        window.expect_accessible(look)
    window.press("Confirm")
    expect_panel(window, DEAD)
    window.press("Back to signing in")
    window.sign_in(alice.email, PASSWORD)
    open_menu(window, "E-mail address")
    window.expect_accessible(look)
    window.press("Cancel")
    bob.send(bob.start(alice).json()["conversation_id"], "A rose")
    window.page.get_by_role("searchbox").fill("ROSE")
    window.choose(re.compile("Bob: A rose"))
    expect(window.page.locator(".message.found mark")).to_be_visible()
    window.expect_accessible(look)
