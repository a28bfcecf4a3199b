from uuid import uuid4

import pytest

from chats.models import Message
from chats.services import delete, leave, send
from chats.tests.support.expected import NOT_FOUND, listed_bodies, message_json, timestamp
from chats.tests.support.paths import CONVERSATIONS, MESSAGES

NOT_YOURS = {"conversation": ["You do not take part in a conversation with this conversation_id."]}
NOT_THE_SENDER = {
    "detail": "Only its sender can change a message. "
    "To mark it as read, use POST /api/conversations/{id}/read/."
}
FIND_CONVERSATION = "GET /api/conversations/?search= finds a conversation_id"

BLANK_BODY = "This field may not be only white space or invisible characters."


class TestSend:
    def test_returns_the_message(self, api, alice, path):
        response = api(alice).post(path, {"message_body": "Hello"})
        assert response.status_code == 201
        assert response.json() == message_json(Message.objects.get())

    def test_sender_and_conversation_come_from_the_token_and_the_url(
        self, api, alice, bob, path, conversation
    ):
        wish = {"sender": str(bob.pk), "conversation": str(bob.pk), "message_id": str(bob.pk)}
        wish |= {"sent_at": "2000-01-01T00:00:00Z", "message_body": "Hello"}
        response = api(alice).post(path, wish)
        assert response.status_code == 201
        message = Message.objects.get()
        assert (message.sender, message.conversation) == (alice, conversation)
        assert message.pk != bob.pk
        assert message.sent_at.year > 2000

    @pytest.mark.parametrize(
        "message_body",
        ["  kept \n as\tsent  ", "x" * 10_000, "😀" * 10_000, "e\u0301", "a\u200b", "<b>&amp;</b>"],
        ids=["white space", "10,000", "10,000 astral", "combining", "zero width", "markup"],
    )
    def test_keeps_the_body_as_sent(self, api, alice, path, message_body):
        response = api(alice).post(path, {"message_body": message_body})
        assert (response.status_code, response.json()["message_body"]) == (201, message_body)
        assert api(alice).get(path).json()["results"][0]["message_body"] == message_body
        assert Message.objects.get().message_body == message_body

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({"message_body": None}, "This field may not be null."),
            ({"message_body": ""}, "This field may not be blank."),
            ({"message_body": " \n\t\u3000"}, BLANK_BODY),
            (
                {"message_body": "x" * 10_001},
                "Ensure this field has no more than 10000 characters.",
            ),
            ({"message_body": "a\0b"}, "Null characters are not allowed."),
            ({"message_body": 5}, "Not a valid string."),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_bad_body_is_a_400(self, api, alice, path, conversation, body, error):
        before = conversation.updated_at
        response = api(alice).post(path, body)
        assert (response.status_code, response.json()) == (400, {"message_body": [error]})
        conversation.refresh_from_db()
        assert (conversation.updated_at, Message.objects.exists()) == (before, False)


def test_message_is_the_same_by_nested_and_flat_path(api, bob, path, message):
    for url in (f"{path}{message.pk}/", f"{MESSAGES}{message.pk}/"):
        response = api(bob).get(url)
        assert (response.status_code, response.json()) == (200, message_json(message))


