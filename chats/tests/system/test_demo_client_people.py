"""The demo client: who takes part, whom one knows, blocking, reports and notifications."""

import re

import pytest
from playwright.sync_api import expect

from chats.tests.support.windows import FROM_API, set_role

pytestmark = pytest.mark.once
# Records what the page shows, which a headless browser does not.
NOTIFICATIONS = """
    window.shown = [];
    window.closings = [];
    window.asked = 0;
    window.Notification = class {
        static permission = "default";
        static requestPermission() {
            window.asked++;
            this.permission = "ANSWER";
            return Promise.resolve(this.permission);
        }
        constructor(title, options) {
            window.shown.push([title, options.body]);
            window.latest = this;
        }
        close() {
            window.closings.push(this);
        }
    };
"""
SHOWN = "() => window.shown"
TOO_WIDE = """() => [...document.querySelectorAll(".sender, dialog, dialog *, #toast")]
    .filter(element => element.scrollWidth > element.clientWidth && element.clientWidth > 1)
    .map(element => element.outerHTML)"""


@pytest.fixture
def carol(demo_server):
    return demo_server.sign_up("Carol")


@pytest.fixture
def conversation_id(alice, bob, carol):
    return alice.start(bob, carol).json()["conversation_id"]


@pytest.fixture
def window(open_browser, alice, conversation_id):
    window = open_browser(alice, polls=False).open(f"/#{conversation_id}")
    expect(window.page.get_by_role("button", name="3 people")).to_be_visible()
    return window


@pytest.fixture
def dialog(window):
    return window.page.get_by_role("dialog").last


class TestPeople:
    def test_names_everybody_and_follows_changes(self, window, dialog, alice, bob, conversation_id):
        window.press("3 people")
        people = dialog.get_by_role("listitem")
        expect(people).to_have_count(3)
        expect(people.filter(has_text="Alice Test")).to_have_text("Alice Test you")
        block = dialog.get_by_role("button", name="Block Carol Test")
        block.focus()
        expect(dialog.get_by_role("button", name=re.compile("^Remove"))).to_have_count(0)
        bob.leave(conversation_id)
        expect(people).to_have_count(2)
        expect(block).to_be_focused()
        window.press("Close")
        expect(window.page.get_by_role("button", name="2 people")).to_be_visible()

    def test_host_removes_somebody(self, demo_server, open_browser, alice, bob, conversation_id):
        set_role(demo_server, alice, "host")
        window = open_browser(alice, polls=False).open(f"/#{conversation_id}")
        window.press("3 people")
        people = window.page.get_by_role("dialog").get_by_role("listitem")
        expect(people.filter(has_text="Alice Test")).to_have_text("Alice Test you, host")
        window.press("Remove Bob Test")
        window.press("Remove")
        expect(people).to_have_count(2)
        assert bob.call("GET", f"/conversations/{conversation_id}/").status_code == 404

    def test_long_names_are_broken(self, window, dialog, bob, conversation_id):
        names = {"first_name": "A" * 150, "last_name": "W" * 150}
        assert bob.call("PATCH", "/users/me/", json=names).ok
        bob.send(conversation_id, "Hello")
        expect(window.page.locator(".sender")).to_be_visible()
        window.page.reload()
        expect(window.page.locator(".sender")).to_have_text(f"{'A' * 150} {'W' * 150}")
        window.press("Options of this conversation")
        window.press("Leave the conversation")
        expect(dialog).to_contain_text("A…\u2069”")
        assert window.page.evaluate(TOO_WIDE) == []
        window.press("Cancel")
        window.press("3 people")
        dialog.get_by_role("button", name=re.compile("^Block A")).click()
        assert window.page.evaluate(TOO_WIDE) == []


