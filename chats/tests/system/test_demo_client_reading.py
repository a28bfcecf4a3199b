"""Reading and writing in the demo client: where the unread begins, what text looks like, edits."""

import pytest
from playwright.sync_api import expect

from chats.tests.support.windows import FRONTEND

pytestmark = pytest.mark.once
# The parts of a text: [name of the element, text, address, host that is shown].
PARTS = """async text => {
    const { toNodes } = await import("/text.js");
    return toNodes(text).map(node => {
        if (typeof node === "string") return node;
        const mark = node.hidden ? "hidden" : node.tagName.toLowerCase();
        const link = node.href ? [node.href, node.dataset.host ?? null] : [];
        return [mark, node.textContent, ...link];
    });
}"""
# How many elements show a text in which words are marked, and how many nodes were added to one that
# has a direction: for each of them, Chromium looks for the direction in the whole text again.
COUNT_NODES = """async ([text, words]) => {
    const { showText } = await import("/text.js");
    const { append } = Element.prototype;
    let added = 0;
    Element.prototype.append = function (...nodes) {
        if (this.dir === "auto") added += nodes.length;
        append.apply(this, nodes);
    };
    const [element] = showText(text, { words });
    Element.prototype.append = append;
    return [element.querySelectorAll("*").length, added];
}"""
# How often each element with this selector got a text.
COUNT = """selector => {
    window.said = [];
    const list = document.querySelector(selector);
    const note = () => list.textContent && window.said.push(list.textContent);
    new MutationObserver(note).observe(list, { childList: true, subtree: true });
}"""
SELECT = "item => getSelection().selectAllChildren(document.querySelector(item))"
# As after a triple click: up to the beginning of the next element.
SELECT_CODE = """() => {
    const [code, link] = document.querySelectorAll(".message:last-child :is(pre, a)");
    document.activeElement.blur();
    getSelection().setBaseAndExtent(code, 0, link, 0);
}"""
LONG = "\n".join(f"Line {number} of a long letter" for number in range(60))


@pytest.fixture(scope="module")
def alice(demo_server):
    return demo_server.sign_up("Alice")


@pytest.fixture(scope="module")
def bob(demo_server):
    return demo_server.sign_up("Bob")


@pytest.fixture
def conversation_id(alice, bob):
    return alice.start(bob).json()["conversation_id"]


@pytest.fixture
def browser(open_browser, alice):
    return open_browser(alice, polls=False)


@pytest.fixture
def small_pages(browser):
    """Ten messages a page, of which three are loaded to find where the unread begins."""

    def replace(file, before, after):
        code = (FRONTEND / file).read_text()
        assert before in code
        served = {"body": code.replace(before, after), "content_type": "text/javascript"}
        browser.context.route(f"**/{file}", lambda route: route.fulfill(**served))

    replace("room.js", "page_size=50", "page_size=10")
    replace("conversation.js", "MAX_LOADED = 200", "MAX_LOADED = 30")


@pytest.fixture
def window(browser, bob, conversation_id):
    """Alice looks at a conversation that she has read."""
    bob.send(conversation_id, "Hello, Alice")
    window = browser.open(f"/#{conversation_id}")
    expect_read(window)
    return window


@pytest.fixture
def box(window):
    return window.page.get_by_label("Message", exact=True)


def send_many(person, conversation_id, count):
    for number in range(count):
        person.send(conversation_id, f"No. {number}\n" + "\n" * 5)


def read_all(person, conversation_id):
    path = f"/conversations/{conversation_id}/read/"
    person.call("POST", path, json={"read_at": "2100-01-01T00:00:00Z"})


def expect_read(window):
    expect(window.inbox.first).to_be_visible()
    expect(window.inbox.first).not_to_contain_text("unread")


def line(window):
    return window.page.locator("#messages .line")


def expect_line_above(window, text, first):
    """The line says this, and the message is the first one below it."""
    expect(line(window)).to_have_text(text)
    expect(window.page.locator("#messages .line + .message .text")).to_have_text(first)


