"""A release whose JSON has other fields does not show what the release before it has stored."""

import runpy

import pytest
from django.db import connection

from chats import caching
from chats.serializers import ConversationSerializer, MessageSerializer, PublicProfileSerializer
from chats.statements import get_clocks

CONVERSATIONS = "/api/conversations/"


def get_keys(user, conversation):
    """As a process computes them that starts now."""
    started = runpy.run_path(caching.__file__)
    return {
        started["get_conversation_key"](conversation),
        started["get_inbox_key"](user, get_clocks(user)),
    }


@pytest.mark.parametrize(
    "serializer", [PublicProfileSerializer, MessageSerializer, ConversationSerializer]
)
def test_a_serializer_with_another_field_changes_every_key(alice, conversation, serializer):
    before = get_keys(alice, conversation)
    assert before == get_keys(alice, conversation)
    fields = serializer.Meta.fields
    fields.append("a_later_field")
    try:
        after = get_keys(alice, conversation)
    finally:
        fields.remove("a_later_field")
    assert len(before | after) == 4


@pytest.mark.parametrize("path", ["", "{conversation}/", "{conversation}/messages/", "/messages/"])
def test_a_page_of_another_version_is_not_shown(api, alice, bob, message, monkeypatch, path):
    path = path.format(conversation=message.conversation_id)
    path = f"/api{path}" if path.startswith("/") else f"{CONVERSATIONS}{path}"
    before = api(alice).get(path).json()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chats_message SET message_body = 'changed'")
    assert api(alice).get(path).json() == before
    monkeypatch.setattr(caching, "JSON_VERSION", "later")
    assert "changed" in api(alice).get(path).content.decode()
