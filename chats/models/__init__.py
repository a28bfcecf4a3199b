from chats.models.conversations import MAX_PARTICIPANTS, Conversation
from chats.models.messages import Message
from chats.models.users import (
    CONVERSATIONS_PER_TRANSACTION,
    EMAIL_TAKEN,
    ERASED_EMAIL_ENDING,
    PUBLIC_PROFILE,
    User,
    prefetch_participants,
)

__all__ = [
    "CONVERSATIONS_PER_TRANSACTION",
    "EMAIL_TAKEN",
    "ERASED_EMAIL_ENDING",
    "MAX_PARTICIPANTS",
    "PUBLIC_PROFILE",
    "Conversation",
    "Message",
    "User",
    "prefetch_participants",
]
