"""Signal receivers for participants who are added or removed: by the API, the admin or a shell, and
from either end of the relation."""

from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.signals import m2m_changed
from django.dispatch import receiver

from chats.clock import lock, move_clocks
from chats.models import Conversation, Participation, User


@receiver(m2m_changed, sender=Participation)
def move_clocks_of_changed_conversations(
    instance: Any, action: str, reverse: bool, pk_set: set | None, **kwargs: Any
) -> None:
    """Runs before the change. `instance` is a user if `reverse`, otherwise a conversation.

    `pk_set` is None on a clear, and empty if all users to add are participants already.
    """
    if action not in {"pre_add", "pre_remove", "pre_clear"} or pk_set == set():
        return
    changed: tuple = ([instance.pk], pk_set) if reverse else (pk_set, [instance.pk])
    user_ids, conversation_ids = changed
    if action == "pre_add":
        # Waits for an erasure or deletion in progress, so that it also removes this participation.
        lock(User.objects.filter(pk__in=user_ids))
    if conversation_ids is None:
        move_clocks(Conversation.objects.for_user(instance))
    else:
        move_clocks(Conversation.objects.filter(pk__in=conversation_ids))


@receiver(m2m_changed, sender=Participation)
def mark_as_read_by_newcomers(
    instance: Any, action: str, reverse: bool, pk_set: Any, **kwargs: Any
) -> None:
    """Participants who were just added have read everything."""
    if action == "post_add":
        user_ids, conversation_ids = ([instance.pk], pk_set) if reverse else (pk_set, [instance.pk])
        added = Participation.objects.filter(user__in=user_ids, conversation__in=conversation_ids)
        clock = Conversation.objects.filter(pk=OuterRef("conversation")).values("updated_at")
        added.update(read_at=Subquery(clock))
