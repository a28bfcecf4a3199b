import re
from datetime import UTC, datetime, timedelta
from threading import Event
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import hashers
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.tokens import default_token_generator
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import m2m_changed
from django.utils.http import urlsafe_base64_encode
from rest_framework_simplejwt.tokens import RefreshToken

from chats.accounts.password_reset import MAIL
from chats.models import Conversation, User
from chats.services import change_profile, erase, leave, send, start
from chats.tests.conftest import PASSWORD, deactivate
from chats.tests.support.expected import (
    NO_ACTIVE_ACCOUNT,
    NOT_FOUND,
    own_profile,
    page,
    public_profile,
)

NEWCOMER = {
    "email": "Dora@Example.com",
    "password": "  tide over the moor  ",
    "first_name": "Dora",
    "last_name": "Diaz",
}
ONE_LINE = "Enter one line of text, without control or invisible characters."
SEVERAL_LINES = [
    "Dora\nYou have won",
    "Dora\rYou",
    "Dora\tYou",
    "Dora\u2028You",
    "Dora\u2029You",
    "Do\x85ra",
    "Do\x07ra",
    "\u202earoD",
    "Do\u200bra",
    "Do\u00adra",
    "\ufeffDora",
    "\u200d",
    "\u200d \u200d",
    "\u3164",
    "\u2800",
    "\ufe0f",
]
# The first three fold to ASCII letters, and so pass Django's own validator.
NOT_ASCII = ["jımmy@example.com", "ſam@example.com", "\u212aim@example.com", "zoë@example.com"]
NOT_PLAIN = [
    '"\x1b[31m"@example.com',
    '"visit evil.example"@example.com',
    "x@\u2028.com",
    "x@ex\u202eample.com",
    "x@example\u200b.com",
    "x@\u3164.com",
    "x@\uff45xample.com",
]


