import uuid
from contextlib import suppress

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, Subquery, Value
from django.db.models.functions import Least

from chats.clock import lock, lock_one, move_one_clock
from chats.models import MAX_PARTICIPANTS, Conversation, Participation
from chats.services.users import lock_active_users
from chats.statements import get_read_states

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
