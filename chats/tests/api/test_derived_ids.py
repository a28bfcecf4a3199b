"""Ids that are derived from an Idempotency-Key or from people are the same in every release."""

from uuid import UUID

import pytest

from chats.services import leave, start_distinct

CONVERSATIONS = "/api/conversations/"
KEY = {"HTTP_IDEMPOTENCY_KEY": "a key"}


@pytest.fixture
def alice(make_user):
    return make_user("Alice", user_id=UUID("0a000000-0000-4000-8000-000000000000"))


@pytest.fixture
def bob(make_user):
    return make_user("Bob", user_id=UUID("0b000000-0000-4000-8000-000000000000"))


def test_a_repeat_finds_what_an_older_release_has_stored(api, alice, bob):
    body = {"participants": [str(bob.pk)]}
    conversation = api(alice).post(CONVERSATIONS, body, **KEY).json()
    assert conversation["conversation_id"] == "91cdc06c-e008-5ec8-9f8e-72f269958293"
    path = f"{CONVERSATIONS}{conversation['conversation_id']}/messages/"
    message = api(alice).post(path, {"message_body": "Hello"}, **KEY).json()
    assert message["message_id"] == "7f3f3adc-b346-5d4d-961b-b4e13ac0037f"


def test_a_distinct_conversation_of_an_older_release_is_found(alice, bob):
    first, _ = start_distinct({bob.pk}, actor=alice)
    assert str(first.pk) == "1cee0c04-2f68-50cb-ac64-01622820bea0"
    leave(first, actor=bob)
    second, _ = start_distinct({alice.pk}, actor=bob)
    assert second.pk.int == first.pk.int + 1
