"""What staff do with users: each action asks first, and is written into the users' history."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework_simplejwt.tokens import RefreshToken

from chats.accounts import sessions
from chats.accounts.sessions import end_sessions
from chats.admin.users import UserAdmin
from chats.models import User
from chats.services import erase
from chats.tests.conftest import PASSWORD
from chats.tests.support.forms import FormParser
from chats.tests.support.mail import read_mail
from chats.tests.support.rows import change, deactivate, read_row, read_tables

LIST = "/admin/chats/user/"
WORDS = {
    "deactivate": "Deactivate",
    "activate": "Activate",
    "send_reset_link": "Send a reset link",
    "verify_email": "Mark the address as verified",
    "sign_out": "Sign out everywhere",
    "erase": "Erase",
}


def get_path(user, action):
    return f"{LIST}{user.pk}/{action}/"


def run(client, action, *users, **fields):
    """The page after the action, whose own page was confirmed."""
    body = {"action": action, "_selected_action": [user.pk for user in users]}
    page = client.post(LIST, body).content.decode()
    parser = FormParser(None)
    parser.feed(page.partition('<div id="content"')[2])
    return client.post(LIST, parser.fields | fields, follow=True).content.decode()


def read_log():
    entries = LogEntry.objects.order_by("pk")
    return [(entry.object_id, entry.get_change_message()) for entry in entries]


def get_buttons(client, user):
    page = client.get(f"{LIST}{user.pk}/change/").content.decode()
    tools = page.partition('class="object-tools"')[2].partition("</ul>")[0]
    return re.findall(">([^<>]+)</a>", tools)


def try_refresh(api, token):
    return api().post("/api/token/refresh/", {"refresh": str(token)}).status_code


@pytest.fixture
def sam(make_staff):
    return make_staff("change_user")


@pytest.mark.parametrize("action", UserAdmin.actions)
def test_nothing_is_done_before_the_confirmation(staff, alice, action):
    if action == "activate":
        deactivate(alice)
    if action == "verify_email":
        change(alice, email_verified_at=None)
    before = read_tables(User, LogEntry)
    body = {"action": action, "_selected_action": [alice.pk]}
    for response in (staff.post(LIST, body), staff.get(get_path(alice, action))):
        page = response.content.decode()
        assert "Alice Test (alice@example.com)" in page
        assert "No, take me back" in page
    staff.post(get_path(alice, action), body | {"confirmed": "yes"})
    assert read_tables(User, LogEntry) == before


class TestDeactivate:
    def test_writes_the_reason_into_the_history(self, sam, alice, bob):
        page = run(sam, "deactivate", alice, bob, reason=" Spam, <b>again</b> ")
        assert "Users deactivated: 2." in page
        assert not User.objects.active().filter(pk__in=[alice.pk, bob.pk]).exists()
        text = "Deactivated. Reason: Spam, <b>again</b>"
        assert sorted(read_log()) == sorted([(str(alice.pk), text), (str(bob.pk), text)])

    def test_reason_is_optional(self, sam, alice):
        run(sam, "deactivate", alice)
        assert read_log() == [(str(alice.pk), "Deactivated.")]

    @pytest.mark.parametrize(
        ("reason", "error"),
        [("x" * 1001, "at most 1000 characters"), ("a\0b", "Null characters are not allowed.")],
        ids=["long", "NUL"],
    )
    def test_bad_reason_is_asked_again(self, sam, alice, reason, error):
        page = run(sam, "deactivate", alice, reason=reason)
        assert error in page
        assert "Alice Test (alice@example.com)" in page
        assert User.objects.get(pk=alice.pk).is_active
        assert read_log() == []


class TestActivate:
    def test_lets_users_sign_in_again(self, sam, api, alice):
        deactivate(alice)
        body = {"email": alice.email, "password": PASSWORD}
        assert api().post("/api/token/", body).status_code == 401
        assert "Users activated: 1." in run(sam, "activate", alice)
        assert read_log() == [(str(alice.pk), "Activated.")]
        assert api().post("/api/token/", body).status_code == 200

    def test_does_not_activate_a_user_who_was_erased_meanwhile(self, staff, alice, monkeypatch):
        deactivate(alice)
        keep = UserAdmin.keep_changeable

        def keep_and_erase(*arguments):
            users = keep(*arguments)
            erase(alice)
            return users

        monkeypatch.setattr(UserAdmin, "keep_changeable", keep_and_erase)
        body = {"action": "activate", "_selected_action": [alice.pk], "confirmed": "yes"}
        assert staff.post(LIST, body, follow=True).status_code == 200
        alice.refresh_from_db()
        assert (alice.is_active, alice.is_erased) == (False, True)


class TestSendResetLink:
    def test_mails_a_link_that_sets_a_password(self, sam, api, alice):
        assert "Reset links sent: 1." in run(sam, "send_reset_link", alice)
        [mail] = read_mail()
        assert mail.to == [alice.email]
        assert read_log() == [(str(alice.pk), "Reset link sent.")]
        uid, token = re.findall(r"(?:uid|token): (\S+)", mail.body)
        body = {"uid": uid, "token": token, "new_password": "tide over the moor"}
        assert api().post("/api/users/reset_password_confirm/", body).status_code == 204

    def test_users_without_a_password_get_none(self, sam, alice):
        alice.replace_password(None)
        page = run(sam, "send_reset_link", alice)
        assert "no link can be sent. Set one instead: alice@example.com." in page
        assert "Reset links sent: 0." in page
        assert read_mail() == []
        assert read_log() == []

    def test_says_that_no_mail_server_is_set(self, sam, alice, settings):
        settings.EMAIL_BACKEND = "messaging_app.backends.mail.NotSent"
        assert "EMAIL_URL names no mail server" in run(sam, "send_reset_link", alice)
        assert read_log() == []


class TestSignOut:
    def test_ends_all_sessions_and_leaves_the_password(self, sam, api, alice, bob):
        tokens = [RefreshToken.for_user(alice) for _ in range(2)]
        other = RefreshToken.for_user(bob)
        password = read_row(alice)["password"]
        assert "Users signed out: 1." in run(sam, "sign_out", alice)
        assert [try_refresh(api, token) for token in tokens] == [401, 401]
        assert try_refresh(api, other) == 200
        assert read_row(alice)["password"] == password
        assert read_log() == [(str(alice.pk), "Signed out everywhere.")]
        body = {"email": alice.email, "password": PASSWORD}
        assert api().post("/api/token/", body).status_code == 200

    def test_says_that_access_tokens_live_out_their_minutes(self, sam, api, alice):
        token = RefreshToken.for_user(alice).access_token
        page = sam.get(get_path(alice, "sign_out")).content.decode()
        assert "work until they expire, for up to 15 minutes" in page
        run(sam, "sign_out", alice)
        assert api(access=token).get("/api/users/me/").status_code == 200

    def test_ends_many_sessions_in_several_transactions(self, api, alice, monkeypatch):
        monkeypatch.setattr(sessions, "SESSIONS_PER_TRANSACTION", 2)
        tokens = [RefreshToken.for_user(alice) for _ in range(4)]
        with CaptureQueriesContext(connection) as queries:
            end_sessions(alice)
        inserts = [sql for q in queries if (sql := q["sql"]).startswith("INSERT")]
        assert len(inserts) == 2
        assert [try_refresh(api, token) for token in tokens] == [401] * 4
        end_sessions(alice)


class TestButtons:
    @pytest.mark.parametrize(
        ("codenames", "fields", "shown"),
        [
            (["change_user"], {}, ["deactivate", "send_reset_link", "sign_out"]),
            (["change_user"], {"is_active": False}, ["activate"]),
            (
                ["change_user"],
                {"email_verified_at": None},
                ["deactivate", "send_reset_link", "verify_email", "sign_out"],
            ),
            (["view_user", "delete_user"], {}, ["erase"]),
            (["view_user"], {}, []),
            (["change_user", "delete_user"], {"is_staff": True}, []),
        ],
    )
    def test_are_those_that_do_something(
        self, make_staff, alice, message, codenames, fields, shown
    ):
        change(alice, **fields)
        client = make_staff(*codenames)
        assert get_buttons(client, alice) == [WORDS[name] for name in shown]
        for name in UserAdmin.actions:
            response = client.get(get_path(alice, name))
            assert response.status_code == (200 if name in shown else 403)

    def test_of_oneself_are_none(self, staff, root):
        assert get_buttons(staff, root) == ["History"]


def test_list_shows_when_users_came_and_last_signed_in(staff, alice):
    change(alice, created_at="2026-01-31T12:00:00Z", last_login="2026-02-28T12:00:00Z")
    page = staff.get(f"{LIST}?q=alice").content.decode()
    assert re.search('class="field-created[^>]*>2026-01-31<', page)
    assert re.search('class="field-last_sign_in[^>]*>2026-02-28<', page)