class TestRegister:
    def test_returns_own_profile(self, api, db):
        response = api().post("/api/users/", NEWCOMER | {"phone_number": "+4915112345678"})
        assert response.status_code == 201
        dora = User.objects.get()
        assert response.json() == own_profile(dora)
        assert (dora.email, dora.phone_number, dora.role) == (
            "dora@example.com",
            "+4915112345678",
            "guest",
        )
        assert dora.password.startswith("argon2")
        assert dora.check_password("  tide over the moor  ")

    def test_nobody_gives_themselves_a_role(self, api, db):
        wish = {"role": "admin", "is_staff": True, "is_superuser": True, "is_active": False}
        wish |= {"user_id": "00000000-0000-4000-8000-000000000000", "groups": [1]}
        response = api().post("/api/users/", NEWCOMER | wish)
        assert response.status_code == 201
        dora = User.objects.get()
        assert response.json()["role"] == "guest"
        assert (dora.role, dora.is_staff, dora.is_superuser, dora.is_active) == (
            "guest",
            False,
            False,
            True,
        )
        assert str(dora.user_id) != wish["user_id"]

    def test_does_not_look_at_a_token(self, api, db):
        client = api()
        client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
        assert client.post("/api/users/", NEWCOMER).status_code == 201

    @pytest.mark.parametrize(
        ("change", "errors"),
        [
            ({"email": "nonsense"}, {"email": ["Enter a valid email address."]}),
            ({"email": 5}, {"email": ["Enter a valid email address."]}),
            (
                {"email": "ALICE@example.com"},
                {"email": ["A user with this e-mail address already exists."]},
            ),
            ({"first_name": " "}, {"first_name": ["This field may not be blank."]}),
            ({"first_name": 5}, {"first_name": ["Not a valid string."]}),
            ({"last_name": None}, {"last_name": ["This field may not be null."]}),
            (
                {"last_name": "x" * 151},
                {"last_name": ["Ensure this field has no more than 150 characters."]},
            ),
            (
                {"last_name": "a\0b"},
                {"last_name": [ONE_LINE, "Null characters are not allowed."]},
            ),
            (
                {"password": "12345"},
                {
                    "password": [
                        "This password is too short. It must contain at least 8 characters.",
                        "This password is too common.",
                        "This password is entirely numeric.",
                    ]
                },
            ),
            (
                {"password": "dora@example.com"},
                {"password": ["The password is too similar to the email."]},
            ),
            ({"password": ["a", "b"]}, {"password": ["Not a valid string."]}),
        ],
        ids=str,
    )
    def test_refuses(self, api, alice, change, errors):
        response = api().post("/api/users/", NEWCOMER | change)
        assert (response.status_code, response.json()) == (400, errors)
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        "phone_number",
        ["12345", "+0123456789", "+1 415 555 2671", "+1234567890123456", "+1415555x", "+٤٥٦٧٨٩"],
    )
    def test_refuses_what_is_not_e164(self, api, db, phone_number):
        response = api().post("/api/users/", NEWCOMER | {"phone_number": phone_number})
        assert response.status_code == 400
        assert list(response.json()) == ["phone_number"]
        assert not User.objects.exists()

    def test_says_what_is_missing(self, api, db):
        response = api().post("/api/users/", {})
        required = ["This field is required."]
        assert (response.status_code, response.json()) == (
            400,
            dict.fromkeys(["email", "first_name", "last_name", "password"], required),
        )

    @pytest.mark.parametrize(
        ("field", "name"),
        [*(("first_name", name) for name in SEVERAL_LINES), ("last_name", "Diaz\nYou have won")],
    )
    def test_refuses_a_name_that_is_not_one_line(self, api, db, field, name):
        response = api().post("/api/users/", NEWCOMER | {field: name})
        assert (response.status_code, list(response.json())) == (400, [field])
        assert ONE_LINE in response.json()[field]
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "Zoë",
            "Nguyễn Ánh",
            "O’Neill-Ó",
            "محمد",
            "می\u200cخواهم",
            "李明",
            "👩\u200d🚀",
            "Anne 2nd",
        ],
    )
    def test_takes_names_of_all_scripts(self, api, db, name):
        response = api().post("/api/users/", NEWCOMER | {"first_name": name})
        assert (response.status_code, response.json()["first_name"]) == (201, name)

    @pytest.mark.parametrize("email", NOT_ASCII + NOT_PLAIN)
    def test_refuses_an_address_that_is_not_plain(self, api, db, email):
        response = api().post("/api/users/", NEWCOMER | {"email": email})
        assert response.status_code == 400
        assert list(response.json()) == ["email"]
        assert not User.objects.exists()

    @pytest.mark.usefixtures("db")
    def test_says_that_the_local_part_is_ascii(self, api):
        response = api().post("/api/users/", NEWCOMER | {"email": "jımmy@example.com"})
        assert response.json() == {
            "email": ["The part before the @ must contain only ASCII characters."]
        }

    @pytest.mark.usefixtures("alice")
    def test_the_database_refuses_an_address_in_another_case(self):
        bare = User(email="ALICE@EXAMPLE.COM", first_name="A", last_name="B")
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.bulk_create([bare])