class TestPicker:
    def test_starts_a_conversation_with_people_one_knows(self, window, dialog, alice, bob):
        window.press("New conversation")
        choices = dialog.get_by_role("checkbox")
        expect(choices).to_have_count(2)
        window.fill(**{"Name_or_e-mail_address": "bo"})
        expect(choices).to_have_count(1)
        dialog.get_by_label("Bob Test").check()
        expect(choices).to_have_count(2)
        window.fill(**{"Name_or_e-mail_address": "carol"})
        dialog.get_by_label("Carol Test").check()
        expect(dialog.get_by_label("Bob Test")).to_be_checked()
        window.fill(**{"Title_(optional)": "Three"})
        window.press("Start")
        expect(window.page.locator("#people")).to_have_text(
            re.compile("Bob Test, Carol Test, you|Carol Test, Bob Test, you")
        )

    def test_name_that_is_not_chosen_is_refused_at_the_field(self, window, dialog):
        window.press("New conversation")
        for text in ("Bob", ""):
            window.fill(**{"Name_or_e-mail_address": text})
            window.press("Start")
            expect(dialog.locator(".hint").first).to_contain_text("Choose somebody")

    def test_offers_everybody_page_by_page(self, window, dialog, demo_server, alice, bob, carol):
        """A page of which nobody can be chosen is followed by the next one."""
        dora = demo_server.sign_up("Dora")
        alice.start(dora)
        people = {person["user_id"]: person for person in alice.get("/users/")["results"]}
        order = [bob, dora, carol]

        def respond(route):
            n = int(re.search("cursor=(.)|$", route.request.url)[1] or 0)
            following = f"http://example.com/?cursor={n + 1}" if n < 2 else None
            rows = [people[order[n].user_id]]
            page = {"results": rows, "next": following, "previous": None}
            route.fulfill(json=page, headers=FROM_API)

        window.page.route("**/api/users/?*", respond)
        window.press("Options of this conversation")
        window.press("Add people")
        choices = dialog.get_by_role("checkbox")
        expect(choices).to_have_count(1)
        expect(dialog.get_by_label("Dora Test")).to_be_visible()
        window.press("Cancel")
        window.press("New conversation")
        for n in (1, 2):
            expect(choices).to_have_count(n)
            window.press("Show more people")
        expect(dialog.get_by_label("Carol Test")).to_be_focused()
        expect(dialog.get_by_role("button", name="Show more people")).to_be_hidden()

    def test_says_why_it_is_not_complete(self, window, dialog):
        headers = {"Retry-After": "7"}
        window.page.route(
            "**/api/users/?*",
            lambda route: route.fulfill(status=429, headers=headers, json={"detail": "Throttled."}),
        )
        window.press("New conversation")
        expect(dialog.get_by_role("status")).to_contain_text("Try again in 7 seconds.")

    def test_adds_only_people_who_are_not_there(
        self, window, dialog, demo_server, alice, conversation_id
    ):
        dora = demo_server.sign_up("Dora")
        alice.start(dora)
        window.press("Options of this conversation")
        window.press("Add people")
        expect(dialog.get_by_role("checkbox")).to_have_count(1)
        dialog.get_by_label("Dora Test").check()
        window.press("Add")
        expect(window.page.get_by_role("button", name="4 people")).to_be_visible()
        assert dora.get(f"/conversations/{conversation_id}/")["participants"]


class TestSafety:
    def test_person_is_blocked_and_unblocked(self, window, dialog, alice, bob, conversation_id):
        window.press("3 people")
        window.press("Block Bob Test")
        expect(dialog).to_contain_text("cannot start a conversation with you")
        window.press("Block")
        expect(window.page.locator("#toast")).to_contain_text("is blocked.")
        expect(window.page.get_by_role("dialog")).to_have_count(1)
        assert bob.start(alice).status_code == 400
        window.press("Close")
        window.press("Alice Test")
        window.press("Blocked people")
        window.press("Unblock Bob Test")
        expect(dialog).to_contain_text("You have blocked nobody.")
        expect(dialog.get_by_role("button", name="Close")).to_be_focused()
        assert bob.start(alice).status_code == 201

    def test_message_of_another_is_reported(
        self, window, dialog, demo_server, bob, conversation_id
    ):
        window.send("Mine")
        window.expect_all_sent()
        bob.send(conversation_id, "Rude")
        window.expect_messages("Mine", "Rude")
        window.press("Options of this message", 1)
        window.press("Report")
        window.page.get_by_label("What is wrong").fill("It is rude.")
        with window.page.expect_response("**/report/") as response:
            window.press("Report")
        assert response.value.status == 204
        expect(dialog).to_contain_text("Staff will look at the message.")


