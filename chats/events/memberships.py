"""What connected users take part in, as the database last said. Compared with what it says now, it
tells what has changed for whom: in whatever way it was changed, and by whomever."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Set
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from chats.clock import batched
from chats.models import Conversation, Participation
from chats.serializers import to_json
from chats.statements import convert, fetch, get_parameters

USERS_PER_QUERY = 1_000
# A conversation has up to 256 rows.
CONVERSATIONS_PER_QUERY = 100
# An expression whose value changes with every commit of others. SQLite counts them for each
# connection.
VERSION = {
    "sqlite": "(SELECT data_version FROM pragma_data_version)",
    "postgresql": "pg_current_snapshot()::text",
}
KEYS = {
    "sqlite": "IN (SELECT value FROM json_each(%s))",
    "postgresql": "= ANY(%s)",
}
MEMBERSHIPS = """
    SELECT participant.user_id, participant.conversation_id, conversation.updated_at,
        participant.read_at
    FROM chats_conversation_participants participant
    JOIN chats_conversation conversation
        ON conversation.conversation_id = participant.conversation_id
    WHERE participant.{column} {keys}
"""
PASSWORDS = """
    SELECT user_id, password, {version} FROM chats_user WHERE is_active AND user_id {keys}
"""
FIELDS = {
    "conversation_id": Conversation._meta.pk,
    "updated_at": Conversation._meta.get_field("updated_at"),
    "read_at": Participation._meta.get_field("read_at"),
}

# A primary key as the database driver returns it.
Key = Any


class State(NamedTuple):
    """As the database driver returns it."""

    updated_at: Any
    read_at: Any


class Change(NamedTuple):
    user: Key
    conversation: Key
    # conversation, read or left
    event: str
    text: bytes


States = dict[Key, State]


class Memberships:
    """Not thread-safe."""

    def __init__(self) -> None:
        self.known: dict[Key, States] = {}
        self.reset()

    def reset(self) -> None:
        """Everything is to be read again, because a query failed."""
        # Of the last update, and of the next one. Each with its connection.
        self.version: tuple[Any, Any] | None = None
        self.next_version: tuple[Any, Any] | None = None

    def follow(self, users: Set[Key]) -> None:
        """Follow these users, and no others. One query for USERS_PER_QUERY new ones."""
        for user in self.known.keys() - users:
            del self.known[user]
        for keys in batched(users - self.known.keys(), USERS_PER_QUERY):
            self.known |= read_states(keys, "user_id")

    def read_version(self) -> None:
        """One query, which reads no table."""
        [(version,)] = fetch(f"SELECT {VERSION[connection.vendor]}", [])
        self.next_version = version, connection.connection

    def read_passwords(self) -> dict[Key, str]:
        """Returns the passwords of the users who are active, and reads the version. One query."""
        vendor = connection.vendor
        sql = PASSWORDS.format(version=VERSION[vendor], keys=KEYS[vendor])
        rows = fetch(sql, [as_parameter(self.known)])
        self.next_version = (rows[0][-1], connection.connection) if rows else None
        return {user: password for user, password, _ in rows}

    @property
    def is_outdated(self) -> bool:
        """Whether update() would query the database."""
        return self.version is None or self.version != self.next_version

    def update(self) -> Iterator[list[Change]]:
        """Yields what has changed, in lists. Nothing, if nobody has written to the database since
        the last time, otherwise one query for USERS_PER_QUERY users."""
        if not self.is_outdated:
            return
        version = self.next_version
        for keys in batched(list(self.known), USERS_PER_QUERY):
            changes: list[Change] = []
            for user, after in read_states(keys, "user_id").items():
                before, self.known[user] = self.known[user], after
                if before != after:
                    changes += compare(user, before, after)
            yield changes
        self.version = version

    def update_conversations(self, conversation_ids: Iterable[UUID]) -> Iterator[list[Change]]:
        """Yields what has changed in these conversations, in lists. One query for
        CONVERSATIONS_PER_QUERY conversations."""
        for keys in batched(get_parameters(*conversation_ids), CONVERSATIONS_PER_QUERY):
            changed, changes = set(keys), []
            states = read_states(changed, "conversation_id")
            for user, known in self.known.items():
                # For nearly all users, and quicker than the rest.
                if user not in states and known.keys().isdisjoint(changed):
                    continue
                before = {key: known[key] for key in known.keys() & changed}
                after = states.get(user, {})
                if before != after:
                    for key in before:
                        del known[key]
                    known.update(after)
                    changes += compare(user, before, after)
            yield changes


def read_states(keys: Collection[Key], column: str) -> dict[Key, States]:
    """By user. Every user of `keys` has an entry."""
    states: dict[Key, States] = defaultdict(dict)
    if column == "user_id":
        states.update({key: {} for key in keys})
    sql = MEMBERSHIPS.format(column=column, keys=KEYS[connection.vendor])
    for user, conversation, *state in fetch(sql, [as_parameter(keys)]):
        states[user][conversation] = State(*state)
    return states


def as_parameter(keys: Collection[Key]) -> Any:
    return json.dumps(list(keys)) if connection.vendor == "sqlite" else list(keys)


def compare(user: Key, before: States, after: States) -> Iterator[Change]:
    for key, state in after.items():
        known = before.get(key)
        if known is None or known.updated_at != state.updated_at:
            text = format_event("conversation", conversation_id=key, updated_at=state.updated_at)
            yield Change(user, key, "conversation", text)
        if known is not None and known.read_at != state.read_at:
            text = format_event("read", conversation_id=key, read_at=state.read_at)
            yield Change(user, key, "read", text)
    for key in before.keys() - after.keys():
        yield Change(user, key, "left", format_event("left", conversation_id=key))


# All participants of a conversation get the same text.
@lru_cache(maxsize=1_000)
def format_event(event: str, **row: Any) -> bytes:
    values = convert(tuple(row.values()), *map(FIELDS.get, row))
    data = {name: to_json(value) for name, value in zip(row, values, strict=True)}
    return b"event: %s\ndata: %s\n\n" % (event.encode(), orjson.dumps(data))
