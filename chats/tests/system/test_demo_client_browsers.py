"""The demo client under other input methods and browsers, and with storage that does not work."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from chats.tests.support.servers import PASSWORD, bodies
from chats.tests.support.windows import IS_FIREFOX

pytestmark = pytest.mark.once
# Safari's order at the end of a composition.
SAFARI_ENTER = """input => {
    input.dispatchEvent(new CompositionEvent("compositionstart"));
    input.dispatchEvent(new CompositionEvent("compositionend"));
    const key = { key: "Enter", keyCode: 229, isComposing: false, bubbles: true, cancelable: true };
    input.dispatchEvent(new KeyboardEvent("keydown", key));
}"""
LACKING = {
    "AbortSignal.any": "delete AbortSignal.any",
    "plain http": """
        Object.defineProperty(navigator, "locks", { value: undefined });
        delete Crypto.prototype.randomUUID;
    """,
    "storage": """
        const get = () => { throw new DOMException("Access is denied.", "SecurityError"); };
        Object.defineProperty(window, "localStorage", { get });
    """,
}
# Once, and not on the empty page from which a tab comes.
BREAK_VALUE = """
    if (origin !== "null" && !localStorage.getItem("once")) {
        localStorage[KEY] = "{";
        localStorage.setItem("once", 1);
    }
