"""The admin and Swagger UI in Chromium."""

import json

import pytest
from playwright.sync_api import expect

from chats.tests.support.servers import PASSWORD


@pytest.fixture
def page(browser_engine, server):
    """Fails on whatever the browser complains of, such as a breach of the content policy, and on
    every request to another host."""
    complaints = []

    def look_at(response):
        # Every browser asks for the icon, and does without.
        if response.status >= 400 and not response.url.endswith("/favicon.ico"):
            complaints.append(f"{response.status} {response.url}")

    def look_where(request):
        if not request.url.startswith((server.site, "data:")):
            complaints.append(request.url)

    def listen(message):
        if message.type in {"error", "warning"} and "Failed to load" not in message.text:
            complaints.append(message.text)

    context = browser_engine.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", look_at)
    page.on("request", look_where)
    yield page
    context.close()
    assert complaints == []


@pytest.mark.once
def test_staff_add_a_participant_delete_a_message_and_deactivate_a_user(server, page):
    """Log in, find a person, deactivate them, delete a message, add a participant."""
    alice, bob, carol = (server.sign_up(name) for name in ("Alice", "Bob", "Carol"))
    conversation = alice.start(bob).json()["conversation_id"]
    alice.send(conversation, "To be deleted")
    bob.send(conversation, "To be kept")
    page.goto(f"{server.site}/admin/")
    page.get_by_label("Email").fill(server.make_superuser())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()

    page.get_by_role("link", name="Conversations", exact=True).first.click()
    page.get_by_role("textbox", name="Search").fill(conversation)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Alice Test").click()
    expect(page.get_by_text("To be kept")).to_be_visible()
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill(carol.email)
    page.get_by_role("option", name=carol.email).click()
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    assert carol.get(f"/conversations/{conversation}/")["last_message"]["message_body"]

    page.get_by_role("link", name="All messages of this conversation").click()
    page.get_by_role("link", name="To be deleted").click()
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text("A mark stays in its place")).to_be_visible()
    expect(page.get_by_text(f"{alice.email}: To be deleted")).to_be_visible()
    page.get_by_role("button", name="Yes, I’m sure").click()
    expect(page.get_by_text("was deleted successfully")).to_be_visible()
    rows = bob.get(f"/conversations/{conversation}/messages/")["results"]
    assert [row["message_body"] for row in rows] == ["To be kept", None]

    page.get_by_role("link", name="Users", exact=True).first.click()
    page.get_by_role("textbox", name="Search").fill(alice.email)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("row", name=alice.email).get_by_role("checkbox").check()
    expect(page.get_by_text("1 of 1 selected")).to_be_visible()
    page.get_by_role("combobox", name="Action").select_option("Deactivate selected users")
    page.get_by_role("button", name="Go").click()
    page.get_by_label("Reason").fill("Spam")
    page.get_by_role("button", name="Deactivate them").click()
    expect(page.get_by_text("Users deactivated: 1.")).to_be_visible()
    assert alice.call("GET", "/users/me/").status_code == 401


@pytest.mark.once
def test_staff_erase_a_user_on_their_page(server, page):
    """Open a conversation from a person's page, give it a title, go back and erase the person."""
    alice, bob = server.sign_up("Alice"), server.sign_up("Bob")
    conversation = alice.start(bob).json()["conversation_id"]
    alice.send(conversation, "Hello")
    page.goto(f"{server.site}/admin/chats/user/?q={alice.email}")
    page.get_by_label("Email").fill(server.make_superuser())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name=alice.email).click()
    person = page.url

    page.get_by_role("link", name="Alice Test").click()
    page.get_by_label("Title").fill("The room in May")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Alice Test: Hello")).to_be_visible()
    assert bob.get(f"/conversations/{conversation}/")["title"] == "The room in May"

    page.goto(person)
    expect(page.get_by_text(": The room in May")).to_be_visible()
    page.get_by_role("link", name="Erase").click()
    page.get_by_role("link", name="No, take me back").click()
    page.wait_for_url(person)
    assert alice.call("GET", "/users/me/").status_code == 200
    page.get_by_role("link", name="Erase").click()
    page.get_by_role("button", name="Erase them").click()
    expect(page.get_by_text("Users erased: 1.")).to_be_visible()
    assert alice.call("GET", "/users/me/").status_code == 401


@pytest.mark.once
@pytest.mark.parametrize("width", [1280, 390])
def test_swagger_ui_sends_requests(server, page, width):
    """Find it from the root, sign in, look at the conversations."""
    alice, bob = server.sign_up("Alice"), server.sign_up("Bob")
    alice.start(bob)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(page.request.get(f"{server.url}/").json()["docs"])

    def try_out(name, body=None):
        operation = page.locator(f"[id$=-{name}]")
        operation.get_by_role("button", expanded=False).first.click()
        operation.get_by_role("button", name="Try it out").click()
        if body is not None:
            operation.get_by_role("textbox").last.fill(json.dumps(body))
        with page.expect_response(lambda response: response.request.method != "OPTIONS") as got:
            operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table")).to_contain_text(str(got.value.status))
        return got.value.json()

    try_out("sign_in", {"email": alice.email, "password": PASSWORD})
    [conversation] = try_out("list_conversations")["results"]
    assert {person["first_name"] for person in conversation["participants"]} == {"Alice", "Bob"}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