class TestUnread:
    def test_conversation_opens_where_the_unread_begins(self, browser, alice, bob, conversation_id):
        """And is read when the end was seen. When it is opened again, it is at its end."""
        other_id = alice.start(bob).json()["conversation_id"]
        send_many(bob, conversation_id, 10)
        read_all(alice, conversation_id)
        alice.send(conversation_id, "Mine")
        send_many(bob, conversation_id, 10)
        window = browser.open(f"/#{conversation_id}")
        expect_line_above(window, "10 new messages", "No. 0")
        expect(line(window)).to_be_in_viewport()
        expect(window.messages.filter(has_text="Mine")).to_be_in_viewport()
        expect(window.messages.last).not_to_be_in_viewport()
        expect(window.inbox.first).to_contain_text("10 unread")
        window.press("New messages ↓")
        expect(window.messages.last).to_be_in_viewport()
        expect_read(window)
        expect(window.page.get_by_label("Message", exact=True)).to_be_focused()
        bob.send(conversation_id, "Seen at once")
        expect(window.messages.last).to_have_text("Seen at once")
        expect_line_above(window, "10 new messages", "No. 0")
        window.page.goto(f"{window.page.url.split('#')[0]}#{other_id}")
        expect(window.messages).to_have_count(0)
        window.page.goto(f"{window.page.url.split('#')[0]}#{conversation_id}")
        expect(window.messages.last).to_be_in_viewport()
        expect(line(window)).to_have_count(0)

    def test_own_and_deleted_messages_are_not_unread(self, browser, alice, bob, conversation_id):
        bob.send(conversation_id, "Read")
        read_all(alice, conversation_id)
        alice.send(conversation_id, "Mine")
        deleted = bob.send(conversation_id, "Sorry").json()["message_id"]
        bob.call("DELETE", f"/messages/{deleted}/")
        window = browser.open(f"/#{conversation_id}")
        window.expect_messages("Read", "Mine", "Message deleted")
        expect(window.page.locator("#people")).to_be_attached()
        expect(line(window)).to_have_count(0)
        bob.send(conversation_id, "Seen")
        expect(window.messages.last).to_have_text("Seen")
        expect(line(window)).to_have_count(0)

    def test_line_comes_anew_in_a_hidden_tab(self, window, bob, conversation_id):
        """What came in while it was hidden is read when it is shown, as far as it is in sight."""
        window.set_hidden(True)
        bob.send(conversation_id, "Are you there?")
        expect_line_above(window, "1 new message", "Are you there?")
        bob.send(conversation_id, "Alice?")
        expect_line_above(window, "2 new messages", "Are you there?")
        window.set_hidden(False)
        expect_read(window)
        expect_line_above(window, "2 new messages", "Are you there?")
        window.set_hidden(True)
        send_many(bob, conversation_id, 10)
        expect_line_above(window, "10 new messages", "No. 0")
        expect(window.messages).to_have_count(13)
        expect(line(window)).to_be_in_viewport()
        window.set_hidden(False)
        expect(window.page.get_by_role("button", name="New messages ↓")).to_be_visible()
        expect(window.inbox.first).to_contain_text("10 unread")

    def test_line_comes_anew_for_somebody_who_has_scrolled_up(
        self, browser, alice, bob, conversation_id
    ):
        send_many(bob, conversation_id, 10)
        read_all(alice, conversation_id)
        window = browser.open(f"/#{conversation_id}")
        expect(window.messages.last).to_be_in_viewport()
        window.page.locator("#scroller").evaluate("scroller => scroller.scrollTo(0, 0)")
        expect(window.messages.first).to_be_in_viewport()
        expect(window.page.get_by_role("button", name="Newest messages ↓")).to_be_visible()
        bob.send(conversation_id, "New")
        expect_line_above(window, "1 new message", "New")
        expect(window.messages.first).to_be_in_viewport()
        window.press("New messages ↓")
        expect_read(window)

    @pytest.mark.usefixtures("small_pages")
    def test_pages_are_loaded_back_to_the_beginning_of_the_unread(
        self, browser, alice, bob, conversation_id
    ):
        send_many(bob, conversation_id, 12)
        read_all(alice, conversation_id)
        send_many(bob, conversation_id, 25)
        window = browser.open(f"/#{conversation_id}")
        expect_line_above(window, "25 new messages", "No. 0")
        expect(line(window)).to_be_in_viewport()
        expect(window.messages).to_have_count(30)

    @pytest.mark.usefixtures("small_pages")
    def test_line_is_above_the_oldest_loaded_if_the_unread_begins_too_far_back(
        self, browser, alice, bob, conversation_id
    ):
        """It moves to the true beginning when that is loaded."""
        bob.send(conversation_id, "Read")
        read_all(alice, conversation_id)
        send_many(bob, conversation_id, 105)
        window = browser.open(f"/#{conversation_id}")
        # A page more, for who scrolls up, does not take the line along.
        expect(window.messages).to_have_count(40)
        expect_line_above(window, "99+ new messages", "No. 75")
        expect(line(window)).to_be_in_viewport()
        window.page.locator("#messages .line + .message").focus()
        while window.messages.count() < 106:
            window.page.keyboard.press("Home")
        expect_line_above(window, "99+ new messages", "No. 0")

    @pytest.mark.usefixtures("small_pages")
    def test_unread_above_what_is_loaded_is_read_at_the_end(
        self, browser, alice, bob, conversation_id
    ):
        """With own messages below it, which were sent elsewhere."""
        send_many(bob, conversation_id, 3)
        for number in range(12):
            alice.send(conversation_id, f"Mine {number}")
        window = browser.open(f"/#{conversation_id}")
        expect_line_above(window, "3 new messages", "No. 0")
        expect(window.inbox.first).to_contain_text("3 unread")
        window.press("New messages ↓")
        expect_read(window)

    @pytest.mark.usefixtures("small_pages")
    def test_unread_that_is_too_far_above_is_read_at_the_end(
        self, browser, alice, bob, conversation_id
    ):
        bob.send(conversation_id, "Long ago")
        for number in range(40):
            alice.send(conversation_id, f"Mine {number}")
        window = browser.open(f"/#{conversation_id}")
        expect_line_above(window, "1 new message", "Mine 10")
        window.press("New messages ↓")
        expect_read(window)

    def test_message_that_was_searched_for_wins(self, browser, bob, conversation_id):
        """It opens there, also if the conversation was closed, and unfolds it."""
        found = bob.send(conversation_id, LONG).json()["message_id"]
        send_many(bob, conversation_id, 10)
        window = browser.open(f"/#{conversation_id}/{found}")
        expect(window.page.locator(".message.found")).to_be_in_viewport()
        expect(window.page.get_by_role("button", name="Show less")).to_be_attached()
        expect_line_above(window, "11 new messages", LONG)