class TestMe:
    def test_shows_the_own_profile(self, api, alice):
        response = api(alice).get("/api/users/me/")
        assert (response.status_code, response.json()) == (200, own_profile(alice))

    def test_changes_names_and_phone_number(self, api, alice):
        change = {"first_name": "Alicia", "last_name": "Archer", "phone_number": ""}
        response = api(alice).patch("/api/users/me/", change)
        alice.refresh_from_db()
        assert (response.status_code, response.json()) == (200, own_profile(alice))
        assert (alice.first_name, alice.last_name, alice.phone_number) == ("Alicia", "Archer", "")

    @pytest.mark.parametrize(
        ("field", "value", "error"),
        [
            ("user_id", "00000000-0000-4000-8000-000000000000", "This cannot be changed."),
            (
                "email",
                "x@example.com",
                "This cannot be changed here. Staff can change it in the admin.",
            ),
            ("role", "admin", "This cannot be changed here. Staff set it in the admin."),
            ("created_at", "2000-01-01T00:00:00Z", "This cannot be changed."),
            (
                "password",
                "tide over the moor",
                "This cannot be changed here. Use POST /api/users/set_password/.",
            ),
        ],
    )
    def test_says_where_another_field_can_be_changed(self, api, alice, field, value, error):
        before = User.objects.values().get()
        for wish in (value, getattr(alice, field), None):
            change = {"first_name": "Alicia", field: wish}
            response = api(alice).patch("/api/users/me/", change)
            assert (response.status_code, response.json()) == (400, {field: [error]})
        assert User.objects.values().get() == before

    def test_names_all_that_is_wrong(self, api, alice):
        change = {"phone_number": "0151", "role": "admin", "email": "x@example.com"}
        response = api(alice).patch("/api/users/me/", change)
        assert response.status_code == 400
        assert set(response.json()) == set(change)

    def test_ignores_what_is_no_field_of_the_profile(self, api, alice):
        wish = {"is_staff": True, "is_superuser": True, "is_active": False, "groups": [1]}
        wish |= {"last_login": None, "nickname": "Al"}
        response = api(alice).patch("/api/users/me/", wish | {"first_name": "Alicia"})
        before, alice = alice, User.objects.get()
        assert (response.status_code, response.json()) == (200, own_profile(alice))
        assert alice.first_name == "Alicia"
        flags = ("is_staff", "is_superuser", "is_active")
        assert [getattr(alice, flag) for flag in flags] == [False, False, True]
        assert alice.password == before.password

    def test_overwrites_nothing_that_was_not_sent(self, alice):
        """Staff give her a role after the request read her row."""
        read_before = User.objects.get(pk=alice.pk)
        User.objects.filter(pk=alice.pk).update(role="host", last_name="Archer")
        changed = change_profile(read_before, first_name="Alicia")
        assert (changed.first_name, changed.last_name, changed.role) == ("Alicia", "Archer", "host")

    def test_refuses_a_name_that_is_not_one_line(self, api, alice):
        response = api(alice).patch("/api/users/me/", {"first_name": "Alice\nYou have won"})
        assert (response.status_code, list(response.json())) == (400, ["first_name"])

    def test_a_change_of_nothing_is_taken(self, api, alice):
        assert api(alice).patch("/api/users/me/", {}).json() == own_profile(alice)

    def test_refuses_a_bad_phone_number(self, api, alice):
        response = api(alice).patch("/api/users/me/", {"phone_number": "0151", "first_name": "X"})
        assert response.status_code == 400
        assert list(response.json()) == ["phone_number"]
        alice.refresh_from_db()
        assert alice.first_name == "Alice"