"""
FULL = """() => {
    window.setItem = Storage.prototype.setItem;
    Storage.prototype.setItem = () => { throw new DOMException("Full", "QuotaExceededError"); };
}"""
# The second time when the edit has ended, and the button sends again.
SUBMIT_TWICE = """() => new Promise(resolve => {
    const form = document.querySelector("#composer");
    const submitAgain = (_, observer) => {
        observer.disconnect();
        form.requestSubmit();
        resolve();
    };
    const editing = document.querySelector("#editing");
    new MutationObserver(submitAgain).observe(editing, { attributes: true });
    form.requestSubmit();
})"""
SHORT_TIMES = """async moments => {
    const { shortTime } = await import("/dom.js");
    return moments.map(shortTime);
}"""


@pytest.fixture
def conversation_id(alice, bob):
    conversation_id = alice.start(bob).json()["conversation_id"]
    bob.send(conversation_id, "Hello, Alice")
    return conversation_id


@pytest.fixture
def browser(open_browser, alice):
    return open_browser(alice, polls=False)


@pytest.fixture
def window(browser, conversation_id):
    window = browser.open(f"/#{conversation_id}")
    window.expect_messages("Hello, Alice")
    return window


@pytest.fixture
def box(window):
    return window.page.get_by_label("Message", exact=True)


def read_bodies(person, conversation_id):
    return bodies(person.everything(f"/conversations/{conversation_id}/messages/"))


class TestInputMethod:
    @pytest.mark.skipif(IS_FIREFOX, reason="Only Chromium can be told to compose text.")
    def test_enter_that_ends_a_composition_sends_nothing(self, window, box):
        box.focus()
        keyboard = window.page.context.new_cdp_session(window.page)
        composed = {"text": "にほん", "selectionStart": 3, "selectionEnd": 3}
        keyboard.send("Input.imeSetComposition", composed)
        enter = {"key": "Enter", "windowsVirtualKeyCode": 229}
        keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
        keyboard.send("Input.insertText", {"text": "日本"})
        expect(box).to_have_value("日本")
        window.page.keyboard.press("Enter")
        window.expect_messages("Hello, Alice", "日本")

    def test_enter_after_the_end_of_a_composition_sends_nothing_in_safari(self, window, box):
        box.fill("日本")
        box.evaluate(SAFARI_ENTER)
        expect(box).to_have_value("日本")
        window.page.keyboard.press("Enter")
        window.expect_messages("Hello, Alice", "日本")

    def test_escape_of_a_composition_does_not_end_an_edit(self, window, box):
        window.send("One")
        window.expect_all_sent()
        window.press("Options of this message", -1)
        window.press("Edit")
        box.fill("Two")
        box.evaluate(SAFARI_ENTER.replace("Enter", "Escape"))
        expect(box).to_have_value("Two")
        window.page.keyboard.press("Escape")
        expect(box).to_have_value("")


@pytest.mark.parametrize("lacking", LACKING)
def test_client_works_without(open_browser, alice, bob, conversation_id, lacking):
    browser = open_browser(polls=lacking == "plain http")
    browser.context.add_init_script(LACKING[lacking])
    window = browser.open(f"/#{conversation_id}")
    window.sign_in(alice.email, PASSWORD)
    window.expect_messages("Hello, Alice")
    bob.send(conversation_id, "How are you?")
    window.send("Fine")
    window.expect_all_sent()
    window.expect_messages("Hello, Alice", "How are you?", "Fine")
    assert sorted(read_bodies(bob, conversation_id)) == ["Fine", "Hello, Alice", "How are you?"]
    # Tabs that cannot share a stream have none: a browser opens only six connections to a host.
    assert ("GET /api/events/" in browser.requests) == (lacking != "plain http")
    window.press("New conversation")
    expect(window.page.get_by_role("dialog")).to_be_visible()


@pytest.mark.parametrize("name", ["session", "outbox"])
def test_stored_value_that_is_no_json_is_ignored(open_browser, alice, bob, conversation_id, name):
    key = {"session": "chat.session", "outbox": f"chat.{alice.user_id}.outbox.000000000000001.x"}
    browser = open_browser(alice, polls=False)
    browser.context.add_init_script(BREAK_VALUE.replace("KEY", json.dumps(key[name])))
    window = browser.open(f"/#{conversation_id}")
    if name == "session":
        window.sign_in(alice.email, PASSWORD)
    window.expect_messages("Hello, Alice")
    window.send("Hello, Bob")
    window.expect_messages("Hello, Alice", "Hello, Bob")


def test_full_storage_is_said_and_the_text_stays(window, box):
    window.page.evaluate(FULL)
    window.send("A long letter")
    expect(window.alerts).to_contain_text("The browser’s storage is full")
    expect(box).to_have_value("A long letter")


def test_page_goes_on_while_storage_is_full(open_browser, alice, bob, conversation_id):
    """As long as it is open, with its session, drafts and settings."""
    other_id = alice.start(bob).json()["conversation_id"]
    window = open_browser(polls=False).open(f"/#{conversation_id}")
    window.page.evaluate(FULL)
    window.sign_in(alice.email, PASSWORD)
    window.expect_messages("Hello, Alice")
    window.fill(Message="Half a tho")
    for place, text in ((other_id, ""), (conversation_id, "Half a tho")):
        window.page.evaluate("id => { location.hash = id; }", place)
        expect(window.page.get_by_label("Message", exact=True)).to_have_value(text)
    window.press("Alice Test")
    window.press("Keyboard shortcuts")
    window.page.get_by_label("Use the shortcuts of a single key").uncheck()
    window.page.keyboard.press("Escape")
    window.page.locator("#title").focus()
    window.page.keyboard.press("n")
    expect(window.page.get_by_role("dialog")).to_have_count(0)


def test_refused_message_can_be_sent_again_when_storage_was_full(window):
    held, refusal = [], {"message_body": ["This is refused."]}

    def hold(route):
        held.append(route)

    window.page.route("**/messages/", hold, times=1)
    with window.page.expect_request("**/messages/"):
        window.send("Refused")
    window.page.evaluate(FULL)
    [route] = held
    route.fulfill(status=400, json=refusal)
    expect(window.page.get_by_text("Not sent. This is refused.")).to_be_visible()
    window.page.evaluate("() => { Storage.prototype.setItem = window.setItem; }")
    window.press("Try again")
    window.expect_all_sent()
    window.send("And this")
    window.expect_messages("Hello, Alice", "Refused", "And this")
    window.expect_all_sent()


def test_cleared_storage_ends_the_session(window, alice, bob, conversation_id):
    """Although the browser tells the tab nothing, whatever happens there next."""
    session = window.page.evaluate("localStorage['chat.session']")
    window.wait_for_stream(alice)
    # Of which the last one is that a message comes.
    for act in ("composer.requestSubmit()", "account.click()", ""):
        window.fill(Message="A letter")
        window.page.evaluate(f"() => {{ localStorage.clear(); {act} }}")
        if not act:
            bob.send(conversation_id, "Are you there?")
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
        expect(window.alerts).to_have_text([])
        window.page.evaluate("session => { localStorage['chat.session'] = session; }", session)
        window.page.reload()
        expect(window.messages.first).to_have_text("Hello, Alice")
        window.wait_for_stream(alice)


@pytest.mark.parametrize("place", [r"..\users\{}\block\?", r"{}\leave\?", ".."])
def test_address_that_names_no_conversation_leads_nowhere(
    open_browser, alice, bob, conversation_id, place
):
    """Otherwise a link could make people request another endpoint, as with `..`."""
    named = bob.user_id if "users" in place else conversation_id
    window = open_browser(alice, polls=False).open(f"/#{place.format(named)}")
    expect(window.inbox).to_have_count(1)
    expect(window.page.get_by_text("Choose a conversation")).to_be_visible()
    expect(window.page.get_by_label("Message", exact=True)).to_be_hidden()


def hold_edits(window):
    held = []

    def hold(route):
        held.append(route)

    window.page.route(re.compile("/messages/[^/]+/$"), hold)
    return held


class TestWriting:
    @pytest.fixture
    def editing(self, window):
        """Alice edits her message."""
        window.send("One")
        window.expect_all_sent()
        window.page.keyboard.press("ArrowUp")
        return window.page.locator("#editing")

    def test_draft_survives_a_reload_and_belongs_to_its_conversation(
        self, window, box, alice, bob, conversation_id
    ):
        other_id = alice.start(bob).json()["conversation_id"]
        alice.call("PATCH", f"/conversations/{other_id}/", json={"title": "Other"})
        box.fill("Half a tho")
        window.page.reload()
        window.expect_messages("Hello, Alice")
        expect(box).to_have_value("Half a tho")
        window.page.goto(f"{window.page.url.split('#')[0]}#{other_id}")
        expect(box).to_have_value("")
        window.choose("Bob Test")
        expect(box).to_have_value("Half a tho")
        window.page.keyboard.press("Enter")
        window.expect_all_sent()
        window.page.reload()
        window.expect_messages("Hello, Alice", "Half a tho")
        expect(box).to_have_value("")

    def test_all_tabs_show_the_same_draft(self, window, box):
        other = window.page.context.new_page()
        other.goto(window.page.url)
        other_box = other.get_by_label("Message", exact=True)
        other_box.fill("Half a tho")
        expect(box).to_have_value("Half a tho")
        box.press("Enter")
        expect(other_box).to_have_value("")
        window.expect_messages("Hello, Alice", "Half a tho")

    def test_edit_survives_a_reload_and_belongs_to_its_conversation(
        self, window, box, alice, bob, editing
    ):
        alice.start(bob)
        expect(window.inbox).to_have_count(2)
        box.fill("Two")
        window.page.reload()
        window.expect_messages("Hello, Alice", "One")
        expect(editing).to_be_visible()
        expect(box).to_have_value("Two")
        expect(window.inbox).to_have_count(2)
        window.inbox.first.click()
        expect(editing).to_be_hidden()
        expect(box).to_have_value("")
        window.inbox.last.click()
        expect(editing).to_be_visible()
        window.press("Save")
        window.expect_messages("Hello, Alice", "Two")
        expect(editing).to_be_hidden()
        window.page.reload()
        window.expect_messages("Hello, Alice", "Two")
        expect(box).to_have_value("")

    def test_edit_that_fails_in_another_conversation_is_told_and_kept(
        self, window, box, alice, bob, editing
    ):
        alice.start(bob)
        expect(window.inbox).to_have_count(2)
        held = hold_edits(window)
        box.fill("Two")
        window.press("Save")
        window.inbox.first.click()
        expect(window.messages).to_have_count(0)
        window.send("Meanwhile")
        window.expect_messages("Meanwhile")
        held[0].fulfill(status=400, json={"message_body": ["No."]})
        expect(window.page.locator("#toast")).to_have_text("Your edit was not saved. No.")
        window.inbox.last.click()
        expect(editing).to_be_visible()
        expect(box).to_have_value("Two")

    def test_what_is_typed_while_an_edit_is_saved_is_kept(self, window, box, editing):
        held = hold_edits(window)
        box.fill("Two")
        window.press("Save")
        box.fill("Two and three")
        held[0].continue_()
        window.expect_messages("Hello, Alice", "Two")
        expect(window.page.get_by_role("button", name="Save")).to_be_visible()
        expect(box).to_have_value("Two and three")
        expect(editing).to_be_visible()

    def test_edit_that_changes_nothing_is_not_saved(self, browser, window, box, alice, editing):
        before = len(browser.requests)
        box.press("Enter")
        expect(editing).to_be_hidden()
        assert [request for request in browser.requests[before:] if "PATCH" in request] == []

    def test_edit_does_not_replace_another_one_unasked(
        self, window, box, alice, conversation_id, editing
    ):
        [sent, _] = alice.get(f"/conversations/{conversation_id}/messages/")["results"]
        path = f"/messages/{sent['message_id']}/"
        alice.call("PATCH", path, json={"message_body": "Elsewhere"})
        window.expect_messages("Hello, Alice", "Elsewhere")
        box.fill("Here")
        window.press("Save")
        expect(window.alerts).to_contain_text("It was changed on another device meanwhile.")
        window.press("Save")
        window.expect_messages("Hello, Alice", "Here")

    def test_draft_is_gone_after_signing_out(self, window, box):
        box.fill("A secret")
        window.press("Alice Test")
        window.press("Sign out")
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert "A secret" not in window.page.evaluate("JSON.stringify(localStorage)")

    def test_characters_are_counted_near_the_limit(self, window, box):
        count = window.page.locator("#count")
        box.fill("😀" * 9_000)
        expect(count).to_have_text("")
        box.fill("😀" * 9_999)
        expect(count).to_have_text("1 character left")
        box.fill("😀" * 10_002)
        expect(count).to_have_text("2 characters too many")
        expect(window.page.get_by_role("button", name="Send")).to_be_disabled()
        window.page.keyboard.press("Enter")
        window.expect_messages("Hello, Alice")
        box.fill("😀")
        expect(count).to_have_text("")
        window.page.keyboard.press("Enter")
        window.expect_messages("Hello, Alice", "😀")

    def test_refused_message_can_be_edited(self, window, box):
        refusal = {"message_body": ["This is refused."]}
        window.page.route(
            "**/messages/", lambda route: route.fulfill(status=400, json=refusal), times=2
        )
        window.send("Refsed")
        window.press("Try again")
        expect(box).to_be_focused()
        expect(window.page.get_by_text("Not sent. This is refused.")).to_be_visible()
        box.fill("Written since")
        window.press("Edit")
        expect(box).to_have_value("Written since\nRefsed")
        window.expect_messages("Hello, Alice")
        window.send("Refused")
        window.expect_messages("Hello, Alice", "Refused")

    def test_refused_message_is_found_in_the_open_conversation(self, window, bob, conversation_id):
        for n in range(30):
            bob.send(conversation_id, f"No. {n}")
        expect(window.messages.last).to_contain_text("No. 29")
        refusal = {"message_body": ["This is refused."]}
        window.page.route("**/messages/", lambda route: route.fulfill(status=400, json=refusal))
        window.send("Refused")
        words = window.page.get_by_text("Not sent. This is refused.")
        expect(words).to_be_visible()
        window.page.locator("#scroller").evaluate("scroller => scroller.scrollTo(0, 0)")
        expect(words).not_to_be_in_viewport()
        window.page.get_by_role("link", name="A message was not sent.").click()
        expect(words).to_be_in_viewport()

    def test_title_of_80_emoji_is_kept_and_one_of_101_letters_is_refused_at_the_field(self, window):
        for title in ("😀" * 80, "a" * 101):
            window.press("Options of this conversation")
            window.press("Change the title")
            window.fill(Title=title)
            window.press("Save")
            expect(window.page.get_by_role("heading", name="😀" * 80)).to_be_visible()
        refusal = window.page.get_by_role("dialog").get_by_text("no more than 100 characters")
        expect(refusal).to_be_visible()

    def test_copying_a_message_is_told(self, browser, window, bob, conversation_id):
        if not IS_FIREFOX:
            browser.context.grant_permissions(["clipboard-write"])
        bob.send(conversation_id, "For you")
        expect(window.messages.last).to_contain_text("For you")
        window.press("Options of this message", -1)
        window.press("Copy")
        expect(window.page.locator("#toast")).to_have_text("Copied.")

    def test_second_click_on_save_does_not_send_the_draft(self, window, box):
        window.send("One")
        window.expect_all_sent()
        box.fill("Unfinished")
        window.press("Options of this message", -1)
        window.press("Edit")
        box.fill("Two")
        window.page.evaluate(SUBMIT_TWICE)
        expect(box).to_have_value("Unfinished")
        window.expect_messages("Hello, Alice", "Two")

    def test_focus_is_in_the_box_when_a_conversation_opens(self, window, box):
        expect(box).to_be_focused()

    def test_text_and_names_run_in_their_own_direction(
        self, window, box, demo_server, alice, conversation_id
    ):
        box.fill("שלום")
        assert box.evaluate("box => getComputedStyle(box).direction") == "rtl"
        alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": "شرفة"})
        for element in (window.page.get_by_role("heading", name="شرفة"), window.inbox.first):
            expect(element).to_contain_text("شرفة")
        for element in ("#title", "#inbox .name"):
            direction = f"getComputedStyle(document.querySelector('{element}')).direction"
            assert window.page.evaluate(direction) == "rtl"


class TestWords:
    def test_of_a_conversation_of_two(self, window, alice, bob, conversation_id):
        """Its title is the other's name, and nobody is named twice."""
        expect(window.page.locator("#title")).to_have_text("Bob Test")
        expect(window.page.locator("#people")).to_have_text("")
        alice.call("PATCH", f"/conversations/{conversation_id}/", json={"title": "Garden"})
        expect(window.page.locator("#people")).to_have_text("Bob Test, you")

    def test_of_adding_somebody_who_is_there(self, window, bob):
        window.press("Options of this conversation")
        window.press("Add people")
        window.fill(**{"Name_or_e-mail_address": bob.email})
        window.press("Add")
        hint = window.page.get_by_role("dialog").locator(".hint").first
        expect(hint).to_have_text(re.compile("Bob Test.* is here already."))

    def test_of_somebody_who_cannot_take_part(self, window, alice, bob):
        """Because they have blocked the person, which nothing says."""
        window.press("New conversation")
        window.page.get_by_role("checkbox", name="Bob Test").check()
        window.fill(**{"Title_(optional)": "Us"})
        bob.call("POST", f"/users/{alice.user_id}/block/")
        window.press("Start")
        hint = window.page.get_by_role("dialog").locator(".hint").first
        expect(hint).to_have_text(re.compile("Not possible with .Bob Test"))

    def test_of_an_account_that_cannot_sign_in_yet(self, open_browser):
        window = open_browser(polls=False).open()
        body = {"detail": "Throttled."}
        window.page.route("**/api/token/", lambda route: route.fulfill(status=429, json=body))
        window.press("Create an account")
        window.fill(First_name="Erin", Last_name="Test", Password=PASSWORD)
        email = window.page.get_by_label("E-mail address").filter(visible=True)
        email.fill("erin-throttled@example.com")
        window.press("Create an account")
        expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
        expect(window.alerts).to_have_text("Your account was created. Throttled.")
        expect(email).to_have_value("erin-throttled@example.com")

    def test_of_signing_in(self, open_browser, alice):
        window = open_browser(polls=False).open()
        held = []

        def hold(route):
            held.append(route)

        window.page.route("**/api/token/", hold)
        window.sign_in(alice.email, PASSWORD)
        expect(window.page.get_by_role("button", name="Signing in…")).to_be_disabled()
        [route] = held
        route.fulfill(status=429, headers={"Retry-After": "7"}, json={"detail": "Throttled."})
        expect(window.alerts).to_have_text("That was too often. Try again in 7 seconds.")
        expect(window.page.get_by_role("button", name="Sign in", exact=True)).to_be_enabled()

    def test_of_a_demo_account_that_cannot_sign_in(self, open_browser):
        browser = open_browser(polls=False)
        refusal = {"detail": "No active account", "code": "no_active_account"}
        browser.context.route(
            "**/api/token/", lambda route: route.fulfill(status=401, json=refusal)
        )
        window = browser.open("/?as=alice")
        expect(window.alerts).to_contain_text("deactivated, or its password changed")

    def test_of_times(self, open_browser):
        window = open_browser(polls=False, locale="en-US", timezone_id="America/New_York").open(
            has_clock=True
        )
        window.page.clock.set_fixed_time("2026-03-02T05:05:00Z")
        moments = ["2026-03-02T05:01:00Z", "2026-03-02T04:59:00Z", "2025-12-31T12:00:00Z"]
        shown = window.page.evaluate(SHORT_TIMES, moments)
        # Some versions of the locale have a narrow space here.
        shown[0] = shown[0].replace("\u202f", " ")
        assert shown == ["12:01 AM", "Mar 1", "Dec 31, 2025"]

    def test_of_a_time_after_midnight(self, open_browser, alice, conversation_id):
        """Nothing else happens meanwhile."""
        browser = open_browser(alice, polls=False, locale="en-US")
        window = browser.open(has_clock=True)
        time = window.inbox.locator("time")
        expect(time).to_contain_text("M")
        window.page.clock.set_system_time(datetime.now(UTC) + timedelta(days=1))
        window.page.clock.fast_forward("01:00")
        expect(time).to_have_text(re.compile(r"^[A-Z][a-z]{2} \d+"))
