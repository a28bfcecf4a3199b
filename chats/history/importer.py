"""Writes the lines of a history.

Primary keys are derived from the source's ids (UUIDv5), so a line that was imported before is
recognised. The times of messages and edits move the clock of their conversation forward, as if they
happened now. Participants are added last: nobody reads or writes in a conversation before it is
complete.
"""

import secrets
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from chats.clock import STEP, batched, lock
from chats.history.lines import Line, LineError
from chats.models import Conversation, Message, Participation, User

# Never to be changed: ids derived from it are in the database.
NAMESPACE = UUID("0b8f3c52-6f0e-4d8e-9b57-3c2f6a7e1d94")
# Others write between two transactions.
LINES_PER_TRANSACTION = 500
# With at most 256 participants each.
CONVERSATIONS_PER_TRANSACTION = 10
# Equal times in a conversation are moved apart, by a microsecond each.
MAX_SHIFT = timedelta(seconds=1)
LAST_CHANGE = Subquery(
    Message.objects.filter(conversation=OuterRef("pk"))
    .order_by("-updated_at")
    .values("updated_at")[:1]
)


class Importer:
    def __init__(self, source: str) -> None:
        self.source = source
        # Nobody knows it. It is usable, so that people can reset it by e-mail.
        self.password = make_password(secrets.token_urlsafe())
        # The keys of the users in the file, and those of each conversation.
        self.users: dict[str, UUID] = {}
        self.participants: dict[UUID, set[UUID]] = {}
        # The keys of the conversations that have never had any participants.
        self.incomplete: set[UUID] = set()
        # How many rows are new, by their kind.
        self.added = dict.fromkeys(["users", "conversations", "messages", "edits"], 0)

    def get_key(self, kind: str, source_id: str) -> UUID:
        # A source contains no line break, so the separator is unambiguous.
        return uuid5(NAMESPACE, f"{self.source}\n{kind}\n{source_id}")

    def get_message_keys(self, line: Line) -> tuple[UUID, UUID]:
        """Those of the conversation and of the message."""
        conversation = self.get_key("conversation", line.data["conversation"])
        return conversation, uuid5(conversation, line.data["id"])

    def write(self, lines: Iterable[Line]) -> Iterator[tuple[int, LineError]]:
        """Yields the number of each line that does not fit what is stored, and the error."""
        for batch in batched(lines, LINES_PER_TRANSACTION):
            self.write_users([line.data for line in batch if line.type == "user"])
            self.write_conversations([line.data for line in batch if line.type == "conversation"])
            yield from self.write_messages(
                [line for line in batch if line.type in {"message", "edit"}]
            )
        self.add_participants()

    def write_users(self, rows: list[dict]) -> None:
        """A user with the same e-mail address is the same person."""
        keys = {row["id"]: self.get_key("user", row["id"]) for row in rows}
        emails = [row["email"] for row in rows]
        stored = User.objects.filter(Q(pk__in=keys.values()) | Q(email__in=emails))
        count = stored.count()
        users = [
            User(
                pk=keys[row["id"]],
                password=self.password,
                **{name: value for name, value in row.items() if name != "id"},
            )
            for row in rows
        ]
        # Only transactions wait in SQLite's queue of writers.
        with transaction.atomic():
            User.objects.bulk_create(users, ignore_conflicts=True)
        email_by_key = dict(stored.values_list("pk", "email"))
        key_by_email = {email: key for key, email in email_by_key.items()}
        for row in rows:
            key = keys[row["id"]]
            self.users[row["id"]] = key if key in email_by_key else key_by_email[row["email"]]
        self.added["users"] += len(email_by_key) - count

    def write_conversations(self, rows: list[dict]) -> None:
        conversations = {}
        for row in rows:
            key = self.get_key("conversation", row["id"])
            conversations[key] = Conversation(
                pk=key,
                title=row["title"],
                created_at=row["created_at"],
                updated_at=row["created_at"],
            )
            self.participants[key] = {self.users[user_id] for user_id in row["participants"]}
        stored = Conversation.objects.filter(pk__in=conversations)
        count = stored.count()
        with transaction.atomic():
            Conversation.objects.bulk_create(conversations.values(), ignore_conflicts=True)
        # Whoever joins or leaves moves the clock beyond the last message.
        self.incomplete.update(
            stored.filter(
                participants=None, updated_at=Coalesce(LAST_CHANGE, F("created_at"))
            ).values_list("pk", flat=True)
        )
        self.added["conversations"] += len(conversations) - count

    def write_messages(self, lines: list[Line]) -> list[tuple[int, LineError]]:
        errors = []
        changed: dict[UUID, Message] = {}
        keys = [self.get_message_keys(line) for line in lines]
        with transaction.atomic():
            rows = lock(Conversation.objects.filter(pk__in={key for key, _ in keys}))
            conversations = {row.pk: row for row in rows}
            messages = Message.objects.in_bulk({key for _, key in keys})
            for line, (conversation_key, key) in zip(lines, keys, strict=True):
                message = messages.get(key)
                try:
                    if message and is_written(line, message):
                        continue
                    if line.type == "edit" and message is None:
                        raise LineError("The conversation has no message with this id.")
                    clock = move_clock(conversations.get(conversation_key), line.moment)
                except LineError as error:
                    errors.append((line.number, error))
                    continue
                if message is None:
                    message = Message(
                        pk=key,
                        conversation_id=conversation_key,
                        sender_id=self.users[line.data["sender"]],
                        sent_at=clock,
                    )
                message.message_body = line.data["message_body"] or ""
                message.updated_at = clock
                messages[key] = changed[key] = message
                self.added[f"{line.type}s"] += 1
            old = [message for message in changed.values() if not message._state.adding]
            Message.objects.bulk_create(
                message for message in changed.values() if message._state.adding
            )
            Message.objects.bulk_update(old, ["message_body", "updated_at"])
            moved = {message.conversation_id for message in changed.values()}
            incomplete = moved & self.incomplete
            Conversation.objects.filter(pk__in=incomplete).update(updated_at=LAST_CHANGE)
            Conversation.objects.filter(pk__in=moved - incomplete).update(
                updated_at=LAST_CHANGE + STEP
            )
        return errors

    def add_participants(self) -> None:
        """To the conversations that have never had any."""
        for keys in batched(self.incomplete, CONVERSATIONS_PER_TRANSACTION):
            user_ids = set().union(*(self.participants[key] for key in keys))
            conversations = Conversation.objects.filter(pk__in=keys)
            with transaction.atomic():
                users = lock(User.objects.filter(pk__in=user_ids))
                people = {user.pk for user in users if not user.is_erased}
                lock(conversations)
                complete = list(
                    conversations.filter(
                        participants=None, updated_at=Coalesce(LAST_CHANGE, F("created_at"))
                    )
                )
                Participation.objects.bulk_create(
                    Participation(conversation=row, user_id=user_id, read_at=row.updated_at + STEP)
                    for row in complete
                    for user_id in self.participants[row.pk] & people
                )
                conversations.filter(pk__in=[row.pk for row in complete]).update(
                    updated_at=F("updated_at") + STEP
                )


def is_written(line: Line, message: Message) -> bool:
    """Whether an earlier import wrote the line, or the message was changed here since."""
    if line.type == "message":
        if abs(message.sent_at - line.moment) > MAX_SHIFT:
            raise LineError("Another message of the conversation has this id.")
        return True
    return message.updated_at > message.sent_at and message.updated_at >= line.moment


def move_clock(conversation: Conversation | None, moment: datetime) -> datetime:
    """Move the clock of a locked conversation, which is not saved, to the moment or just beyond."""
    if conversation is None:
        raise LineError("The conversation was deleted.")
    if conversation.updated_at - moment >= MAX_SHIFT:
        raise LineError(
            "The conversation has changed since, so its participants would miss what is earlier "
            f"than {conversation.updated_at.isoformat()}."
        )
    conversation.updated_at = max(moment, conversation.updated_at + STEP)
    return conversation.updated_at