class TestSetPassword:
    PATH = "/api/users/set_password/"
    NEW = "  moor under the tide "

    def test_ends_every_token_issued_before(self, api, alice):
        used = str(RefreshToken.for_user(alice))
        fresh = api().post("/api/token/refresh/", {"refresh": used}).json()
        client = api(alice)
        body = {"current_password": PASSWORD, "new_password": self.NEW}
        response = client.post(self.PATH, body)
        assert (response.status_code, response.content) == (204, b"")
        response = client.get("/api/users/me/")
        assert (response.status_code, response.json()["code"]) == (401, "password_changed")
        for path, body in [
            ("/api/token/refresh/", {"refresh": used}),
            ("/api/token/verify/", {"token": used}),
            ("/api/token/refresh/", fresh),
            ("/api/token/verify/", {"token": fresh["refresh"]}),
            ("/api/token/verify/", {"token": fresh["access"]}),
        ]:
            response = api().post(path, body)
            assert (response.status_code, response.json()["code"]) == (401, "password_changed")
        for password, status in [(self.NEW, 200), (PASSWORD, 401), (self.NEW.strip(), 401)]:
            response = api().post("/api/token/", {"email": alice.email, "password": password})
            assert response.status_code == status

    def test_the_same_password_again_ends_them_too(self, api, alice):
        client = api(alice)
        body = {"current_password": PASSWORD, "new_password": PASSWORD}
        assert client.post(self.PATH, body).status_code == 204
        assert client.get("/api/users/me/").status_code == 401

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            (
                {"current_password": "wrong", "new_password": NEW},
                {"current_password": ["This is not your current password."]},
            ),
            (
                {"current_password": PASSWORD, "new_password": "12345678"},
                {
                    "new_password": [
                        "This password is too common.",
                        "This password is entirely numeric.",
                    ]
                },
            ),
            (
                {"current_password": PASSWORD, "new_password": "alice@example"},
                {"new_password": ["The password is too similar to the email."]},
            ),
            (
                {},
                {
                    field: ["This field is required."]
                    for field in ("current_password", "new_password")
                },
            ),
        ],
    )
    def test_refuses(self, api, alice, body, errors):
        client = api(alice)
        response = client.post(self.PATH, body)
        assert (response.status_code, response.json()) == (400, errors)
        assert client.get("/api/users/me/").status_code == 200

    def test_a_password_that_was_changed_meanwhile_is_not_changed_again(self, alice):
        other_call = User.objects.get(pk=alice.pk)
        assert alice.replace_password("first")
        assert not other_call.replace_password("second")
        alice.refresh_from_db()
        assert alice.check_password("first")

    def test_a_sign_in_that_strengthens_the_hash_does_not_undo_it(self, alice):
        weak = Argon2PasswordHasher()
        weak.time_cost = 1
        User.objects.filter(pk=alice.pk).update(password=weak.encode(PASSWORD, "some salt"))
        signing_in = User.objects.get(pk=alice.pk)
        assert User.objects.get(pk=alice.pk).replace_password(self.NEW)
        assert signing_in.check_password(PASSWORD)
        assert User.objects.get(pk=alice.pk).check_password(self.NEW)

    def test_a_sign_in_strengthens_the_hash(self, api, alice):
        weak = Argon2PasswordHasher()
        weak.time_cost = 1
        User.objects.filter(pk=alice.pk).update(password=weak.encode(PASSWORD, "some salt"))
        response = api().post("/api/token/", {"email": alice.email, "password": PASSWORD})
        client = api()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access']}")
        assert client.get("/api/users/me/").status_code == 200
        alice.refresh_from_db()
        assert "m=19456,t=2,p=1" in alice.password

    def test_staff_who_set_it_in_the_admin_end_the_tokens_too(self, api, alice, client):
        client.force_login(User.objects.create_superuser("root@example.com", "x"))
        alices = api(alice)
        response = client.post(
            f"/admin/chats/user/{alice.pk}/password/",
            {"password1": self.NEW, "password2": self.NEW, "usable_password": "true"},
        )
        assert response.status_code == 302
        assert alices.get("/api/users/me/").status_code == 401


