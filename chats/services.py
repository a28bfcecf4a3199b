"""Changes of state and their transactions."""

import uuid

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone

from chats.clock import batched, get_next_value, lock, move_clocks
from chats.models import (
    CONVERSATIONS_PER_TRANSACTION,
    ERASED_EMAIL_ENDING,
    MAX_PARTICIPANTS,
    Conversation,
    Message,
    User,
)
from chats.statements import get_conversation, move_clock


class UnknownUsers(Exception):
    """`user_ids` do not belong to active users."""

    def __init__(self, user_ids):
        super().__init__(user_ids)
        self.user_ids = user_ids


class ConversationFull(Exception):
    """The conversation has MAX_PARTICIPANTS participants already."""


class IdempotencyKeyReused(Exception):
    """The key was used before, with another message body."""


def lock_active_users(user_ids):
    """Lock the users, so that they are neither deleted nor deactivated until the transaction ends.

    Returns them. Raises UnknownUsers.
    """
    users = lock(User.objects.active().filter(pk__in=user_ids))
    if missing := set(user_ids).difference(user.pk for user in users):
        raise UnknownUsers(missing)
    return users


def start(creator, user_ids, conversation_id=None):
    """Start a conversation between `creator` and the users of `user_ids`.

    Returns the conversation and whether it is new. With a `conversation_id` that exists it returns
    that one. Raises UnknownUsers.
    """
    with transaction.atomic():
        conversation, created = Conversation.objects.get_or_create(
            pk=conversation_id or uuid.uuid4()
        )
        if created:
            through = Conversation.participants.through
            through.objects.bulk_create(
                through(conversation=conversation, user=user)
                for user in lock_active_users({creator.pk, *user_ids})
            )
        return conversation, created


def add_participant(conversation, user_id, by):
    """Add the user on behalf of the participant `by`. Changes nothing if the user is one already.

    Raises UnknownUsers, ConversationFull, and Conversation.DoesNotExist if `by` is not a
    participant.
    """
    with transaction.atomic():
        [user] = lock_active_users([user_id])
        lock(Conversation.objects.filter(pk=conversation.pk))
        participant_ids = set(conversation.participants.values_list("pk", flat=True))
        if by.pk not in participant_ids:
            raise Conversation.DoesNotExist
        if user.pk in participant_ids:
            return
        if len(participant_ids) >= MAX_PARTICIPANTS:
            raise ConversationFull
        conversation.participants.add(user)


def leave(conversation, user):
    """Changes nothing if the user is not a participant."""
    conversation.participants.remove(user)


def send(conversation, sender, message_body, message_id=None):
    """Write a message.

    Returns the message and whether it is new. With a `message_id` that exists it returns that one,
    or raises IdempotencyKeyReused if its body is another one. Raises Conversation.DoesNotExist if
    `sender` is not a participant.
    """
    message = Message(
        pk=message_id or uuid.uuid4(),
        sender=sender,
        conversation=conversation,
        message_body=message_body,
    )
    with transaction.atomic():
        locked = get_conversation(sender, conversation.pk, lock=True)
        if message_id and (sent := Message.objects.filter(pk=message_id).first()):
            if sent.message_body != message_body:
                raise IdempotencyKeyReused
            sent.sender = sender
            return sent, False
        message.sent_at = get_next_value(locked.updated_at, timezone.now())
        # The second membership check, now that the row is locked.
        if not move_clock(sender, conversation.pk, message.sent_at):
            raise Conversation.DoesNotExist
        # save() would lock the row and move the clock a second time.
        Message.objects.bulk_create([message])
        return message, True


def erase(user, users=None):
    """Erase the person: remove them from all conversations, clear their personal data and free
    their address. Their messages stay, with this row as the sender.

    Raises User.DoesNotExist if the row was deleted, or is not in the queryset `users`. Leaves all
    conversations first, so that an interrupted erasure can be repeated.
    """
    row = (User.objects if users is None else users).filter(pk=user.pk)
    if not row.exists():
        raise User.DoesNotExist
    left = user.leave_conversations()
    with transaction.atomic():
        if not lock(row):
            raise User.DoesNotExist
        # Conversations that they were added to in the meantime.
        user.conversations.clear()
        user.groups.clear()
        user.user_permissions.clear()
        User.objects.filter(pk=user.pk).update(
            first_name="Deleted",
            last_name="user",
            # Random, so that nobody can have registered it.
            email=f"{uuid.uuid4()}{ERASED_EMAIL_ENDING}",
            phone_number="",
            role=User.Role.GUEST,
            password=make_password(None),
            is_active=False,
            is_staff=False,
            is_superuser=False,
            last_login=None,
        )
        user.refresh_from_db()
        # The admin's history names the row as it was.
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(User), object_id=user.pk
        ).update(object_repr=str(user))
    # So that no cached page of a conversation that they had left before shows their name.
    wrote_in = set(user.sent_messages.values_list("conversation", flat=True).distinct())
    for keys in batched(wrote_in.difference(left), CONVERSATIONS_PER_TRANSACTION):
        with transaction.atomic():
            move_clocks(Conversation.objects.filter(pk__in=keys))
