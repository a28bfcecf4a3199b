"""Sending once: the second try with one Idempotency-Key gets the first one's row."""

import pytest

from chats.models import Conversation, Message
from chats.services import add_participant, delete, edit, send, start
from chats.tests.support.expected import NOT_FOUND, full_conversation, message_json
from chats.tests.support.paths import CONVERSATIONS, messages_path

KEY = {"HTTP_IDEMPOTENCY_KEY": "a key of mine"}


class TestMessageWithAKey:
    def test_is_sent_once(self, api, alice, path):
        first = api(alice).post(path, {"message_body": "Once"}, **KEY)
        again = api(alice).post(path, {"message_body": "Once"}, **KEY)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json() == message_json(Message.objects.get())
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"

    def test_replay_moves_no_clock(self, api, alice, path, conversation):
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        conversation.refresh_from_db()
        before = conversation.updated_at
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        conversation.refresh_from_db()
        assert conversation.updated_at == before

    def test_other_body_is_a_422(self, api, alice, path):
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        response = api(alice).post(path, {"message_body": "Twice"}, **KEY)
        assert (response.status_code, response.json()) == (
            422,
            {
                "detail": "This Idempotency-Key was used for another message_body: "
                "use a new key for a new message, or send the same body."
            },
        )
        assert Message.objects.get().message_body == "Once"

    def test_key_belongs_to_one_sender_and_one_conversation(self, api, alice, bob, carol, path):
        elsewhere, _ = start({carol.pk}, actor=alice)
        for user, url in [(alice, path), (bob, path), (alice, messages_path(elsewhere))]:
            response = api(user).post(url, {"message_body": "Once"}, **KEY)
            assert response.status_code == 201
        assert Message.objects.count() == 3

    def test_same_body_without_a_key_is_another_message(self, api, alice, path):
        for _ in range(2):
            assert api(alice).post(path, {"message_body": "Yes"}).status_code == 201
        assert Message.objects.count() == 2

    def test_failed_request_does_not_use_up_the_key(self, api, alice, path):
        assert api(alice).post(path, {"message_body": ""}, **KEY).status_code == 400
        assert api(alice).post(path, {"message_body": "Once"}, **KEY).status_code == 201

    @pytest.mark.parametrize("message_body", ["Once", "Edited", "Something else"])
    def test_replay_returns_the_edited_message(self, api, alice, path, message_body):
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        edit(Message.objects.get(), "Edited", actor=alice)
        again = api(alice).post(path, {"message_body": message_body}, **KEY)
        assert (again.status_code, again.json()) == (200, message_json(Message.objects.get()))
        assert again.json()["message_body"] == "Edited"

    def test_replay_does_not_restore_a_deleted_message(self, api, alice, path):
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        delete(Message.objects.get(), actor=alice)
        again = api(alice).post(path, {"message_body": "Once"}, **KEY)
        assert (again.status_code, again.json()["message_body"]) == (200, None)
        assert Message.objects.get().message_body == ""

    def test_key_of_a_removed_row_can_be_used_again(self, api, alice, path):
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        Message.objects.get().delete()
        assert api(alice).post(path, {"message_body": "Again"}, **KEY).status_code == 201

    def test_replay_after_leaving_is_a_404(self, api, alice, path, conversation):
        api(alice).post(path, {"message_body": "Once"}, **KEY)
        conversation.participants.remove(alice)
        response = api(alice).post(path, {"message_body": "Once"}, **KEY)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)


class TestConversationWithAKey:
    def test_is_started_once(self, api, alice, bob, carol):
        body = {"participants": [str(bob.pk), str(carol.pk)]}
        first = api(alice).post(CONVERSATIONS, body, **KEY)
        body = {"participants": [str(carol.pk), str(bob.pk), str(alice.pk), str(bob.pk)]}
        again = api(alice).post(CONVERSATIONS, body, **KEY)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert Conversation.objects.count() == 1

    def test_replay_returns_the_current_conversation(self, api, alice, bob, carol):
        body = {"participants": [str(bob.pk)]}
        api(alice).post(CONVERSATIONS, body, **KEY)
        conversation = Conversation.objects.get()
        send(conversation, "Hello", actor=bob)
        add_participant(conversation, carol.pk, actor=bob)
        bob.is_active = False
        bob.save()
        again = api(alice).post(CONVERSATIONS, body, **KEY)
        assert (again.status_code, again.json()) == (200, full_conversation(conversation, alice))

    def test_other_participants_or_another_creator_start_another_conversation(
        self, api, alice, bob, carol
    ):
        for creator, participants in [(alice, [bob]), (alice, [bob, carol]), (bob, [alice])]:
            body = {"participants": [str(user.pk) for user in participants]}
            assert api(creator).post(CONVERSATIONS, body, **KEY).status_code == 201
        assert Conversation.objects.count() == 3

    def test_key_is_not_confused_with_participants(self, api, alice, bob, make_user):
        last = make_user("Zoe", user_id="ffffffff-ffff-4fff-bfff-ffffffffffff")
        for participants, key in [([bob], f"{last.pk} k"), ([bob, last], "k")]:
            body = {"participants": [str(user.pk) for user in participants]}
            response = api(alice).post(CONVERSATIONS, body, HTTP_IDEMPOTENCY_KEY=key)
            assert response.status_code == 201
            assert len(response.json()["participants"]) == len(participants) + 1

    def test_replay_after_leaving_is_a_404(self, api, alice, bob):
        body = {"participants": [str(bob.pk)]}
        api(alice).post(CONVERSATIONS, body, **KEY)
        Conversation.objects.get().participants.remove(alice)
        response = api(alice).post(CONVERSATIONS, body, **KEY)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)

    def test_failed_request_does_not_use_up_the_key(self, api, alice, bob):
        bob.is_active = False
        bob.save()
        body = {"participants": [str(bob.pk)]}
        assert api(alice).post(CONVERSATIONS, body, **KEY).status_code == 400
        assert not Conversation.objects.exists()
        bob.is_active = True
        bob.save()
        assert api(alice).post(CONVERSATIONS, body, **KEY).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9", "tab\there", "nul\0"])
def test_bad_idempotency_key_is_a_400(api, alice, bob, path, key):
    for url, body in [
        (path, {"message_body": "Hello"}),
        (CONVERSATIONS, {"participants": [str(bob.pk)]}),
    ]:
        response = api(alice).post(url, body, HTTP_IDEMPOTENCY_KEY=key)
        assert (response.status_code, response.json()) == (
            400,
            {
                "Idempotency-Key": [
                    "Send 1 to 255 printable ASCII characters, or leave the header out."
                ]
            },
        )
    assert (Conversation.objects.count(), Message.objects.count()) == (1, 0)


@pytest.mark.parametrize("key", ["x" * 255, " ", "~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}"])
def test_any_printable_idempotency_key_is_accepted(api, alice, path, key):
    for status in (201, 200):
        response = api(alice).post(path, {"message_body": "Once"}, HTTP_IDEMPOTENCY_KEY=key)
        assert response.status_code == status
