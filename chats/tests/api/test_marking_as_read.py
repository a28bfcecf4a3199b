"""Marking as read concerns one conversation and one person."""

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