class TestNotifications:
    @pytest.fixture
    def window(self, open_browser, alice, conversation_id):
        title = {"title": "Garden"}
        assert alice.call("PATCH", f"/conversations/{conversation_id}/", json=title).ok
        browser = open_browser(alice, polls=False)
        browser.context.add_init_script(NOTIFICATIONS.replace("ANSWER", "granted"))
        window = browser.open(f"/#{conversation_id}")
        window.wait_for_stream(alice)
        return window

    def test_show_what_comes_while_no_tab_is_visible(self, window, bob, conversation_id):
        window.press("Notify me")
        bob.send(conversation_id, "Seen")
        window.expect_messages("Seen")
        window.set_hidden(True)
        bob.send(conversation_id, "Hello?")
        window.page.wait_for_function("() => window.shown.length > 0")
        assert window.page.evaluate(SHOWN) == [["Garden", "Bob Test: Hello?"]]
        expect(window.page).to_have_title("(1) Chat")

    def test_are_silent_while_another_tab_is_visible(
        self, window, open_browser, alice, bob, conversation_id
    ):
        window.press("Notify me")
        window.set_hidden(True)
        page = window.page.context.new_page()
        page.goto(window.page.url)
        bob.send(conversation_id, "Hello?")
        expect(page.locator("#messages .text")).to_have_text(["Hello?"])
        expect(window.page.locator("#messages .text")).to_have_text(["Hello?"])
        assert window.page.evaluate(SHOWN) == []

    @pytest.mark.parametrize("end", ["read elsewhere", "left", "signed out"])
    def test_are_closed_when_nothing_is_new_any_more(
        self, window, alice, bob, conversation_id, end
    ):
        window.press("Notify me")
        window.page.evaluate("location.hash = ''")
        window.set_hidden(True)
        sent_at = bob.send(conversation_id, "Hello?").json()["sent_at"]
        window.page.wait_for_function("() => window.latest")
        assert window.page.evaluate("window.closings.length") == 0
        if end == "signed out":
            window.press("Alice Test")
            window.press("Sign out")
        elif end == "left":
            assert alice.call("POST", f"/conversations/{conversation_id}/leave/").ok
        else:
            path = f"/conversations/{conversation_id}/read/"
            assert alice.call("POST", path, json={"read_at": sent_at}).ok
        window.page.wait_for_function("() => window.closings.includes(window.latest)")

    def test_open_their_conversation(self, window, alice, bob, conversation_id):
        window.press("Notify me")
        window.page.evaluate("location.hash = ''")
        window.set_hidden(True)
        bob.send(conversation_id, "Hello?")
        window.page.wait_for_function("() => window.latest")
        window.page.evaluate("() => window.latest.onclick()")
        window.expect_messages("Hello?")

    def test_are_offered_once_and_asked_for_after_a_click(self, window):
        assert window.page.evaluate("window.asked") == 0
        window.press("No, thanks")
        expect(window.page.get_by_role("button", name="Alice Test")).to_be_focused()
        window.page.reload()
        expect(window.page.get_by_role("button", name="3 people")).to_be_visible()
        expect(window.page.get_by_role("button", name="Notify me")).to_have_count(0)
        window.press("Alice Test")
        window.press("Turn notifications on")
        assert window.page.evaluate("window.asked") == 1
        window.press("Alice Test")
        window.press("Turn notifications off")
        window.press("Alice Test")
        expect(window.page.get_by_role("button", name="Turn notifications on")).to_be_visible()

    def test_that_the_browser_refuses_are_explained(self, open_browser, alice):
        browser = open_browser(alice, polls=False)
        browser.context.add_init_script(NOTIFICATIONS.replace("ANSWER", "denied"))
        window = browser.open()
        window.press("Notify me")
        expect(window.page.get_by_role("dialog")).to_contain_text("allow it in its settings")