class TestResetPassword:
    PATH = "/api/users/reset_password/"
    CONFIRM = "/api/users/reset_password_confirm/"
    NEW = "moor under the tide"

    @pytest.fixture
    def ask(self, api, db):
        """`ask(email)`: the mail that was sent, in a list."""

        def ask(email):
            before = len(mail.outbox)
            response = api().post(self.PATH, {"email": email})
            assert (response.status_code, response.content) == (204, b"")
            # There is one thread: what was queued before this is done when this is.
            MAIL.submit(len, mail.outbox).result()
            return mail.outbox[before:]

        return ask

    @pytest.fixture
    def link(self, ask, alice, settings):
        settings.PASSWORD_RESET_URL = "https://chat.example.com/new-password"
        [sent] = ask("ALICE@example.com")
        [link] = re.findall(r"https://chat.example.com/new-password\S+", sent.body)
        return {name: value for name, [value] in parse_qs(urlsplit(link).query).items()}

    def test_mails_a_link_that_works_once(self, api, alice, link):
        client = api(alice)
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW})
        assert (response.status_code, response.content) == (204, b"")
        assert client.get("/api/users/me/").status_code == 401
        response = api().post("/api/token/", {"email": alice.email, "password": self.NEW})
        assert response.status_code == 200
        again = api().post(self.CONFIRM, link | {"new_password": "another tide"})
        assert (again.status_code, again.json()) == (
            400,
            {"token": ["The link was used or has expired: ask for a new one."]},
        )

    def test_a_sign_in_ends_the_link(self, api, alice, link):
        response = api().post("/api/token/", {"email": alice.email, "password": PASSWORD})
        assert response.status_code == 200
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW})
        assert (response.status_code, response.json()) == (
            400,
            {"token": ["The link was used or has expired: ask for a new one."]},
        )

    def test_the_mail_goes_to_the_person(self, ask, alice, settings):
        settings.DEFAULT_FROM_EMAIL = "chat@example.com"
        [sent] = ask(alice.email)
        assert (sent.to, sent.from_email) == (["alice@example.com"], "chat@example.com")
        assert sent.subject == "Choose a new password"
        # Without a page to link to, it names what the page would be given.
        assert re.search(r"uid: \S+\n +token: \S+\n", sent.body)

    def test_the_mail_has_no_text_of_the_persons_own(self, ask, alice):
        User.objects.filter(pk=alice.pk).update(first_name="Visit\n\nhttps://evil.example")
        [sent] = ask(alice.email)
        assert "evil" not in sent.body
        assert alice.last_name not in sent.body
        assert alice.email not in sent.body

    def test_a_page_with_a_query_keeps_it(self, ask, alice, settings):
        settings.PASSWORD_RESET_URL = "https://chat.example.com/?page=reset"
        [sent] = ask(alice.email)
        assert "https://chat.example.com/?page=reset&uid=" in sent.body

    def test_says_the_same_when_there_is_nobody(self, ask, make_user):
        make_user("Gone", is_active=False)
        erase(make_user("Erased"))
        for email in ("nobody@example.com", "gone@example.com", "erased@example.com"):
            assert ask(email) == []

    def test_does_not_wait_for_the_mail_server(self, api, alice, settings):
        """The response arrives before the mail can be sent."""
        settings.EMAIL_BACKEND = "chats.tests.api.test_accounts.WaitingBackend"
        WaitingBackend.go.clear()
        response = api().post(self.PATH, {"email": alice.email})
        assert response.status_code == 204
        assert not WaitingBackend.sent.is_set()
        WaitingBackend.go.set()
        assert WaitingBackend.sent.wait(30)

    @pytest.mark.parametrize(
        "change",
        [
            {"uid": "nonsense"},
            {"uid": "\u00e9"},
            {"uid": ""},
            {"uid": 5},
            {"token": "nonsense"},
            {"token": "c1-" + "0" * 32},
            {"token": "a\0b"},
        ],
        ids=str,
    )
    def test_refuses_another_link(self, api, alice, link, change):
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW} | change)
        assert response.status_code == 400
        assert set(response.json()) <= {"uid", "token"}
        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)

    def test_refuses_another_persons_uid(self, api, bob, link):
        uid = urlsafe_base64_encode(str(bob.pk).encode())
        response = api().post(self.CONFIRM, link | {"uid": uid, "new_password": self.NEW})
        assert response.status_code == 400

    def test_refuses_a_weak_password_and_the_link_still_works(self, api, link):
        response = api().post(self.CONFIRM, link | {"new_password": "12345678"})
        assert (response.status_code, list(response.json())) == (400, ["new_password"])
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW})
        assert response.status_code == 204

    def test_a_deactivated_person_cannot_use_it(self, api, alice, link):
        deactivate(alice)
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW})
        assert (response.status_code, list(response.json())) == (400, ["token"])


class WaitingBackend(BaseEmailBackend):
    go, sent = Event(), Event()

    def send_messages(self, email_messages):
        self.go.wait(30)
        self.sent.set()


DELETED_USER = {"first_name": "Deleted", "last_name": "user", "role": "guest"}


def erase_by_the_api(api, client, user):
    response = api(user).delete("/api/users/me/", {"current_password": PASSWORD})
    assert (response.status_code, response.content) == (204, b"")