SAME = object()
TEXTS = {
    "Hello": SAME,
    "a\n  b\n\n": SAME,
    "<b>bold</b> &amp; *so* <a href=https://x.org>": [
        "<b>bold</b> &amp; *so* <a href=",
        ["a", "https://x.org", "https://x.org/", None],
        ">",
    ],
    # Links.
    "See https://x.org/a, or http://y.org.": [
        "See ",
        ["a", "https://x.org/a", "https://x.org/a", None],
        ", or ",
        ["a", "http://y.org", "http://y.org/", None],
        ".",
    ],
    "(https://x.org/a_(b))": [
        "(",
        ["a", "https://x.org/a_(b)", "https://x.org/a_(b)", None],
        ")",
    ],
    "[https://x.org/?q=[1]&r={2}]!?": [
        "[",
        ["a", "https://x.org/?q=[1]&r={2}", "https://x.org/?q=[1]&r={2}", None],
        "]!?",
    ],
    "“https://x.org/#a”…": ["“", ["a", "https://x.org/#a", "https://x.org/#a", None], "”…"],
    "看https://x.org/你好，好": [
        "看",
        ["a", "https://x.org/你好", "https://x.org/%E4%BD%A0%E5%A5%BD", None],
        "，好",
    ],
    "HTTPS://X.org:8443/\u202egpj": [
        ["a", "HTTPS://X.org:8443/", "https://x.org:8443/", None],
        "\u202egpj",
    ],
    "https://müller.de https://аррӏе.com/ http://2130706433": [
        ["a", "https://müller.de", "https://xn--mller-kva.de/", "xn--mller-kva.de"],
        " ",
        ["a", "https://аррӏе.com/", "https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com"],
        " ",
        ["a", "http://2130706433", "http://127.0.0.1/", "127.0.0.1"],
    ],
    "https:///evil.org https://good.org\\@evil.org": [
        ["a", "https:///evil.org", "https://evil.org/", "evil.org"],
        " ",
        ["a", "https://good.org", "https://good.org/", None],
        "\\@evil.org",
    ],
    "https://good.org@evil.org/ https://a:b@evil.org": SAME,
    "javascript:alert(1) data:text/html,x ftp://x.org file:///x //x.org x.org": SAME,
    "xhttps://x.org https:// https://... https://[ http:/x.org": SAME,
    # Code.
    "`a` and `b c`": [
        *[["hidden", "`"], ["code", "a"], ["hidden", "`"]],
        " and ",
        *[["hidden", "`"], ["code", "b c"], ["hidden", "`"]],
    ],
    "`https://x.org <b>`": [["hidden", "`"], ["code", "https://x.org <b>"], ["hidden", "`"]],
    "don`t, and won`t": SAME,
    "`one\ntwo` `` ` ``` ``````": SAME,
    "```a``` b\nc": [["hidden", "```"], ["code", "a"], ["hidden", "```"], " b\nc"],
    "a\n```\n  b\n\n\tc\n```\nd": [
        "a\n",
        ["hidden", "```\n"],
        ["pre", "  b\n\n\tc"],
        ["hidden", "\n```\n"],
        "d",
    ],
    "```js\na``` ```": [["hidden", "```"], ["pre", "js\na"], ["hidden", "```"], " ```"],
}


