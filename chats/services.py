"""Changes of state and their transactions. `actor` is the user who makes the change."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet, Subquery, Value
from django.db.models.functions import Least
from django.utils import timezone

from chats.clock import batched, lock, move_clocks
from chats.events.announcements import announce
from chats.models import (
    CONVERSATIONS_PER_TRANSACTION,
    MAX_PARTICIPANTS,
    Conversation,
    Message,
    Participation,
    User,
)
from chats.passwords import ERASED_PASSWORD
from chats.safety.models import Block
from chats.safety.reports import close, forget_former_texts
from chats.statements import ReadState, get_conversation, get_read_states, move_clock
from messaging_app.metrics import MESSAGES_SENT

# Never to be changed: ids derived from it are in the database.
DISTINCT_NAMESPACE = uuid.UUID("8d0c4c1e-9d2f-4a53-8a53-1f1f2a4f4f0b")
DISTINCT_MAX_NUMBER = 2**32
DISTINCT_EXAMINED = 20


class ConversationFull(Exception):
    """The conversation has MAX_PARTICIPANTS participants already."""


class IdempotencyKeyReused(Exception):
    """The key was used before, with another message body."""


class MessageDeleted(Exception):
    """A deleted message cannot be edited."""


class UnknownUsers(Exception):
    """`user_ids` do not belong to users whom the actor can reach."""

    def __init__(self, user_ids: set[uuid.UUID]) -> None:
        super().__init__(user_ids)
        self.user_ids = user_ids


def lock_reachable_users(user_ids: Iterable[uuid.UUID], actor: User | None = None) -> list[User]:
    """Lock the users, so that they are neither deleted nor deactivated, and do not block `actor`,
    until the transaction ends.

    Returns them. Raises UnknownUsers if one of them is not reachable, or has blocked `actor`.
    """
    users = lock(User.objects.reachable().filter(pk__in=user_ids))
    found = {user.pk for user in users}
    if actor:
        found -= get_blockers(user_ids, actor)
    if missing := set(user_ids) - found:
        raise UnknownUsers(missing)
    return users


def get_blockers(user_ids: Iterable[uuid.UUID], actor: User) -> set[uuid.UUID]:
    """Which of the users have blocked `actor`.

    To be asked after the users were locked: when PostgreSQL has waited for a lock, it reads only
    the locked row again.
    """
    blocks = Block.objects.filter(blocker__in=user_ids, blocked=actor)
    return set(blocks.values_list("blocker", flat=True))


def start(
    user_ids: Iterable[uuid.UUID],
    *,
    actor: User,
    conversation_id: uuid.UUID | None = None,
    title: str = "",
) -> tuple[Conversation, bool]:
    """Start a conversation between `actor` and the users of `user_ids`.

    Returns the conversation and whether it is new. With a `conversation_id` that exists it returns
    that one. Raises UnknownUsers.
    """
    if conversation_id and (found := Conversation.objects.filter(pk=conversation_id).first()):
        return found, False
    try:
        return insert(conversation_id or uuid.uuid4(), title, {actor.pk, *user_ids}, actor), True
    except IntegrityError:
        # Another request with this id was first.
        return Conversation.objects.get(pk=conversation_id), False


def start_distinct(
    user_ids: Iterable[uuid.UUID], *, actor: User, title: str = ""
) -> tuple[Conversation, bool]:
    """Like start(), but returns the distinct conversation of exactly these users if there is one.

    The first id is a UUIDv5 of the participants, and each further conversation takes the last id
    plus one. So the primary key refuses a duplicate. Only the newest DISTINCT_EXAMINED are searched
    for one that still has exactly these participants, however often somebody has left.
    """
    everybody = {actor.pk, *user_ids}
    first = uuid.uuid5(DISTINCT_NAMESPACE, f"{' '.join(sorted(map(str, everybody)))} 0")
    last = uuid.UUID(int=first.int + DISTINCT_MAX_NUMBER)
    newest = Conversation.objects.filter(pk__range=(first, last)).order_by("-pk")
    found = newest.filter(pk__in=newest.values("pk")[:DISTINCT_EXAMINED]).annotate(
        total=Count("participants"),
        expected=Count("participants", filter=Q(participants__in=everybody)),
    )
    for conversation in reversed(found):
        if conversation.total == conversation.expected == len(everybody):
            return conversation, False
    conversation_id = uuid.UUID(int=found[0].pk.int + 1) if found else first
    try:
        return insert(conversation_id, title, everybody, actor), True
    except IntegrityError:
        # Another request was first. It has started the same conversation.
        return start_distinct(user_ids, actor=actor, title=title)


def insert(
    conversation_id: uuid.UUID, title: str, user_ids: set[uuid.UUID], actor: User
) -> Conversation:
    with transaction.atomic():
        conversation = Conversation.objects.create(pk=conversation_id, title=title)
        read_at = conversation.updated_at
        Participation.objects.bulk_create(
            Participation(conversation=conversation, user=user, read_at=read_at)
            for user in lock_reachable_users(user_ids, actor)
        )
        announce([conversation.pk])
        return conversation


def rename(conversation: Conversation, title: str, *, actor: User) -> None:
    """Changes nothing if it is the title already. Raises Conversation.DoesNotExist if `actor` is
    not a participant."""
    with transaction.atomic():
        locked = get_conversation(actor, conversation.pk, lock=True)
        if locked.title != title:
            move_clock(locked, actor)
            Conversation.objects.filter(pk=locked.pk).update(title=title)


def add_participant(conversation: Conversation, user_id: uuid.UUID, *, actor: User) -> None:
    """Changes nothing if the user is a participant already.

    Raises UnknownUsers, ConversationFull, and Conversation.DoesNotExist if `actor` is not a
    participant.
    """
    with transaction.atomic():
        users = lock(User.objects.reachable().filter(pk=user_id))
        has_blocked_actor = bool(get_blockers([user_id], actor))
        lock(Conversation.objects.filter(pk=conversation.pk))
        participant_ids = set(conversation.participants.values_list("pk", flat=True))
        if actor.pk not in participant_ids:
            raise Conversation.DoesNotExist
        is_participant = user_id in participant_ids
        # Adding a participant must not tell whether they have blocked `actor`.
        if not users or (has_blocked_actor and not is_participant):
            raise UnknownUsers({user_id})
        if is_participant:
            return
        if len(participant_ids) >= MAX_PARTICIPANTS:
            raise ConversationFull
        conversation.participants.add(*users)


def remove_participant(conversation: Conversation, user_id: uuid.UUID, *, actor: User) -> None:
    """Changes nothing if the user is not a participant. Raises Conversation.DoesNotExist if `actor`
    is not."""
    with transaction.atomic():
        lock(Conversation.objects.filter(pk=conversation.pk))
        participant_ids = set(conversation.participants.values_list("pk", flat=True))
        if actor.pk not in participant_ids:
            raise Conversation.DoesNotExist
        if user_id in participant_ids:
            conversation.participants.remove(User(pk=user_id))


def leave(conversation: Conversation, *, actor: User) -> None:
    """Changes nothing if `actor` is not a participant."""
    conversation.participants.remove(actor)


def mark_as_read(conversation: Conversation, read_at: datetime, *, actor: User) -> ReadState:
    """Everything up to `read_at`, or to the clock if that is earlier, is read by `actor`.

    The stored `read_at` never moves back. Returns the ReadState. Raises Conversation.DoesNotExist
    if `actor` is not a participant.
    """
    clock = Conversation.objects.filter(pk=conversation.pk).values("updated_at")
    new_read_at = Least(Value(read_at), Subquery(clock))
    behind = Participation.objects.filter(
        conversation=conversation, user=actor, read_at__lt=new_read_at
    )
    # Only transactions wait in SQLite's queue of writers.
    with transaction.atomic():
        if behind.update(read_at=new_read_at):
            announce([conversation.pk])
    states = get_read_states(actor, [conversation.pk])
    if not states:
        raise Conversation.DoesNotExist
    return states[conversation.pk]


def send(
    conversation: Conversation,
    message_body: str,
    *,
    actor: User,
    message_id: uuid.UUID | None = None,
) -> tuple[Message, bool]:
    """Returns the message and whether it is new. Of `conversation` only the key is read.

    With a `message_id` that exists it returns that one, or raises IdempotencyKeyReused if it was
    sent with another body. Raises Conversation.DoesNotExist if `actor` is not a participant.
    """
    with transaction.atomic():
        locked = get_conversation(actor, conversation.pk, lock=True)
        if message_id and (sent := Message.objects.as_shown().filter(pk=message_id).first()):
            is_unchanged = sent.updated_at == sent.sent_at
            if is_unchanged and sent.message_body != message_body:
                raise IdempotencyKeyReused
            return sent, False
        clock = move_clock(locked, actor)
        message = Message(
            pk=message_id or uuid.uuid4(),
            sender=actor,
            conversation=locked,
            message_body=message_body,
            sent_at=clock,
            updated_at=clock,
        )
        # save() would lock the row and move the clock a second time.
        Message.objects.bulk_create([message])
        transaction.on_commit(MESSAGES_SENT.inc)
        return message, True


def edit(message: Message, message_body: str, *, actor: User) -> Message:
    """Returns the message as it is stored now. The same text again changes nothing.

    Raises MessageDeleted, and Conversation.DoesNotExist if `actor` is not a participant.
    """
    with transaction.atomic():
        locked = get_conversation(actor, message.conversation_id, lock=True)
        message = Message.objects.as_shown().get(pk=message.pk)
        if message.is_deleted:
            raise MessageDeleted
        if message.message_body != message_body:
            rewrite(message, message_body, move_clock(locked, actor))
        return message


def delete(message: Message, *, actor: User) -> None:
    """Remove the text of a message for good. Its row stays, so that others see the deletion.

    Changes nothing if the message is deleted already. Raises Conversation.DoesNotExist if `actor`
    is not a participant.
    """
    with transaction.atomic():
        locked = get_conversation(actor, message.conversation_id, lock=True)
        message = Message.objects.as_shown().get(pk=message.pk)
        if not message.is_deleted:
            rewrite(message, "", move_clock(locked, actor))


def delete_for_staff(message: Message) -> None:
    """Like delete(), for staff, who need not take part. Closes the reports of the message.

    Raises Message.DoesNotExist.
    """
    conversations = Conversation.objects.filter(pk=message.conversation_id)
    with transaction.atomic():
        lock(conversations)
        message = Message.objects.as_shown().get(pk=message.pk)
        if not message.is_deleted:
            rewrite(message, "", move_clocks(conversations)[message.conversation_id])
        close([message.pk])


def rewrite(message: Message, message_body: str, clock: datetime) -> None:
    message.message_body, message.updated_at = message_body, clock
    # save() would lock the row and move the clock a second time.
    Message.objects.filter(pk=message.pk).update(message_body=message_body, updated_at=clock)


def change_profile(user: User, **fields: str) -> User:
    """Writes only these fields: staff may be changing the others. Returns the user as stored now.

    Raises User.DoesNotExist if the user was deactivated or deleted since they were read.
    """
    active = User.objects.active().filter(pk=user.pk)
    # Only transactions wait in SQLite's queue of writers.
    with transaction.atomic():
        active.update(**fields)
    return active.get()


def confirm_email(user: User, email: str) -> bool:
    """The user has followed a link to `email`, their current address or a new one. Writes it, and
    that it is verified.

    Returns False, and writes nothing, if the user was deactivated, or if the address, its
    verification or the password was changed, since they were read. Raises IntegrityError if
    somebody else has the address.
    """
    return user.update_if_unchanged(
        {"email", "email_verified_at", "password"}, email=email, email_verified_at=timezone.now()
    )


def rename_in_log(user_id: uuid.UUID, name: str) -> None:
    """The admin's history names the user by the address that they had."""
    content_type = ContentType.objects.get_for_model(User)
    entries = LogEntry.objects.filter(content_type=content_type, object_id=user_id)
    entries.update(object_repr=name)


