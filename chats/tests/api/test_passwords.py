"""Setting a password, and resetting a forgotten one."""

import re
from threading import Event

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.tokens import default_token_generator
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.utils.http import urlsafe_base64_encode
from rest_framework_simplejwt.tokens import RefreshToken

from chats.models import User
from chats.services import erase
from chats.tests.conftest import NEWCOMER, PASSWORD
from chats.tests.support.mail import read_link, read_mail
from chats.tests.support.rows import change, deactivate


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

    def test_same_password_ends_the_tokens_too(self, api, alice):
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
        ],
    )
    def test_bad_password_is_a_400(self, api, alice, body, errors):
        client = api(alice)
        response = client.post(self.PATH, body)
        assert (response.status_code, response.json()) == (400, errors)
        assert client.get("/api/users/me/").status_code == 200

    def test_second_of_two_concurrent_changes_is_refused(self, alice):
        other_call = User.objects.get(pk=alice.pk)
        assert alice.replace_password("first")
        assert not other_call.replace_password("second")
        alice.refresh_from_db()
        assert alice.check_password("first")

    @pytest.fixture
    def _weak_hash(self, alice):
        weak = Argon2PasswordHasher()
        weak.time_cost = 1
        change(alice, password=weak.encode(PASSWORD, "some salt"))

    @pytest.mark.usefixtures("_weak_hash")
    def test_rehash_at_sign_in_does_not_undo_a_change(self, alice):
        signing_in = User.objects.get(pk=alice.pk)
        assert User.objects.get(pk=alice.pk).replace_password(self.NEW)
        assert signing_in.check_password(PASSWORD)
        assert User.objects.get(pk=alice.pk).check_password(self.NEW)

    @pytest.mark.usefixtures("_weak_hash")
    def test_sign_in_upgrades_a_weak_hash(self, api, alice):
        response = api().post("/api/token/", {"email": alice.email, "password": PASSWORD})
        client = api(access=response.json()["access"])
        assert client.get("/api/users/me/").status_code == 200
        alice.refresh_from_db()
        assert "m=19456,t=2,p=1" in alice.password

    def test_password_set_in_the_admin_ends_the_tokens_too(self, api, alice, client):
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
            return read_mail()[before:]

        return ask

    @pytest.fixture
    def link(self, ask, alice, settings):
        settings.PASSWORD_RESET_URL = "https://chat.example.com/new-password"
        [sent] = ask("ALICE@example.com")
        return read_link(sent, settings.PASSWORD_RESET_URL)

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

    def test_sign_in_ends_the_link(self, api, alice, link):
        response = api().post("/api/token/", {"email": alice.email, "password": PASSWORD})
        assert response.status_code == 200
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW})
        assert (response.status_code, response.json()) == (
            400,
            {"token": ["The link was used or has expired: ask for a new one."]},
        )

    def test_mail_has_sender_recipient_and_subject(self, ask, alice, settings):
        settings.DEFAULT_FROM_EMAIL = "chat@example.com"
        [sent] = ask(alice.email)
        assert (sent.to, sent.from_email) == (["alice@example.com"], "chat@example.com")
        assert sent.subject == "Choose a new password"
        # Without PASSWORD_RESET_URL there is no page to link to.
        assert re.search(r"uid: \S+\n +token: \S+\n", sent.body)

    @pytest.mark.parametrize(
        ("domain", "encoded"),
        [
            ("straße.example", "xn--strae-oqa.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("𠮷野家.example", "xn--fctt27jo60v.example"),
        ],
    )
    def test_mail_goes_to_the_same_domain(self, ask, alice, domain, encoded):
        """Python would encode ß as ss, which is another domain."""
        change(alice, email=f"alice@{domain}")
        [sent] = ask(f"Alice@{domain}")
        assert sent.to == [f"alice@{encoded}"]

    def test_mail_has_no_text_of_the_user(self, ask, alice):
        change(alice, first_name="Visit\n\nhttps://evil.example")
        [sent] = ask(alice.email)
        assert "evil" not in sent.body
        assert alice.last_name not in sent.body
        assert alice.email not in sent.body

    def test_query_string_of_the_page_is_kept(self, ask, alice, settings):
        settings.PASSWORD_RESET_URL = "https://chat.example.com/?page=reset"
        [sent] = ask(alice.email)
        assert "https://chat.example.com/?page=reset&uid=" in sent.body

    @pytest.mark.parametrize("is_debug", [False, True])
    def test_values_are_beside_the_link_in_debug_only(self, ask, alice, settings, is_debug):
        """For people with curl: in DEBUG, the link leads to the demo client."""
        settings.PASSWORD_RESET_URL = "https://chat.example.com/#reset"
        settings.DEBUG = is_debug
        [sent] = ask(alice.email)
        assert "https://chat.example.com/#reset?uid=" in sent.body
        assert bool(re.search(r"uid: \S+\n +token: \S+\n", sent.body)) is is_debug

    def test_unknown_or_inactive_address_gets_the_same_204_and_no_mail(self, ask, make_user):
        make_user("Gone", is_active=False)
        erase(make_user("Erased"))
        for email in ("nobody@example.com", "gone@example.com", "erased@example.com"):
            assert ask(email) == []

    def test_does_not_wait_for_the_mail_server(self, api, alice, settings):
        """The response arrives before the mail can be sent."""
        settings.EMAIL_BACKEND = f"{__name__}.WaitingBackend"
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
    def test_bad_uid_or_token_is_a_400(self, api, alice, link, change):
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW} | change)
        assert response.status_code == 400
        assert set(response.json()) <= {"uid", "token"}
        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)

    def test_uid_of_another_user_is_a_400(self, api, bob, link):
        uid = urlsafe_base64_encode(str(bob.pk).encode())
        response = api().post(self.CONFIRM, link | {"uid": uid, "new_password": self.NEW})
        assert response.status_code == 400

    def test_weak_password_does_not_use_up_the_link(self, api, link):
        response = api().post(self.CONFIRM, link | {"new_password": "12345678"})
        assert (response.status_code, list(response.json())) == (400, ["new_password"])
        response = api().post(self.CONFIRM, link | {"new_password": self.NEW})
        assert response.status_code == 204

    def test_link_of_a_deactivated_user_is_a_400(self, api, alice, link):
        deactivate(alice)
        for password in (self.NEW, "12345678"):
            response = api().post(self.CONFIRM, link | {"new_password": password})
            assert (response.status_code, list(response.json())) == (400, ["token"])


