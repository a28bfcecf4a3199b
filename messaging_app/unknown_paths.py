"""What to use instead of a path that does not exist."""

import re

from django.conf import settings
from django.urls import resolve
from rest_framework.exceptions import NotFound

from chats.rest.hints import by_name, simplify

ENDPOINTS = "GET /api/ and /api/docs/ list what there is."
ID = "00000000-0000-4000-8000-000000000000"
ID_IN_PATH = re.compile(r"/(conversations|messages|users)/[^/]+")
VERSION = re.compile(r"^/api/v[0-9.]+/")
# Ends of paths which this API has as methods.
ACTIONS = "add all create delete detail edit get list new remove update"
PATHS = by_name(
    {
        "POST /api/users/": "create_account create_user register registration sign_up",
        "POST /api/token/": """
            access_token auth authenticate authentication get_token jwt login obtain obtain_token
            session sessions sign_in token token_auth
            """,
        "POST /api/token/refresh/": "refresh refresh_token token_refresh",
        "POST /api/token/verify/": "token_verify verify verify_token",
        "POST /api/token/blacklist/": "blacklist logout revoke sign_out",
        "/api/users/me/": "account current_user me my_profile profile self user whoami",
        "POST /api/users/set_password/": """
            change_password password password_change set_password update_password
            """,
        "POST /api/users/reset_password/": """
            forgot forgot_password password_reset reset_password
            """,
        "POST /api/users/reset_password_confirm/": "password_reset_confirm reset_password_confirm",
        "GET /api/users/me/export/": """
            archive data_export download download_data export export_data my_data takeout
            """,
        "POST /api/users/{id}/block/": "block block_user",
        "DELETE /api/users/{id}/block/": "unblock unblock_user",
        "/api/users/blocked/": "block_list blocked blocked_users blocks",
        "POST /api/users/verify_email/": """
            activate activate_account activation confirm_email email_confirm email_verification
            email_verify verify_email
            """,
        "POST /api/users/resend_verification/": """
            resend resend_activation resend_confirmation resend_email resend_verification
            resend_verification_email send_verification_email
            """,
        "POST /api/users/set_email/": """
            change_email email email_change new_email reset_email set_email update_email
            """,
        "POST /api/users/set_email_confirm/": """
            change_email_confirm confirm_email_change email_change_confirm reset_email_confirm
            set_email_confirm
            """,
        "/api/users/": "contacts friends people search_users user_list users",
        "/api/conversations/": """
            channels chat chats conversation conversations dialogs groups inbox rooms threads
            """,
        "the `unread_count` of GET /api/conversations/": "unread unread_count",
        "GET /api/users/?search= or GET /api/messages/?search=": "search",
        "/api/messages/": "message messages",
        "POST /api/conversations/{id}/messages/": "new_message reply send send_message",
        "POST /api/conversations/{id}/add_participant/": """
            add_member add_members add_participant add_participants add_user invite join members
            participant participants
            """,
        "POST /api/conversations/{id}/remove_participant/": """
            kick remove_member remove_members remove_participant remove_participants remove_user
            """,
        "POST /api/conversations/{id}/leave/": "exit leave leave_conversation quit",
        "POST /api/conversations/{id}/read/": """
            mark_as_read mark_as_seen mark_read mark_seen read read_all read_receipt read_receipts
            seen
            """,
        "POST /api/messages/{id}/report/": """
            abuse complain complaint flag report_abuse report_message reports
            """,
        "GET /api/events/": """
            event events notifications realtime sse stream streaming subscribe updates websocket ws
            """,
        "GET /api/schema/": "openapi openapi_json schema schema_json swagger_json",
        "GET /api/docs/": "docs documentation redoc swagger swagger_ui",
    }
)


def is_endpoint(path):
    return resolve(path).view_name != "unknown-path"


def describe(path):
    """The `detail` of the 404. With a malformed id, it is that of an object that does not exist."""
    path = f"{path.removesuffix('/')}/"
    with_ids = ID_IN_PATH.sub(rf"/\1/{ID}", path)
    is_malformed = is_endpoint(with_ids)
    # The last part may be a name such as `register`.
    may_be_name = not is_malformed or with_ids.endswith(f"/{ID}/")
    if may_be_name and (hint := get_hint(path)):
        text = f"There is no such path; use {hint}. {ENDPOINTS}"
    else:
        no_such_path = f"There is no such path. {ENDPOINTS}"
        text = str(NotFound.default_detail) if is_malformed else no_such_path
    return text.replace(" /api/", f" {settings.PATH_PREFIX}/api/")


def get_hint(path):
    path = VERSION.sub("/api/", path)
    while not is_endpoint(path):
        path, _, name = path.removesuffix("/").rpartition("/")
        if hint := PATHS.get(simplify(name)):
            return hint
        if name not in ACTIONS.split():
            return None
        path = f"{path}/"
    return path
