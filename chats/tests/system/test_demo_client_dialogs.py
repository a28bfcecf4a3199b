"""The demo client when somebody cancels what is under way."""

import pytest
from playwright.sync_api import expect

from chats.tests.support.servers import PASSWORD
from chats.tests.support.windows import IS_FIREFOX, set_role

pytestmark = pytest.mark.once
CANCELLED = "Cancelled, unless the server had done it already."
NEW = {"New_password": "moor under the tide"}
CURRENT = {"Current_password": PASSWORD}
PERSON = "Name_or_e-mail_address"
# The server does what is asked, and no response to it comes back.
HOLD_RESPONSES = """() => {
    const { fetch } = window;
    window.fetch = async (url, options) => {
        if (!options.method) return fetch(url, options);
        await fetch(url, { ...options, signal: undefined });
        window.isDone = true;
        return new Promise((_, reject) => {
            options.signal.addEventListener("abort", () => reject(options.signal.reason));
        });
    };
}"""
# The buttons that lead to the form, its fields, and the button that submits it.
FORMS = {
    "start": (["New conversation"], {PERSON: "BOB"}, "Start"),
    "rename": (["Options of this conversation", "Change the title"], {"Title": "Lake"}, "Save"),
    "add": (["Options of this conversation", "Add people"], {PERSON: "CAROL"}, "Add"),
    "leave": (["Options of this conversation", "Leave the conversation"], {}, "Leave"),
    "remove": (["2 people", "Remove Bob Test"], {}, "Remove"),
    "block": (["2 people", "Block Bob Test"], {}, "Block"),
    "report": (["Theirs", "Report"], {}, "Report"),
    "delete": (["Mine", "Delete"], {}, "Delete"),
    "edit": (["Mine", "Edit"], {"Message": "Changed"}, "Save"),
    "profile": (["Alice Test", "Profile"], {"First_name": "Alicia"}, "Save"),
    "address": (
        ["Alice Test", "E-mail address"],
        {"New_e-mail_address": "new@example.com", **CURRENT},
        "Send the link",
    ),
    "password": (["Alice Test", "Change password"], {**CURRENT, **NEW}, "Change"),
    "account": (["Alice Test", "Delete account"], CURRENT, "Delete account"),
}


@pytest.fixture(scope="module")
def alice(demo_server):
    alice = demo_server.sign_up("Alice")
    set_role(demo_server, alice, "host")
    return alice


@pytest.fixture(scope="module")
def bob(demo_server):
    return demo_server.sign_up("Bob")


@pytest.fixture(scope="module")
def carol(demo_server):
    return demo_server.sign_up("Carol")


@pytest.fixture(scope="module")
def conversation_id(alice, bob):
    body = {"participants": [bob.user_id], "distinct": True}
    conversation_id = alice.call("POST", "/conversations/", json=body).json()["conversation_id"]
    bob.send(conversation_id, "Theirs")
    alice.send(conversation_id, "Mine")
    return conversation_id


@pytest.fixture
def browser(open_browser, alice):
    return open_browser(alice, polls=False)


@pytest.fixture
def window(browser, alice, conversation_id):
    window = browser.open(f"/#{conversation_id}", has_clock=True)
    expect(window.messages.first).to_have_text("Theirs")
    window.wait_for_stream(alice)
    return window


@pytest.fixture
def toast(window):
    return window.page.locator("#toast")


@pytest.fixture
def submit(window, bob, carol):
    """Submit one of the FORMS."""

    def submit(name):
        buttons, fields, button = FORMS[name]
        for label in buttons:
            if label in {"Theirs", "Mine"}:
                window.press("Options of this message", ["Theirs", "Mine"].index(label))
            else:
                window.press(label)
        emails = {"BOB": bob.email, "CAROL": carol.email}
        window.fill(**{label: emails.get(value, value) for label, value in fields.items()})
        window.press(button, -1)

    return submit


