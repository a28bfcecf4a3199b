"""Marking as read concerns one conversation and one person."""

import pytest

from chats.models import Participation
from chats.services import mark_as_read, send, start


def test_other_conversations_and_other_people_stay_unread(alice, bob, carol, conversation):
    conversation.participants.add(carol)
    other, _ = start({bob.pk}, actor=alice)
    for found in (conversation, other):
        message, _ = send(found, "Hello", actor=alice)
    others = Participation.objects.exclude(user=bob, conversation=conversation)
    before = list(others.order_by("pk").values())
    state = mark_as_read(conversation, message.sent_at, actor=bob)
    assert state.unread_count == 0
    assert list(others.order_by("pk").values()) == before


@pytest.mark.parametrize("end", ["conversation", "user"])
def test_joining_one_conversation_leaves_the_others_unread(alice, bob, carol, message, end):
    joined, _ = start({carol.pk}, actor=alice)
    unread = Participation.objects.filter(user=bob, conversation=message.conversation)
    before = unread.values().get()
    if end == "conversation":
        joined.participants.add(bob)
    else:
        bob.conversations.add(joined)
    assert unread.values().get() == before
