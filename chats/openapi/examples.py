"""Example values: Ann and Ben, as in the README."""

ANN = {
    "user_id": "d698be02-99eb-4b94-824a-604aac30543a",
    "first_name": "Ann",
    "last_name": "Adams",
    "role": "guest",
}
BEN = {
    "user_id": "bc71790b-222e-4804-ba48-70e160f0f5d3",
    "first_name": "Ben",
    "last_name": "Bell",
    "role": "guest",
}
PROFILE = {
    **ANN,
    "email": "ann@example.com",
    "phone_number": "+442079460123",
    "created_at": "2026-11-22T10:33:34.315411Z",
}
MESSAGE = {
    "message_id": "796e04f8-1eda-52f7-ba6c-7813cb33b1c1",
    "conversation": "a5044f5c-44f0-4974-b3b4-62705898dd36",
    "sender": ANN,
    "message_body": "Hello, Ben!",
    "sent_at": "2026-11-22T10:33:35.109943Z",
}
CONVERSATION = {
    "conversation_id": MESSAGE["conversation"],
    "participants": [BEN, ANN],
    "last_message": MESSAGE,
    "created_at": "2026-11-22T10:33:35.051722Z",
    "updated_at": MESSAGE["sent_at"],
}
ACCESS = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl"
REFRESH = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
PASSWORD = "tide over the moor"  # noqa: S105
NEW_PASSWORD = "moor under the tide"  # noqa: S105
CURSOR = "WzAsIjIwMjYtMTEtMjJUMTA6MzM6MzUuMTA5OTQzWiJd:mR3nT8xY0cVb"
API = "http://127.0.0.1:8000/api"


def page_of(row, path):
    return {"next": f"{API}{path}?cursor={CURSOR}", "previous": None, "results": [row]}


# By component.
EXAMPLES = {
    "Root": {
        name: f"{API}/{name}/"
        for name in ("users", "token", "conversations", "messages", "schema", "docs")
    },
    "RegistrationRequest": {
        "email": "Ann@example.com",
        "password": PASSWORD,
        "first_name": "Ann",
        "last_name": "Adams",
        "phone_number": "+442079460123",
    },
    "Profile": PROFILE,
    "PatchedProfileRequest": {"first_name": "Ann"},
    "CurrentPasswordRequest": {"current_password": PASSWORD},
    "SetPasswordRequest": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    "PasswordResetRequest": {"email": "ann@example.com"},
    "PasswordResetConfirmRequest": {
        "uid": "ZDY5OGJlMDItOTllYi00Yjk0LTgyNGEtNjA0YWFjMzA1NDNh",
        "token": "d1x4k2-5f0c5b8ad9f2c1b3e4a6978877665544",
        "new_password": NEW_PASSWORD,
    },
    "PublicProfilePage": page_of(BEN, "/users/"),
    "TokenObtainRequest": {"email": "ann@example.com", "password": PASSWORD},
    "TokenPair": {"refresh": REFRESH, "access": ACCESS},
    "TokenRefreshRequest": {"refresh": REFRESH},
    "TokenVerifyRequest": {"token": ACCESS},
    "TokenBlacklistRequest": {"refresh": REFRESH},
    "ConversationSummaryPage": page_of(CONVERSATION, "/conversations/"),
    "NewConversationRequest": {"participants": [BEN["user_id"]]},
    "Conversation": {**CONVERSATION, "messages": [MESSAGE]},
    "NewParticipantRequest": {"user_id": BEN["user_id"]},
    "MessagePage": page_of(MESSAGE, "/messages/"),
    "MessageRequest": {"message_body": "Hello, Ben!"},
    "Message": MESSAGE,
}
