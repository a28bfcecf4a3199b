from chats.models.conversations import (
    MAX_PARTICIPANTS,
    TITLE_MAX_CHARACTERS,
    Conversation,
    Participation,
)
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
    "TITLE_MAX_CHARACTERS",
    "Conversation",
    "Message",
    "Participation",
    "User",
    "prefetch_participants",
]