def erase(user: User, allowed_users: QuerySet[User] | None = None) -> None:
    """Erase the person: remove them from all conversations, clear their personal data and free
    their address. Their messages stay, with this row as the sender.

    Raises User.DoesNotExist if the row was deleted, or is not in `allowed_users`. Leaves all
    conversations first, so that an interrupted erasure can be repeated.
    """
    row = (User.objects if allowed_users is None else allowed_users).filter(pk=user.pk)
    if not row.exists():
        raise User.DoesNotExist
    left = user.leave_conversations()
    # From now on, they cannot change their messages any more.
    forget_former_texts(user)
    for blocks in (user.blocks, user.blocks_by_others):
        blocks.delete_in_parts()
    with transaction.atomic():
        if not lock(row):
            raise User.DoesNotExist
        # What was added since.
        user.conversations.clear()
        Block.objects.filter(Q(blocker=user) | Q(blocked=user)).delete()
        user.groups.clear()
        user.user_permissions.clear()
        user.reports.update(reporter=None)
        User.objects.filter(pk=user.pk).update(
            first_name="Deleted",
            last_name="user",
            # Random, so that nobody can have registered it.
            email=f"{uuid.uuid4()}@erased.invalid",
            phone_number="",
            role=User.Role.GUEST,
            password=ERASED_PASSWORD,
            is_active=False,
            is_staff=False,
            is_superuser=False,
            last_login=None,
            email_verified_at=None,
        )
        user.refresh_from_db()
        rename_in_log(user.pk, str(user))
    # Cached pages of conversations that they had left earlier still show their name: invalidate
    # them.
    wrote_in = set(user.sent_messages.values_list("conversation", flat=True).distinct())
    for keys in batched(wrote_in.difference(left), CONVERSATIONS_PER_TRANSACTION):
        with transaction.atomic():
            move_clocks(Conversation.objects.filter(pk__in=keys))