def erase_in_the_admin(api, client, user):
    client.force_login(User.objects.create_superuser("root@example.com", "x"))
    body = {"action": "erase", "_selected_action": [str(user.pk)]}
    asked = client.post("/admin/chats/user/", body)
    assert asked.status_code == 200
    assert User.objects.get(pk=user.pk).is_active
    done = client.post("/admin/chats/user/", body | {"confirmed": "yes"})
    assert done.status_code == 302


@pytest.mark.parametrize("erase", [erase_by_the_api, erase_in_the_admin])
class TestErase:
    def test_forgets_the_person_and_keeps_what_they_wrote(
        self, api, client, alice, bob, message, erase
    ):
        path = f"/api/conversations/{message.conversation_id}/"
        api(bob).get(f"{path}messages/")
        refresh, alices = RefreshToken.for_user(alice), api(alice)
        erase(api, client, alice)
        assert alices.get("/api/users/me/").json()["code"] == "user_inactive"
        response = api().post("/api/token/refresh/", {"refresh": str(refresh)})
        assert response.status_code == 401
        response = api().post("/api/token/", {"email": "alice@example.com", "password": PASSWORD})
        assert (response.status_code, response.json()) == (401, NO_ACTIVE_ACCOUNT)
        [shown] = api(bob).get(f"{path}messages/").json()["results"]
        assert shown["sender"] == {"user_id": str(alice.pk)} | DELETED_USER
        assert shown["message_body"] == "Hello, Bob"
        assert api(bob).get(path).json()["participants"] == [public_profile(bob)]
        assert api(bob).get("/api/users/").json() == page()
        rows = str(list(User.objects.filter(pk=alice.pk).values()))
        for forgotten in ("alice", "Alice", "Test", alice.phone_number, "argon2"):
            assert forgotten not in rows

    def test_the_address_can_register_again_as_a_new_person(self, api, client, alice, erase):
        erase(api, client, alice)
        response = api().post("/api/users/", NEWCOMER | {"email": "alice@example.com"})
        assert response.status_code == 201
        assert response.json()["user_id"] != str(alice.pk)

    def test_the_address_of_an_erased_row_may_be_taken(self, api, client, alice, erase):
        """By registering the address that the row is given."""
        in_the_way = NEWCOMER | {"email": f"{alice.pk}@erased.invalid"}
        assert api().post("/api/users/", in_the_way).status_code == 201
        erase(api, client, alice)
        alice.refresh_from_db()
        assert alice.is_erased

    def test_no_cached_page_shows_one_who_had_left(self, api, client, alice, bob, message, erase):
        path = f"/api/conversations/{message.conversation_id}/messages/"
        message.conversation.participants.remove(alice)
        before = api(bob).get(path).json()["results"][0]["sender"]
        assert before["first_name"] == "Alice"
        erase(api, client, alice)
        after = api(bob).get(path).json()["results"][0]["sender"]
        assert after == {"user_id": str(alice.pk)} | DELETED_USER

    def test_a_form_that_was_open_in_the_admin_does_not_bring_them_back(
        self, api, client, alice, erase
    ):
        erase(api, client, alice)
        client.force_login(User.objects.create_superuser("boss@example.com", "x"))
        form = {"email": "alice@example.com", "first_name": "Alice", "last_name": "Test"}
        form |= {"role": "guest", "is_active": "on"}
        response = client.post(f"/admin/chats/user/{alice.pk}/change/", form, follow=True)
        assert "This user was erased after you opened the page." in response.content.decode()
        alice.refresh_from_db()
        assert (alice.is_active, alice.first_name) == (False, "Deleted")

    def test_the_admins_history_forgets_too(self, api, client, alice, erase):
        root = User.objects.create_superuser("boss@example.com", "x")
        LogEntry.objects.log_actions(root.pk, [alice], CHANGE, "Changed.", single_object=True)
        erase(api, client, alice)
        assert "alice" not in str(list(LogEntry.objects.values())).lower()


