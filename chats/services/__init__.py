"""Changes of state and their transactions."""

from chats.services.conversations import (
    ConversationFull,
    add_participant,
    leave,
    mark_as_read,
    rename,
    start,
    start_distinct,
)
from chats.services.messages import IdempotencyKeyReused, MessageDeleted, delete, edit, send
from chats.services.users import UnknownUsers, erase, lock_active_users

__all__ = [
    "ConversationFull",
    "IdempotencyKeyReused",
    "MessageDeleted",
    "UnknownUsers",
    "add_participant",
    "delete",
    "edit",
    "erase",
    "leave",
    "lock_active_users",
    "mark_as_read",
    "rename",
    "send",
    "start",
    "start_distinct",
]
