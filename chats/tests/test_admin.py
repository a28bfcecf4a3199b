"""The admin's pages open, and say what is wrong with what they are sent."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import Conversation, Message, User
from chats.tests.conftest import PASSWORD


@pytest.fixture
def staff(client, db):
    client.force_login(User.objects.create_superuser("root@example.com", "x"))
    return client


@pytest.mark.parametrize(
    "path",
    [
        "",
        "chats/user/",
        "chats/user/?q=alice",
        "chats/user/add/",
        "chats/user/{sender}/change/",
        "chats/user/{sender}/password/",
        "chats/conversation/",
        "chats/conversation/?q=alice",
        "chats/conversation/add/",
        "chats/conversation/{conversation}/change/",
        "chats/message/",
        "chats/message/?q=hello",
        "chats/message/{message}/change/",
        "chats/message/{message}/delete/",
    ],
)
def test_pages_open(staff, message, path):
    ids = {"conversation": message.conversation_id, "sender": message.sender_id}
    answer = staff.get(f"/admin/{path.format(message=message.pk, **ids)}")
    assert answer.status_code == 200


def test_staff_add_a_person(staff):
    form = {"email": "Dora@Example.com", "first_name": "Dora", "last_name": "Diaz"}
    form |= {"role": "host", "usable_password": "true"}
    form |= {"password1": PASSWORD, "password2": PASSWORD}
    assert staff.post("/admin/chats/user/add/", form).status_code == 302
    dora = User.objects.get(email="dora@example.com")
    assert (dora.role, dora.check_password(PASSWORD)) == ("host", True)


@pytest.mark.parametrize("email", ["alice@example.com", "alice@erased.invalid"])
def test_staff_change_a_person(staff, alice, email):
    """Also one who has registered an address like those of erased people."""
    User.objects.filter(pk=alice.pk).update(email=email)
    form = {"email": email, "first_name": "Alice", "last_name": "Test", "role": "host"}
    answer = staff.post(f"/admin/chats/user/{alice.pk}/change/", form)
    assert answer.status_code == 302
    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("host", False)
    assert alice.check_password(PASSWORD)


def test_staff_change_who_takes_part(staff, conversation, alice, carol):
    before = conversation.updated_at
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    assert staff.post(path, {"participants": [alice.pk, carol.pk]}).status_code == 302
    conversation.refresh_from_db()
    assert set(conversation.participants.all()) == {alice, carol}
    assert conversation.updated_at > before


@pytest.mark.skipif(not connection.features.has_select_for_update, reason="has no row locks")
def test_people_are_locked_before_the_conversation(staff, conversation, alice, carol):
    """As everywhere, or staff and somebody who is being deleted would wait for each other."""
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    with CaptureQueriesContext(connection) as queries:
        staff.post(path, {"participants": [alice.pk, carol.pk]})
    [locked, *_] = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert carol.pk.hex in locked


def test_a_person_who_does_not_exist_is_refused(staff, conversation):
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    answer = staff.post(path, {"participants": ["00000000-0000-4000-8000-000000000000"]})
    assert answer.status_code == 200
    assert answer.context["adminform"].errors


def test_staff_delete_a_message(staff, message, conversation):
    path = f"/admin/chats/message/{message.pk}/delete/"
    assert staff.post(path, {"post": "yes"}).status_code == 302
    assert not Message.objects.exists()
    before = message.sent_at
    assert Conversation.objects.get(pk=conversation.pk).updated_at > before


def test_staff_delete_messages(staff, conversation, alice):
    messages = [conversation.send(alice, f"{n}")[0] for n in range(3)]
    body = {"action": "delete_selected", "_selected_action": [m.pk for m in messages]}
    assert staff.post("/admin/chats/message/", body | {"post": "yes"}).status_code == 302
    assert not Message.objects.exists()
    assert Conversation.objects.get(pk=conversation.pk).updated_at > messages[-1].sent_at


@pytest.mark.parametrize("model", ["outstandingtoken", "blacklistedtoken"])
def test_tokens_are_not_shown(staff, model):
    assert staff.get(f"/admin/token_blacklist/{model}/").status_code == 404


def test_nobody_but_staff_gets_in(client, alice):
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