def hold_writes(window, do=lambda route: None):
    """No response to a write comes back. Returns their URLs."""
    held = []

    def hold(route):
        if route.request.method == "GET":
            route.fallback()
        else:
            do(route)
            held.append(route.request.url)

    window.page.route("**/api/**", hold)
    return held


@pytest.mark.parametrize("name", FORMS)
def test_cancel_ends_the_request(window, toast, submit, name):
    held = hold_writes(window)
    with window.page.expect_request(lambda request: request.method != "GET"):
        submit(name)
    window.press("Cancel", -1)
    expect(toast).to_have_text(CANCELLED)
    assert len(held) == 1


def test_cancel_ends_repeating_the_request(window, toast, submit, browser):
    with window.page.expect_request(lambda request: request.method != "GET"):
        hold_writes(window, lambda route: route.abort())
        submit("rename")
    window.press("Cancel")
    expect(toast).to_have_text(CANCELLED)
    window.page.unroute("**/api/**")
    before = len(browser.requests)
    window.page.clock.fast_forward(60_000)
    window.send("Afterwards")
    window.expect_all_sent()
    assert [request for request in browser.requests[before:] if request.startswith("PATCH")] == []


@pytest.mark.parametrize(
    ("name", "shown"), [("rename", "#title >> text=Lake"), ("profile", "#account >> text=Alicia")]
)
def test_what_the_server_had_done_is_shown(
    window, toast, submit, alice, conversation_id, name, shown
):
    window.page.evaluate(HOLD_RESPONSES)
    submit(name)
    window.page.wait_for_function("() => window.isDone")
    window.press("Cancel")
    expect(toast).to_have_text(CANCELLED)
    expect(window.page.locator(shown)).to_be_visible()
    assert alice.call("PATCH", "/users/me/", json={"first_name": "Alice"}).ok
    assert alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": ""}).ok


@pytest.mark.skipif(IS_FIREFOX, reason="Playwright is not told the bodies of Firefox's requests.")
def test_title_that_is_changed_after_a_lost_response_is_kept(window, bob):
    def lose(route):
        route.fetch()
        route.fulfill(status=429, headers={"Retry-After": "30"}, json={"detail": "Throttled."})

    window.page.route("**/api/conversations/", lose, times=1)
    window.press("New conversation")
    window.fill(**{PERSON: bob.email, "Title_(optional)": "One"})
    window.press("Start")
    expect(window.alerts).to_contain_text("Try again in 30 seconds.")
    window.fill(**{"Title_(optional)": "Two"})
    window.press("Start")
    expect(window.page.locator("#title")).to_have_text("Two")


def test_title_that_is_not_changed_is_not_saved(window, alice, conversation_id):
    """Not even over another one that came meanwhile."""
    window.press("Options of this conversation")
    window.press("Change the title")
    assert alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": "Hill"}).ok
    expect(window.page.locator("#title")).to_have_text("Hill")
    window.press("Save")
    expect(window.page.get_by_role("dialog")).to_have_count(0)
    expect(window.page.locator("#title")).to_have_text("Hill")
    assert alice.get(f"/conversations/{conversation_id}/")["title"] == "Hill"
    assert alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": ""}).ok


def test_cancel_before_anything_was_asked_for_says_nothing(window, toast):
    window.page.route("**/api/users/?email=*", lambda route: None)
    window.press("New conversation")
    window.fill(**{PERSON: "nobody@example.com"})
    with window.page.expect_request("**/api/users/?email=*"):
        window.press("Start")
    window.press("Cancel")
    expect(window.page.get_by_role("dialog")).to_have_count(0)
    expect(toast).to_have_text("")


def test_enter_after_starting_the_open_conversation_opens_nothing(window, bob):
    """Not even the dialog again, on whose button the focus was."""
    window.press("New conversation")
    window.fill(**{PERSON: bob.email})
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_role("dialog")).to_have_count(0)
    expect(window.page.get_by_label("Message", exact=True)).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_role("dialog")).to_have_count(0)