class WaitingBackend(BaseEmailBackend):
    go, sent = Event(), Event()

    def send_messages(self, email_messages):
        self.go.wait(30)
        self.sent.set()


@pytest.mark.django_db(transaction=True)
def test_no_password_is_hashed_in_a_transaction(api, alice, before_each):
    in_transaction = []
    before_each(
        Argon2PasswordHasher, "encode", lambda: in_transaction.append(connection.in_atomic_block)
    )
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


@pytest.mark.parametrize(
    "meanwhile",
    [{"is_staff": True}, {"is_superuser": True}, {"is_active": False}, {"password": "another"}],
    ids=lambda change: next(iter(change)),
)
def test_a_user_who_was_changed_meanwhile_keeps_their_password(alice, meanwhile):
    User.objects.filter(pk=alice.pk).update(**meanwhile)
    before = User.objects.filter(pk=alice.pk).values().get()
    hash_before = alice.password
    assert alice.replace_password("a new long password") is False
    assert User.objects.filter(pk=alice.pk).values().get() == before
    assert alice.password == hash_before


def test_a_password_is_written_for_this_user_only(alice, bob):
    before = User.objects.filter(pk=bob.pk).values().get()
    assert alice.replace_password("a new long password") is True
    stored = User.objects.get(pk=alice.pk)
    assert stored.password == alice.password
    assert stored.check_password("a new long password")
    assert User.objects.filter(pk=bob.pk).values().get() == before


def test_without_a_password_nobody_can_sign_in_by_one(alice):
    assert alice.replace_password(None) is True
    assert not User.objects.get(pk=alice.pk).has_usable_password()
