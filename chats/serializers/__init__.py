"""The shape of the JSON and the validation of input.

Rows become JSON in functions: DRF's fields take 660 µs for 20 messages, the functions 100.
"""

from chats.serializers.conversations import (
    ConversationListSerializer,
    ConversationSerializer,
    NewConversationSerializer,
    NewParticipantSerializer,
    ReadStateSerializer,
    TitleSerializer,
    serialize_conversation,
)
from chats.serializers.messages import (
    MESSAGE_BODY_MAX_CHARACTERS,
    MessageBodySerializer,
    MessageSerializer,
    NewMessageSerializer,
    serialize_message,
)
from chats.serializers.users import (
    CurrentPasswordSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
    ProfileSerializer,
    PublicProfileSerializer,
    RegistrationSerializer,
    SetPasswordSerializer,
)

__all__ = [
    "MESSAGE_BODY_MAX_CHARACTERS",
    "ConversationListSerializer",
    "ConversationSerializer",
    "CurrentPasswordSerializer",
    "MessageBodySerializer",
    "MessageSerializer",
    "NewConversationSerializer",
    "NewMessageSerializer",
    "NewParticipantSerializer",
    "PasswordResetConfirmSerializer",
    "PasswordResetSerializer",
    "ProfileSerializer",
    "PublicProfileSerializer",
    "ReadStateSerializer",
    "RegistrationSerializer",
    "SetPasswordSerializer",
    "TitleSerializer",
    "serialize_conversation",
    "serialize_message",
]
