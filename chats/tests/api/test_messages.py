import pytest

from chats.models import Message
from chats.tests.support.expected import message_json


@pytest.fixture
def path(conversation):
    return f"/api/conversations/{conversation.pk}/messages/"


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
        ["  kept \n as\tsent  ", "x" * 10_000, "😀" * 10_000, "e\u0301", "\u200b", "<b>&amp;</b>"],
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
            ({}, "This field is required."),
            ({"message_body": None}, "This field may not be null."),
            ({"message_body": ""}, "This field may not be blank."),
            ({"message_body": " \n\t\u3000"}, "This field may not be only white space."),
            (
                {"message_body": "x" * 10_001},
                "Ensure this field has no more than 10000 characters.",
            ),
            ({"message_body": "a\0b"}, "Null characters are not allowed."),
            ({"message_body": 5}, "Not a valid string."),
            ({"message_body": True}, "Not a valid string."),
            ({"message_body": ["a"]}, "Not a valid string."),
            ({"message_body": {"a": "b"}}, "Not a valid string."),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_refuses(self, api, alice, path, conversation, body, error):
        before = conversation.updated_at
        response = api(alice).post(path, body)
        assert (response.status_code, response.json()) == (400, {"message_body": [error]})
        conversation.refresh_from_db()
        assert (conversation.updated_at, Message.objects.exists()) == (before, False)


def test_one_message_is_read_by_either_path(api, bob, path, message):
    for url in (f"{path}{message.pk}/", f"/api/messages/{message.pk}/"):
        response = api(bob).get(url)
        assert (response.status_code, response.json()) == (200, message_json(message))
