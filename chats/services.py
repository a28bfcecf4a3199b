"""Changes of state and their transactions."""

import uuid
from contextlib import suppress

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Subquery, Value
from django.db.models.functions import Least
from django.utils import timezone

from chats.clock import batched, get_next_value, lock, lock_one, move_clocks, move_one_clock
from chats.models import (
    CONVERSATIONS_PER_TRANSACTION,
    ERASED_EMAIL_ENDING,
    MAX_PARTICIPANTS,
    Conversation,
    Message,
    Participation,
    User,
)
from chats.statements import get_conversation, get_read_states, move_clock


class UnknownUsers(Exception):
    """`user_ids` do not belong to active users."""

    def __init__(self, user_ids):
        super().__init__(user_ids)
        self.user_ids = user_ids


def lock_active_users(user_ids):
    """Lock the users, so that they are neither deleted nor deactivated until the transaction ends.

    Returns them. Raises UnknownUsers.
    """
    users = lock(User.objects.active().filter(pk__in=user_ids))
    if missing := set(user_ids).difference(user.pk for user in users):
        raise UnknownUsers(missing)
    return users


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


# Never to be changed: ids derived from it are in the database.
DISTINCT_NAMESPACE = uuid.UUID("8d0c4c1e-9d2f-4a53-8a53-1f1f2a4f4f0b")
DISTINCT_IDS_PER_QUERY = 100


class ConversationFull(Exception):
    """The conversation has MAX_PARTICIPANTS participants already."""


def start(creator, user_ids, conversation_id=None, title=""):
    """Start a conversation between `creator` and the users of `user_ids`.

    Returns the conversation and whether it is new. With a `conversation_id` that exists it returns
    that one. Raises UnknownUsers.
    """
    if conversation_id:
        for conversation in Conversation.objects.filter(pk=conversation_id):
            return conversation, False
    try:
        return insert(creator, user_ids, conversation_id or uuid.uuid4(), title), True
    except IntegrityError:
        # Another request with this id was first.
        return Conversation.objects.get(pk=conversation_id), False


def start_distinct(creator, user_ids, title=""):
    """Like start(), but returns the distinct conversation of exactly these users if there is one.

    Its id is derived from the users and a number, which counts up while the conversation with that
    id has other participants by now. So the database itself refuses a second one.
    """
    everybody = {creator.pk, *user_ids}
    number_here = Count("participants", filter=Q(participants__in=everybody))
    name = " ".join(sorted(map(str, everybody)))
    first = 0
    while True:
        numbers = range(first, first + DISTINCT_IDS_PER_QUERY)
        ids = [uuid.uuid5(DISTINCT_NAMESPACE, f"{name} {number}") for number in numbers]
        taken = Conversation.objects.annotate(total=Count("participants"), here=number_here)
        taken = taken.in_bulk(ids)
        for conversation_id in ids:
            conversation = taken.get(conversation_id)
            if conversation is None:
                with suppress(IntegrityError):
                    return insert(creator, user_ids, conversation_id, title), True
                # Another request was first. Look again.
                break
            if conversation.total == conversation.here == len(everybody):
                return conversation, False
        else:
            first = numbers.stop


def insert(creator, user_ids, conversation_id, title):
    with transaction.atomic():
        conversation = Conversation.objects.create(pk=conversation_id, title=title)
        read_at = conversation.updated_at
        Participation.objects.bulk_create(
            Participation(conversation=conversation, user=user, read_at=read_at)
            for user in lock_active_users({creator.pk, *user_ids})
        )
        return conversation


def rename(conversation, user, title):
    """Changes nothing if it is the title already. Raises Conversation.DoesNotExist if `user` is not
    a participant."""
    conversations = Conversation.objects.for_user(user).filter(pk=conversation.pk)
    with transaction.atomic():
        if lock_one(conversations).title != title:
            move_one_clock(conversations)
            Conversation.objects.filter(pk=conversation.pk).update(title=title)


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


def mark_as_read(conversation, user, read_at):
    """Everything up to `read_at`, or to the clock if that is earlier, is read by the user.

    Only moves forward. Returns the user's `read_at` and `unread_count`. Raises
    Conversation.DoesNotExist if the user is not a participant.
    """
    clock = Conversation.objects.filter(pk=conversation.pk).values("updated_at")
    reached = Least(Value(read_at), Subquery(clock))
    unread = Participation.objects.filter(conversation=conversation, user=user, read_at__lt=reached)
    with transaction.atomic():
        unread.update(read_at=reached)
    for state in get_read_states(user, [conversation.pk]).values():
        return state
    raise Conversation.DoesNotExist


class IdempotencyKeyReused(Exception):
    """The key was used before, with another message body."""


class MessageDeleted(Exception):
    """A deleted message cannot be edited."""


def send(conversation, sender, message_body, message_id=None):
    """Write a message.

    Returns the message and whether it is new. With a `message_id` that exists it returns that one,
    or raises IdempotencyKeyReused if it was sent with another body. Raises
    Conversation.DoesNotExist if `sender` is not a participant.
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
            is_unchanged = sent.updated_at == sent.sent_at
            if is_unchanged and sent.message_body != message_body:
                raise IdempotencyKeyReused
            sent.sender = sender
            return sent, False
        message.sent_at = get_next_value(locked.updated_at, timezone.now())
        message.updated_at = message.sent_at
        # The second membership check, now that the row is locked.
        if not move_clock(sender, conversation.pk, message.sent_at):
            raise Conversation.DoesNotExist
        # save() would lock the row and move the clock a second time.
        Message.objects.bulk_create([message])
        return message, True


def edit(message, author, message_body):
    """Returns the message as it is stored now. The same text again changes nothing.

    Raises MessageDeleted, and Conversation.DoesNotExist if `author` is not a participant.
    """
    conversations = Conversation.objects.for_user(author).filter(pk=message.conversation_id)
    with transaction.atomic():
        lock_one(conversations)
        message = Message.objects.with_sender().get(pk=message.pk)
        if message.is_deleted:
            raise MessageDeleted
        if message.message_body != message_body:
            rewrite(message, message_body, conversations)
        return message


def delete(message, author=None):
    """Remove the text of a message for good. Its row stays, so that others see the deletion.

    On behalf of staff without an `author`. Raises Conversation.DoesNotExist if `author` is not a
    participant. Changes nothing if the message is deleted already.
    """
    conversations = Conversation.objects.for_user(author) if author else Conversation.objects.all()
    conversations = conversations.filter(pk=message.conversation_id)
    with transaction.atomic():
        lock_one(conversations)
        message = Message.objects.get(pk=message.pk)
        if not message.is_deleted:
            rewrite(message, "", conversations)


def rewrite(message, message_body, conversations):
    message.message_body, message.updated_at = message_body, move_one_clock(conversations)
    # save() would lock the row and move the clock a second time.
    Message.objects.filter(pk=message.pk).update(
        message_body=message.message_body, updated_at=message.updated_at
    )
