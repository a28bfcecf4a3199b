from chats.views.conversations import ConversationViewSet
from chats.views.messages import ConversationMessageViewSet, MessageViewSet
from chats.views.tokens import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)
from chats.views.users import UserViewSet

__all__ = [
    "ConversationMessageViewSet",
    "ConversationViewSet",
    "MessageViewSet",
    "TokenBlacklistView",
    "TokenObtainPairView",
    "TokenRefreshView",
    "TokenVerifyView",
    "UserViewSet",
]
