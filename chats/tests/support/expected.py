"""The JSON that the contract promises, written out."""

from chats.models import Participation


def timestamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def public_profile(user):
    return {
        "user_id": str(user.user_id),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": user.role,
    }


def own_profile(user):
    return {
        "user_id": str(user.user_id),
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "phone_number": user.phone_number,
        "role": user.role,
        "created_at": timestamp(user.created_at),
    }


def message_json(message):
    return {
        "message_id": str(message.message_id),
        "conversation": str(message.conversation_id),
        "sender": public_profile(message.sender),
        "message_body": message.message_body or None,
        "sent_at": timestamp(message.sent_at),
        "updated_at": timestamp(message.updated_at),
    }


def light_conversation(conversation, user):
    """As the list of the user has it; reads the row again."""
    conversation.refresh_from_db()
    read_at = Participation.objects.get(conversation=conversation, user=user).read_at
    unread = conversation.messages.filter(sent_at__gt=read_at).exclude(sender=user)
    last_message = conversation.messages.order_by("-sent_at").first()
    return {
        "conversation_id": str(conversation.conversation_id),
        "title": conversation.title,
        "participants": [
            public_profile(user) for user in conversation.participants.order_by("user_id")
        ],
        "last_message": last_message and message_json(last_message),
        "created_at": timestamp(conversation.created_at),
        "updated_at": timestamp(conversation.updated_at),
        "read_at": timestamp(read_at),
        "unread_count": min(unread.exclude(message_body="").count(), 100),
    }


def full_conversation(conversation, user):
    messages = conversation.messages.order_by("-sent_at")[:20]
    return light_conversation(conversation, user) | {
        "messages": [message_json(m) for m in messages]
    }


def page(*results):
    return {"next": None, "previous": None, "results": list(results)}


def one_line(character):
    text = "Enter one line of text, without control or invisible characters: remove"
    return f"{text} {character}."


def listed_bodies(response):
    assert response.status_code == 200, response.content
    return [row["message_body"] for row in response.json()["results"]]


NOT_VISIBLE = "Enter at least one character that can be seen."
NOT_FOUND = {"detail": "Not found."}
NOT_AUTHENTICATED = {
    "detail": "Authentication credentials were not provided.",
    "code": "not_authenticated",
}
NO_ACTIVE_ACCOUNT = {
    "detail": "No active account found with the given credentials",
    "code": "no_active_account",
}