@pytest.fixture(scope="module")
def page(browser_engine, demo_server):
    page = browser_engine.new_page()
    page.goto(demo_server.site)
    yield page
    page.close()


@pytest.fixture
def parts_of(page):
    return lambda text: page.evaluate(PARTS, text)


class TestText:
    @pytest.mark.parametrize("text", TEXTS)
    def test_parts(self, parts_of, text):
        """Whatever is shown, all of the text is there."""
        expected = [text] if TEXTS[text] is SAME else TEXTS[text]
        parts = parts_of(text)
        assert parts == expected
        assert "".join(part if isinstance(part, str) else part[1] for part in parts) == text

    @pytest.mark.parametrize(
        "text", ["`" * 10_000, "```" * 3_333, "https://x.org/" + "(" * 4_990 + ")" * 4_996]
    )
    def test_worst_texts(self, parts_of, text):
        parts = parts_of(text)
        assert "".join(part if isinstance(part, str) else part[1] for part in parts) == text

    def test_text_of_many_parts_is_shown_with_few_elements(self, page):
        elements, added = page.evaluate(COUNT_NODES, ["`1` " * 2_500, None])
        assert 1_000 < elements < 2_000
        assert added == 0

    def test_text_in_which_every_letter_was_searched_for_is_read_once(self, page):
        elements, added = page.evaluate(COUNT_NODES, ["1" * 10_000, "1"])
        assert (elements, added) == (10_000, 0)

    def test_link_opens_another_tab_and_tells_it_nothing(
        self, window, bob, conversation_id, browser
    ):
        bob.send(conversation_id, f"See {browser.origin}/icon.svg, please")
        link = window.messages.last.get_by_role("link")
        attributes = "link => [link.target, link.rel, link.dir]"
        assert link.evaluate(attributes) == ["_blank", "noopener noreferrer nofollow", "ltr"]
        with window.page.expect_popup() as popup:
            link.click()
        popup.value.wait_for_load_state()
        assert popup.value.evaluate("[window.opener, document.referrer]") == [None, ""]

    def test_host_that_is_not_what_is_written_is_shown(self, window, bob, conversation_id):
        bob.send(conversation_id, "https://аррӏе.com/")
        link = window.messages.last.get_by_role("link")
        expect(link).to_have_attribute("data-host", "xn--80ak6aa92e.com")
        assert link.evaluate("link => getComputedStyle(link, '::after').content") != "none"

    def test_copied_message_is_pasted_as_it_was_written(self, window, box, bob, conversation_id):
        written = "`pip`:\n\n```\ndef f():\n\treturn 1\n```\nhttps://x.org/ `b`"
        bob.send(conversation_id, written)
        expect(window.messages.last).to_contain_text("pip")
        window.messages.last.click()
        window.page.evaluate(SELECT, ".message:last-child")
        window.page.keyboard.press("Control+c")
        box.focus()
        window.page.keyboard.press("Control+v")
        expect(box).to_have_value(written)
        window.page.evaluate(SELECT_CODE)
        window.page.keyboard.press("Control+c")
        box.fill("")
        window.page.keyboard.press("Control+v")
        expect(box).to_have_value("def f():\n\treturn 1")

    def test_long_message_is_folded(self, window, bob, conversation_id):
        """It stays as the person left it when it is edited."""
        message = bob.send(conversation_id, LONG).json()
        more = window.page.get_by_role("button", name="Show more")
        less = window.page.get_by_role("button", name="Show less")
        text = window.messages.last
        expect(more).to_be_visible()
        height = text.bounding_box()["height"]
        more.click()
        expect(less).to_be_focused()
        assert text.bounding_box()["height"] > 3 * height
        path = f"/messages/{message['message_id']}/"
        bob.call("PATCH", path, json={"message_body": f"{LONG}\nThe end"})
        expect(text).to_contain_text("The end")
        expect(less).to_be_attached()
        less.click()
        assert text.bounding_box()["height"] == height
        # As the browser's search does.
        text.evaluate("text => text.scrollTo(0, 500)")
        expect(less).to_be_attached()


