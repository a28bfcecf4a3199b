"""Who does not want to be reached by whom. `actor` is the user who makes the change."""

import uuid

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from chats.clock import batched, lock
from chats.models import CONVERSATIONS_PER_TRANSACTION, Conversation, Participation, User
from chats.safety.models import Block


def block(user_id: uuid.UUID, *, actor: User) -> None:
    """`actor` leaves the conversations that only these two share, even if the block exists already:
    so a repeated call completes one that was interrupted.

    Raises User.DoesNotExist if one of them does not exist, or was erased.
    """
    with transaction.atomic():
        # A start or an addition by the other locks `actor` too, so it ends before, or begins after.
        users = lock(User.objects.filter(pk__in=[actor.pk, user_id]))
        if {user.pk for user in users if not user.is_erased} != {actor.pk, user_id}:
            raise User.DoesNotExist
        Block.objects.bulk_create([Block(blocker=actor, blocked_id=user_id)], ignore_conflicts=True)
    leave_conversations_of_two(user_id, actor=actor)


def unblock(user_id: uuid.UUID, *, actor: User) -> None:
    # Only transactions wait in SQLite's queue of writers.
    with transaction.atomic():
        Block.objects.filter(blocker=actor, blocked=user_id).delete()


def leave_conversations_of_two(user_id: uuid.UUID, *, actor: User) -> None:
    """CONVERSATIONS_PER_TRANSACTION at a time. Others write between two of these transactions."""
    conversations = get_conversations_of_two(actor.pk, user_id)
    keys = list(conversations.values_list("pk", flat=True))
    for chunk in batched(keys, CONVERSATIONS_PER_TRANSACTION):
        with transaction.atomic():
            lock(Conversation.objects.filter(pk__in=chunk))
            # Not those that somebody else has joined since.
            actor.conversations.remove(*conversations.filter(pk__in=chunk))


def get_conversations_of_two(*user_ids: uuid.UUID) -> QuerySet[Conversation]:
    first, second = user_ids
    others = Participation.objects.filter(conversation=OuterRef("pk")).exclude(user__in=user_ids)
    shared = Conversation.objects.for_user(first).filter(participants=second)
    return shared.filter(~Exists(others))
