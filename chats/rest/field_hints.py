"""What to use instead of a field of a body that there is not, as in hints.py."""

from chats.rest.hints import FIND_USER, by_name


def refuse(table):
    return by_name({f"There is no such field here; {hint}.": table[hint] for hint in table})


TITLE = """
    chat_name conversation_name conversation_title group group_name label name room_name subject
    topic
    """
PEOPLE = """
    email emails member member_id member_ids members participant participant_id participant_ids
    user user_id user_ids users
    """
NEW_CONVERSATION_FIELDS = refuse(
    {
        "use “title”": TITLE,
        f"use “participants” with user_ids, {FIND_USER}": PEOPLE,
        "use “distinct”": "is_distinct",
        "send it afterwards, with POST /api/conversations/{id}/messages/": """
            body content first_message initial_message message message_body message_text messages
            msg text
            """,
        "a conversation has no picture and no description": """
            avatar description icon image photo picture
            """,
    }
)
CONVERSATION_FIELDS = refuse(
    {
        "use “title”": TITLE,
        "POST /api/conversations/{id}/add_participant/ adds a user, …/leave/ removes yourself": """
            add_participants member_ids members participant participant_ids participants
            remove_participants user_id user_ids users
            """,
        "use POST /api/conversations/{id}/read/": "is_read read read_at seen unread unread_count",
        "use POST /api/conversations/{id}/messages/": """
            body content message message_body messages text
            """,
        "a conversation has no picture and no description": """
            avatar description icon image photo picture
            """,
    }
)
NEW_PARTICIPANT_FIELDS = refuse(
    {
        f"use “user_id”, once for each user, {FIND_USER}": " ".join(
            {*PEOPLE.split(), "participants"} - {"user_id"}
        )
    }
)
LEAVE_FIELDS = refuse({"only you leave": f"{PEOPLE} participants"})
MESSAGE_FIELDS = refuse(
    {
        "use “message_body”": "body content message message_text msg text",
        "all participants of the conversation receive it": """
            receiver recipient recipient_id recipients to to_user
            """,
        "send the header Idempotency-Key": "idempotency_key",
        "a message has no replies": """
            in_reply_to parent parent_id parent_message parent_message_id quoted_message reply_to
            reply_to_id reply_to_message thread_id thread_ts
            """,
        "a message has no attachments": """
            attachment attachments audio document file files image images media photo photos video
            """,
        "a message has no title": "subject title",
        "use POST /api/conversations/{id}/read/ with the `sent_at` of the message": """
            is_read mark_as_read read read_at seen unread
            """,
        "use DELETE": "deleted deleted_at is_deleted",
    }
)
PHONE_NUMBER = "cell mobile mobile_number phone telephone"
REGISTRATION_FIELDS = refuse({"use “phone_number”": PHONE_NUMBER})
PROFILE_FIELDS = refuse(
    {
        "use “first_name” and “last_name”": "display_name full_name name nickname",
        "use “phone_number”": PHONE_NUMBER,
        "people sign in with their e-mail address": "login username",
        "use POST /api/users/set_password/": "current_password new_password old_password",
        "a profile has no picture and no other texts": """
            about avatar bio biography image photo picture profile_image profile_picture status
            """,
    }
)