class TestSendByTheFlatPath:
    def test_returns_the_same_as_the_nested_path(self, api, alice, path, conversation):
        body = {"conversation": str(conversation.pk), "message_body": "Hello"}
        response = api(alice).post(MESSAGES, body)
        assert response.status_code == 201
        assert response.json() == message_json(Message.objects.get())
        assert api(alice).get(path).json()["results"] == [response.json()]

    def test_idempotency_key_is_shared_with_the_nested_path(self, api, alice, path, conversation):
        key = {"HTTP_IDEMPOTENCY_KEY": "a key"}
        body = {"conversation": str(conversation.pk), "message_body": "Hello"}
        first = api(alice).post(MESSAGES, body, **key)
        again = api(alice).post(path, {"message_body": "Hello"}, **key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        other = api(alice).post(MESSAGES, body | {"message_body": "Bye"}, **key)
        assert other.status_code == 422

    def test_foreign_and_unknown_conversation_are_the_same_400(self, api, mallory, conversation):
        for conversation_id in (conversation.pk, uuid4()):
            body = {"conversation": str(conversation_id), "message_body": "Let me in"}
            response = api(mallory).post(MESSAGES, body)
            assert (response.status_code, response.json()) == (400, NOT_YOURS)
        assert not Message.objects.exists()

    def test_error_names_every_bad_field(self, api, alice):
        response = api(alice).post(MESSAGES, {"conversation": "nonsense", "message_body": " "})
        assert (response.status_code, response.json()) == (
            400,
            {
                "conversation": [f"“nonsense” is not a conversation_id: {FIND_CONVERSATION}."],
                "message_body": [BLANK_BODY],
            },
        )


@pytest.fixture(params=["nested", "flat"])
def message_path(request, path, message):
    return {"nested": f"{path}{message.pk}/", "flat": f"{MESSAGES}{message.pk}/"}[request.param]


class TestEdit:
    def test_changes_the_text_and_moves_updated_at(self, api, alice, bob, message_path, message):
        response = api(alice).patch(message_path, {"message_body": " Hi, Bob"})
        edited = Message.objects.get()
        assert (response.status_code, response.json()) == (200, message_json(edited))
        assert edited.message_body == " Hi, Bob"
        assert edited.sent_at == message.sent_at < edited.updated_at
        assert edited.updated_at == edited.conversation.updated_at
        assert api(bob).get(message_path).json() == response.json()

    def test_same_text_changes_nothing(self, api, alice, message_path, message):
        response = api(alice).patch(message_path, {"message_body": message.message_body})
        assert (response.status_code, response.json()) == (200, message_json(message))
        message.conversation.refresh_from_db()
        assert message.conversation.updated_at == message.sent_at

    def test_other_fields_are_ignored(self, api, alice, bob, message_path, message):
        wish = {"message_body": "Hi", "sender": str(bob.pk), "sent_at": "2000-01-01T00:00:00Z"}
        response = api(alice).patch(message_path, wish)
        row = response.json()
        assert row["sender"]["user_id"] == str(alice.pk)
        assert row["sent_at"] == timestamp(message.sent_at)

    def test_deleted_message_is_a_409(self, api, alice, message_path, message):
        delete(message, actor=alice)
        response = api(alice).patch(message_path, {"message_body": "Back again"})
        assert (response.status_code, response.json()) == (
            409,
            {"detail": "The message was deleted. It cannot be edited."},
        )
        assert Message.objects.get().message_body == ""

    @pytest.mark.parametrize("message_body", ["", " \n", None, 5, "x" * 10_001, "a\0b"])
    def test_bad_body_is_a_400(self, api, alice, message_path, message, message_body):
        response = api(alice).patch(message_path, {"message_body": message_body})
        assert (response.status_code, list(response.json())) == (400, ["message_body"])
        assert Message.objects.get().updated_at == message.updated_at


class TestDelete:
    def test_removes_the_text_and_leaves_a_mark(self, api, alice, bob, message_path, message):
        response = api(alice).delete(message_path)
        assert (response.status_code, response.content) == (204, b"")
        mark = Message.objects.get()
        assert (mark.message_body, mark.sent_at) == ("", message.sent_at)
        assert mark.updated_at == mark.conversation.updated_at > message.updated_at
        shown = api(bob).get(message_path).json()
        assert shown == message_json(mark)
        assert shown["message_body"] is None

    def test_second_deletion_changes_nothing(self, api, alice, message_path):
        api(alice).delete(message_path)
        before = Message.objects.get().updated_at
        assert api(alice).delete(message_path).status_code == 204
        assert Message.objects.get().updated_at == before

    def test_deleted_message_is_listed_and_not_found_by_search(
        self, api, alice, path, message_path, message
    ):
        api(alice).delete(message_path)
        mark = message_json(Message.objects.get())
        [conversation] = api(alice).get(CONVERSATIONS).json()["results"]
        assert conversation["last_message"] == mark
        for url in (path, MESSAGES):
            assert api(alice).get(url).json()["results"] == [mark]
            assert api(alice).get(url, {"search": "Hello"}).json()["results"] == []


@pytest.mark.parametrize("method", ["patch", "delete"])
class TestChangeByOthers:
    def test_other_participant_gets_a_403(self, api, bob, message_path, message, method):
        response = getattr(api(bob), method)(message_path, {"message_body": "Mine now"})
        assert (response.status_code, response.json()) == (403, NOT_THE_SENDER)
        assert Message.objects.get().message_body == message.message_body

    def test_sender_who_has_left_gets_a_404(self, api, alice, message_path, message, method):
        leave(message.conversation, actor=alice)
        response = getattr(api(alice), method)(message_path, {"message_body": "Bye"})
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert Message.objects.get().message_body == message.message_body


def test_deletion_keeps_another_message_with_the_same_text(api, alice, path, message):
    send(message.conversation, message.message_body, actor=alice)
    delete(message, actor=alice)
    assert listed_bodies(api(alice).get(path)) == ["Hello, Bob", None]