class TestWriting:
    def test_arrow_up_in_an_empty_box_edits_the_last_own_message(
        self, window, box, alice, bob, conversation_id
    ):
        """Which stays in sight, however long it is."""
        window.send("First", LONG)
        window.expect_all_sent()
        deleted = alice.send(conversation_id, "Deleted").json()["message_id"]
        alice.call("DELETE", f"/messages/{deleted}/")
        send_many(bob, conversation_id, 10)
        expect(window.messages).to_have_count(14)
        box.fill("x")
        window.page.keyboard.press("ArrowUp")
        expect(box).to_have_value("x")
        box.fill("")
        window.page.keyboard.press("ArrowUp")
        expect(box).to_have_value(LONG)
        edited = window.page.locator(".message.edited")
        expect(edited.locator(".text")).to_have_text(LONG)
        expect(edited.locator(".meta")).to_be_in_viewport()
        window.page.keyboard.press("Escape")
        expect(edited).to_have_count(0)
        expect(box).to_have_value("")
        window.page.keyboard.press("ArrowUp")
        box.fill("Last")
        window.page.keyboard.press("Enter")
        expect(window.messages.nth(2)).to_have_text("Last")

    def test_box_that_grows_covers_nothing(self, window, box, bob, conversation_id):
        send_many(bob, conversation_id, 10)
        expect(window.messages.last).to_be_in_viewport(ratio=1)
        box.fill("\n" * 10)
        expect(window.messages.last).to_be_in_viewport(ratio=1)

    def test_missing_connection_is_said_once(self, window):
        """However many requests fail."""
        window.page.evaluate(COUNT, "#connection")
        failed = []
        window.page.on("requestfailed", lambda request: failed.append(request.url))
        window.page.context.set_offline(True)
        window.send("One", "Two")
        expect(window.page.get_by_text("There is no connection")).to_be_visible()
        for _ in range(3):
            with window.page.expect_event("requestfailed"):
                window.set_hidden(False)
        assert len(failed) > 3
        assert len(window.page.evaluate("window.said")) == 1
        window.page.context.set_offline(False)
        window.set_hidden(False)
        window.expect_messages("Hello, Alice", "One", "Two")
        window.expect_all_sent()
        expect(window.page.locator("#connection")).to_have_text("")


class TestScreenReader:
    def said(self, window):
        return window.page.evaluate("window.said")

    def test_new_message_is_announced_once(self, window, bob, conversation_id):
        """No history, no own message, no edit and no deletion; the same text twice is two."""
        window.page.evaluate(COUNT, "#live")
        window.send("Mine")
        window.expect_all_sent()
        sent = [bob.send(conversation_id, "Well?").json()["message_id"]]
        expect(window.messages).to_have_count(3)
        sent.append(bob.send(conversation_id, "Well?").json()["message_id"])
        expect(window.messages).to_have_count(4)
        bob.call("PATCH", f"/messages/{sent[0]}/", json={"message_body": "Well."})
        bob.call("DELETE", f"/messages/{sent[1]}/")
        expect(window.messages.last).to_have_text("Message deleted")
        expect(window.messages.nth(2)).to_have_text("Well.")
        assert self.said(window) == ["Bob Test: Well?"] * 2

    def test_hidden_tab_announces_when_it_is_shown(self, window, bob, conversation_id):
        window.page.evaluate(COUNT, "#live")
        window.set_hidden(True)
        for number in range(3):
            bob.send(conversation_id, f"No. {number}")
        expect(window.messages).to_have_count(4)
        assert self.said(window) == []
        window.set_hidden(False)
        expect(window.page.locator("#live")).to_have_text(
            "Bob Test: No. 0 Bob Test: No. 1 Bob Test: No. 2"
        )
        window.set_hidden(True)
        send_many(bob, conversation_id, 4)
        expect(window.messages).to_have_count(8)
        window.set_hidden(False)
        expect(window.page.locator("#live")).to_have_text("4 new messages")
        assert len(self.said(window)) == 2
