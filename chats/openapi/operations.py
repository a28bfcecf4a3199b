"""What each call is for, takes and gives."""

from dataclasses import dataclass, field

from rest_framework import serializers

from chats.auth import (
    TokenBlacklistSerializer,
    TokenObtainSerializer,
    TokenRefreshSerializer,
    TokenVerifySerializer,
)
from chats.models import MAX_PARTICIPANTS
from chats.serializers import (
    ConversationListSerializer,
    ConversationSerializer,
    CurrentPasswordSerializer,
    MessageSerializer,
    NewConversationSerializer,
    NewParticipantSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
    ProfileSerializer,
    PublicProfileSerializer,
    RegistrationSerializer,
    SetPasswordSerializer,
)


class TokenPairSerializer(serializers.Serializer):
    access = serializers.CharField()
    refresh = serializers.CharField()


class RootSerializer(serializers.Serializer):
    users = serializers.URLField()
    token = serializers.URLField()
    conversations = serializers.URLField()
    messages = serializers.URLField()
    schema = serializers.URLField()
    docs = serializers.URLField()


@dataclass
class Operation:
    """`errors` are those beside the ones that follow from its method, path and permissions."""

    name: str
    summary: str
    description: str = ""
    request: type | None = None
    status: int = 200
    response: type | dict | None = None
    errors: list = field(default_factory=list)
    takes_idempotency_key: bool = False


STRENGTH = (
    "A password has at least 8 characters, not only digits, is not a common one and not like the "
    "person's name or address."
)
EMPTY = {"type": "object", "maxProperties": 0}

OPERATIONS = {
    "GET /api/": Operation(
        "root", "The collections, and where the documentation is", response=RootSerializer
    ),
    "POST /api/users/": Operation(
        "register",
        "Register",
        "Everybody starts as a guest; staff set roles. The address is kept in lower case and has "
        f"to be new; names are trimmed. {STRENGTH}",
        RegistrationSerializer,
        201,
        ProfileSerializer,
        errors=[429],
    ),
    "GET /api/users/": Operation(
        "list_users",
        "The people one shares a conversation with",
        "By `user_id`, without the caller. With `email`, instead, the one active person who has "
        "this address, whoever they are.",
        response=PublicProfileSerializer,
        errors=[429],
    ),
    "GET /api/users/me/": Operation(
        "get_profile", "The caller's own profile", response=ProfileSerializer
    ),
    "PATCH /api/users/me/": Operation(
        "change_profile",
        "Change the own name or phone number",
        "Other fields are ignored.",
        request=ProfileSerializer,
        response=ProfileSerializer,
    ),
    "DELETE /api/users/me/": Operation(
        "erase_profile",
        "Erase the caller",
        "They leave every conversation, and their address is free again. What they wrote stays, "
        "under “Deleted user”.",
        CurrentPasswordSerializer,
        204,
    ),
    "POST /api/users/set_password/": Operation(
        "set_password",
        "Change the own password",
        f"Every token that was issued before is refused from then on: sign in again. {STRENGTH}",
        SetPasswordSerializer,
        204,
    ),
    "POST /api/users/reset_password/": Operation(
        "reset_password",
        "Ask for a link to reset the password",
        "The answer is the same whether or not somebody has this address.",
        PasswordResetSerializer,
        204,
        errors=[429],
    ),
    "POST /api/users/reset_password_confirm/": Operation(
        "confirm_password_reset",
        "Set a password by the link",
        f"With the `uid` and `token` of the link, which works once. {STRENGTH}",
        PasswordResetConfirmSerializer,
        204,
        errors=[429],
    ),
    "POST /api/token/": Operation(
        "sign_in",
        "Sign in",
        "The answer to a wrong password, an unknown address and an inactive account is the same.",
        TokenObtainSerializer,
        response=TokenPairSerializer,
        errors=[401, 429],
    ),
    "POST /api/token/refresh/": Operation(
        "refresh_token",
        "A new pair of tokens",
        "The refresh token that was sent is dead from then on.",
        TokenRefreshSerializer,
        response=TokenPairSerializer,
        errors=[401],
    ),
    "POST /api/token/verify/": Operation(
        "verify_token",
        "Would this token be taken now?",
        "An access token by the API, a refresh token by refresh.",
        TokenVerifySerializer,
        response=EMPTY,
        errors=[401],
    ),
    "POST /api/token/blacklist/": Operation(
        "sign_out",
        "Sign out",
        "The refresh token is dead from then on; the access token lives out its minutes.",
        TokenBlacklistSerializer,
        response=EMPTY,
        errors=[401],
    ),
    "GET /api/conversations/": Operation(
        "list_conversations",
        "The caller's conversations, latest activity first",
        response=ConversationListSerializer,
    ),
    "POST /api/conversations/": Operation(
        "start_conversation",
        "Start a conversation",
        "The caller always takes part, doubles collapse, and it takes at least one other; with the "
        f"caller, at most {MAX_PARTICIPANTS}. With the same `Idempotency-Key`, another set of "
        "people is another conversation; 404 if the caller has left that of the first try since.",
        NewConversationSerializer,
        201,
        ConversationSerializer,
        errors=[404],
        takes_idempotency_key=True,
    ),
    "GET /api/conversations/{conversation_id}/": Operation(
        "get_conversation",
        "One conversation, with its newest messages",
        "`messages` is the first page of the message list. For older ones go on there with "
        "`sent_at_before` and the last `sent_at`.",
        response=ConversationSerializer,
    ),
    "POST /api/conversations/{conversation_id}/add_participant/": Operation(
        "add_participant",
        "Add a participant",
        "Who is in it already stays in it. A newcomer sees the whole history. 400 also when the "
        f"conversation has {MAX_PARTICIPANTS} participants.",
        NewParticipantSerializer,
        response=ConversationSerializer,
    ),
    "POST /api/conversations/{conversation_id}/leave/": Operation(
        "leave_conversation", "Leave a conversation", status=204
    ),
    "GET /api/conversations/{conversation_id}/messages/": Operation(
        "list_conversation_messages",
        "The messages of a conversation, newest first",
        "To follow it, ask for `ordering=sent_at` and `sent_at_after` the last `sent_at` seen: "
        "nothing is missed and nothing comes twice.",
        response=MessageSerializer,
    ),
    "POST /api/conversations/{conversation_id}/messages/": Operation(
        "send_message",
        "Send a message",
        "The body is kept exactly as it was sent; not only white space, and without NUL.",
        MessageSerializer,
        201,
        MessageSerializer,
        errors=[422],
        takes_idempotency_key=True,
    ),
    "GET /api/conversations/{conversation_id}/messages/{message_id}/": Operation(
        "get_conversation_message", "One message of a conversation", response=MessageSerializer
    ),
    "GET /api/messages/": Operation(
        "list_messages",
        "The messages of all the caller's conversations, newest first",
        response=MessageSerializer,
    ),
    "GET /api/messages/{message_id}/": Operation(
        "get_message", "One message", response=MessageSerializer
    ),
}