class TestEraseByTheApi:
    CONVERSATIONS = 5

    @pytest.fixture
    def many(self, alice, bob, monkeypatch):
        """Alice's conversations, of which two are left in a transaction."""
        monkeypatch.setattr("chats.models.CONVERSATIONS_PER_TRANSACTION", 2)
        return [start({bob.pk}, actor=alice)[0] for _ in range(self.CONVERSATIONS)]

    @pytest.mark.usefixtures("many")
    @pytest.mark.django_db(transaction=True)
    def test_others_write_between_its_transactions(self, alice):
        clocks_moved, commits = [], []

        def record(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith('UPDATE "chats_conversation"'):
                clocks_moved.append((result.rowcount, len(commits)))
                transaction.on_commit(lambda: commits.append(True))
            return result

        with connection.execute_wrapper(record):
            erase(alice)
        assert clocks_moved == [(2, 0), (2, 1), (1, 2)]

    def test_moves_each_clock_once(self, alice, many):
        ahead = datetime(2099, 1, 1, tzinfo=UTC)
        Conversation.objects.update(updated_at=ahead)
        send(many[0], "Hello", actor=alice)
        many[0].participants.remove(alice)
        erase(alice)
        clocks = dict(Conversation.objects.values_list("pk", "updated_at"))
        microsecond = timedelta(microseconds=1)
        # A message, her departure, and her name on the message.
        assert clocks.pop(many[0].pk) == ahead + 3 * microsecond
        assert set(clocks.values()) == {ahead + microsecond}

    @pytest.mark.usefixtures("many")
    @pytest.mark.django_db(transaction=True)
    def test_one_that_was_interrupted_can_be_repeated(self, api, alice):
        """The process ends between two transactions."""

        class KilledError(Exception):
            pass

        def kill(action, **kwargs):
            if action == "pre_remove" and alice.conversations.count() <= 3:
                raise KilledError

        m2m_changed.connect(kill, sender=Conversation.participants.through)
        try:
            with pytest.raises(KilledError):
                erase(alice)
        finally:
            m2m_changed.disconnect(kill, sender=Conversation.participants.through)
        assert alice.conversations.count() == 3
        assert api(alice).get("/api/users/me/").json() == own_profile(alice)
        erase(alice)
        assert not alice.conversations.exists()
        assert alice.is_erased

    @pytest.mark.usefixtures("many")
    def test_leaves_what_somebody_adds_them_to_meanwhile(self, alice):
        late = Conversation.objects.create()

        def add(instance, action, **kwargs):
            if action == "post_remove":
                late.participants.add(alice)

        m2m_changed.connect(add, sender=Conversation.participants.through)
        try:
            erase(alice)
        finally:
            m2m_changed.disconnect(add, sender=Conversation.participants.through)
        assert not late.participants.exists()

    def test_of_a_row_that_was_deleted_meanwhile(self, alice):
        read_before = User.objects.get(pk=alice.pk)
        alice.delete()
        with pytest.raises(User.DoesNotExist):
            erase(read_before)
        assert not User.objects.exists()

    @pytest.mark.parametrize("body", [{}, {"current_password": "wrong"}])
    def test_asks_for_the_password(self, api, alice, body):
        response = api(alice).delete("/api/users/me/", body)
        assert (response.status_code, list(response.json())) == (400, ["current_password"])
        alice.refresh_from_db()
        assert (alice.is_active, alice.first_name) == (True, "Alice")


class TestFindByEmail:
    def test_finds_a_stranger_by_the_whole_address(self, api, alice, mallory):
        response = api(alice).get("/api/users/", {"email": "MALLORY@example.com"})
        assert (response.status_code, response.json()) == (200, page(public_profile(mallory)))

    def test_finds_no_part_and_nobody_inactive(self, api, alice, mallory):
        deactivate(mallory)
        for email in ["mallory@example.com", "allory@example.com", "mallory@example.co"]:
            response = api(alice).get("/api/users/", {"email": email})
            assert (response.status_code, response.json()) == (200, page())

    @pytest.mark.usefixtures("mallory")
    @pytest.mark.parametrize("email", ["mallory", "", " ", "\t", "\u00a0", "\u2003", "%", "@"])
    def test_refuses_what_is_no_address(self, api, alice, email):
        response = api(alice).get("/api/users/", {"email": email})
        assert (response.status_code, list(response.json())) == (400, ["email"])


@pytest.mark.usefixtures("conversation", "mallory")
def test_contacts_are_those_one_talks_to(api, alice, bob):
    response = api(alice).get("/api/users/")
    assert (response.status_code, response.json()) == (200, page(public_profile(bob)))


class TestPublicProfile:
    def test_of_a_contact(self, api, alice, bob, conversation):
        response = api(alice).get(f"/api/users/{bob.pk}/")
        assert (response.status_code, response.json()) == (200, public_profile(bob))

    def test_of_oneself(self, api, alice):
        """With or without a conversation."""
        response = api(alice).get(f"/api/users/{alice.pk}/")
        assert (response.status_code, response.json()) == (200, public_profile(alice))

    def test_is_there_as_long_as_the_list_has_the_person(self, api, alice, bob, conversation):
        client, path = api(alice), f"/api/users/{bob.pk}/"
        deactivate(bob)
        assert client.get("/api/users/").json() == page(public_profile(bob))
        assert client.get(path).json() == public_profile(bob)
        leave(conversation, actor=bob)
        assert client.get("/api/users/").json() == page()
        response = client.get(path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)

    @pytest.mark.parametrize("query", ["", "?email=mallory@example.com", "?search=Mallory"])
    def test_of_a_stranger_is_not_found(self, api, alice, conversation, mallory, query):
        """Parameters widen the list, not this."""
        response = api(alice).get(f"/api/users/{mallory.pk}/{query}")
        assert (response.status_code, response.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize(
    "wish",
    [
        {"first_name": "Dora\nYou have won"},
        {"last_name": "Di\0az"},
        {"email": "jımmy@example.com"},
        {"email": "nonsense"},
        {"phone_number": "0151"},
    ],
    ids=repr,
)
def test_create_user_refuses_what_a_form_would(db, wish):
    with pytest.raises(ValidationError):
        User.objects.create_user(**NEWCOMER | wish)
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_password_is_hashed_while_others_wait_to_write(api, alice, monkeypatch):
    in_transaction = []
    encode = hashers.Argon2PasswordHasher.encode

    def record(self, password, salt):
        in_transaction.append(connection.in_atomic_block)
        return encode(self, password, salt)

    monkeypatch.setattr(hashers.Argon2PasswordHasher, "encode", record)
    new = "moor under the tide"
    uid = urlsafe_base64_encode(str(alice.pk).encode())
    token = default_token_generator.make_token(alice)
    assert api().post("/api/users/", NEWCOMER).status_code == 201
    body = {"uid": uid, "token": token, "new_password": new}
    assert api().post("/api/users/reset_password_confirm/", body).status_code == 204
    alice.refresh_from_db()
    body = {"current_password": new, "new_password": PASSWORD}
    assert api(alice).post("/api/users/set_password/", body).status_code == 204
    # One for each of the three calls.
    assert in_transaction == [False] * 3


@pytest.mark.parametrize("email", ["Ann@BÜCHER.example", "ann+ben@mail.example.com"])
@pytest.mark.django_db
def test_create_user_takes_domains_in_any_script(email):
    assert User.objects.create_user(email=email).email == email.lower()


def test_people_are_made_in_code_with_create_user(db):
    user = User.objects.create_user(email="Eve@Example.com", password="x", first_name="Eve")
    assert (user.email, user.role, user.is_staff, user.check_password("x")) == (
        "eve@example.com",
        "guest",
        False,
        True,
    )
    admin = User.objects.create_superuser(email="root@example.com", password="x")
    assert (admin.role, admin.is_staff, admin.is_superuser) == ("admin", True, True)
