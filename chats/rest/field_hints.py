"""What to use instead of a field of a body that there is not, as in hints.py."""

from chats.rest.hints import FIND_CONVERSATION, FIND_USER, by_name


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
RECEIVERS = "receiver recipient recipient_id recipients to to_user"
NEW_CONVERSATION_FIELDS = refuse(
    {
        "use “title”": TITLE,
        f"use “participants” with user_ids, {FIND_USER}": f"{PEOPLE} {RECEIVERS}",
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
        "POST /api/conversations/{id}/add_participant/ adds a user, …/remove_participant/ removes "
        "one, …/leave/ removes yourself": """
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
LEAVE_FIELDS = refuse(
    {
        "only you leave, POST /api/conversations/{id}/remove_participant/ removes another": (
            f"{PEOPLE} participants"
        )
    }
)
MESSAGE_FIELDS = refuse(
    {
        "use “message_body”": "body content message message_text msg text",
        "all participants of the conversation receive it": RECEIVERS,
        "send the header Idempotency-Key": """
            client_message_id client_msg_id idempotency_key nonce
            """,
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
# For POST /api/messages/.
NEW_MESSAGE_FIELDS = MESSAGE_FIELDS | refuse(
    {
        f"use “conversation” with a conversation_id, {FIND_CONVERSATION}": """
            channel channel_id chat chat_id room room_id
            """
    }
)
REPORT_FIELDS = refuse(
    {
        "use “reason”": """
            category comment comments description detail details explanation kind message
            message_body note text type why
            """,
        "the path names the message": "conversation conversation_id message_id",
        "staff find the sender of the message": "sender user user_id",
    }
)
OF_A_PERSON = {
    "use “first_name” and “last_name”": "display_name full_name name nickname",
    "use “phone_number”": "cell mobile mobile_number phone telephone",
    "people sign in with their e-mail address": "login username",
    "a profile has no picture and no other texts": """
        about avatar bio biography image photo picture profile_image profile_picture status
        """,
}
# A client that repeats the password expects that the two are compared.
REPEATED = "send the password once"
REGISTRATION_FIELDS = refuse(
    OF_A_PERSON
    | {
        REPEATED: """
            confirm_password password1 password2 password_again password_confirm
            password_confirmation re_password repeat_password retype_password
            """
    }
)
NEW_PASSWORD_FIELDS = refuse(
    {
        REPEATED: """
            confirm_new_password confirm_password new_password1 new_password2 new_password_again
            new_password_confirm new_password_confirmation password2 password_confirm
            password_confirmation re_new_password repeat_new_password retype_new_password
            """
    }
)
NEW_EMAIL_FIELDS = refuse(
    {
        "use “new_email”": "address email email_address mail new_address new_mail",
        "use “current_password”": "old_password password",
    }
)
PROFILE_FIELDS = refuse(
    OF_A_PERSON
    | {"use POST /api/users/set_password/": "current_password new_password old_password"}
)
