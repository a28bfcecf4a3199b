"""Whoever is deleted leaves every conversation, and the others see it."""

from django.db.models.signals import m2m_changed

from chats.models import Conversation, Participation, User


def test_conversation_joined_during_the_deletion_is_left_too(bob, carol, conversation):
    """After their other conversations were left, and before their row is locked."""
    conversation.participants.add(carol)
    late = Conversation.objects.create()
    late.participants.add(bob)
    clocks = []

    def add(instance, action, **kwargs):
        if action == "post_remove":
            late.participants.add(carol)
            clocks.append(Conversation.objects.get(pk=late.pk).updated_at)

    m2m_changed.connect(add, sender=Participation)
    try:
        carol.delete()
    finally:
        m2m_changed.disconnect(add, sender=Participation)
    assert not User.objects.filter(first_name="Carol").exists()
    assert list(late.participants.all()) == [bob]
    late.refresh_from_db()
    assert late.updated_at > clocks[0]
