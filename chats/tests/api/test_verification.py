"""E-mail addresses that are verified by a link, and accounts whose address is not."""

import re

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from chats import auth
from chats.accounts.links import change_tokens, encode_user_id, verification_tokens
from chats.models import User
from chats.services import confirm_email, erase
from chats.tests.conftest import NEWCOMER, PASSWORD
from chats.tests.support.expected import NO_ACTIVE_ACCOUNT
from chats.tests.support.mail import read_link, read_mail, refusing_mail_server
from chats.tests.support.rows import change, deactivate, read_row

PAGE = "https://chat.example.com/verify"
VERIFY = "/api/users/verify_email/"
RESEND = "/api/users/resend_verification/"
RESET = "/api/users/reset_password/"
RESET_CONFIRM = "/api/users/reset_password_confirm/"
NEW_PASSWORD = "moor under the tide"
DEAD_LINK = {"token": ["The link was used or has expired: ask for a new one."]}
NOT_VERIFIED = {
    "detail": "The e-mail address is not verified. Follow the link that was sent to it, or ask for "
    "a new one with POST /api/users/resend_verification/.",
    "code": "email_not_verified",
}


@pytest.fixture
def dora(make_user):
    """She has registered, and has not followed the link."""
    return make_user("Dora", email_verified_at=None)


@pytest.fixture
def link(dora):
    return {"uid": encode_user_id(dora), "token": verification_tokens.make_token(dora)}


def get_response(response):
    return response.status_code, response.json()


def change_password(user):
    assert User.objects.get(pk=user.pk).replace_password(NEW_PASSWORD)


def change_address(user):
    change(user, email="dora@example.org")


def move(user):
    """They follow a link to another address."""
    assert confirm_email(User.objects.get(pk=user.pk), "dora@example.org")


class TestRegistration:
    def test_mails_a_link_that_works_once(self, api, db, settings):
        settings.VERIFY_EMAIL_URL = PAGE
        assert api().post("/api/users/", NEWCOMER).status_code == 201
        dora = User.objects.get()
        assert dora.email_verified_at is None
        [sent] = read_mail()
        assert (sent.to, sent.subject) == ([dora.email], "Confirm your e-mail address")
        link = read_link(sent, PAGE)
        response = api().post(VERIFY, link)
        assert (response.status_code, response.content) == (204, b"")
        verified = User.objects.get()
        assert verified.email_verified_at > dora.created_at
        assert get_response(api().post(VERIFY, link)) == (400, DEAD_LINK)
        assert User.objects.get().email_verified_at == verified.email_verified_at

    def test_nobody_registers_as_verified(self, api, db):
        body = NEWCOMER | {"email_verified_at": "2026-01-01T00:00:00Z"}
        assert api().post("/api/users/", body).status_code == 201
        assert User.objects.get().email_verified_at is None

    def test_users_whom_code_creates_are_verified(self, db):
        assert User.objects.create_user("x@example.com", "x").email_verified_at
        assert User.objects.create_superuser("y@example.com", "x").email_verified_at

    def test_without_a_mail_server_no_mail_is_made(self, api, db, settings, caplog):
        """Each would be a warning, about a mail that nobody asked for."""
        settings.EMAIL_BACKEND = "messaging_app.backends.mail.NotSent"
        assert api().post("/api/users/", NEWCOMER).status_code == 201
        read_mail()
        assert caplog.messages == []
        assert api().post(RESEND, {"email": NEWCOMER["email"]}).status_code == 204
        read_mail()
        assert caplog.messages == [
            "An e-mail was not sent, because EMAIL_URL names no mail server."
        ]

    def test_mail_server_that_is_away_is_logged(self, api, db, settings, caplog):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
        assert api().post("/api/users/", NEWCOMER).status_code == 201
        read_mail()
        assert caplog.messages == [
            "An e-mail was not sent: ConnectionRefusedError Connection refused"
        ]

    def test_log_does_not_quote_a_mail_server_that_quotes_the_link(self, api, db, settings, caplog):
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.VERIFY_EMAIL_URL = PAGE
        with refusing_mail_server() as mail_server:
            settings.EMAIL_HOST, settings.EMAIL_PORT = mail_server.server_address
            assert api().post("/api/users/", NEWCOMER).status_code == 201
            read_mail()
        assert PAGE in mail_server.refused
        assert caplog.messages == ["An e-mail was not sent: SMTPDataError 554"]
        assert NEWCOMER["email"].lower() not in caplog.text.lower()
        assert "token" not in caplog.text

    def test_mail_that_cannot_be_made_is_logged(self, api, db, settings, caplog):
        settings.TEMPLATES = [settings.TEMPLATES[0] | {"APP_DIRS": False}]
        assert api().post("/api/users/", NEWCOMER).status_code == 201
        read_mail()
        [record] = caplog.records
        assert record.getMessage() == "An e-mail was not sent: TemplateDoesNotExist"
        assert record.exc_info


class TestVerifyEmail:
    def test_writes_nothing_else(self, api, dora, link):
        before = read_row(dora)
        assert api().post(VERIFY, link).status_code == 204
        changed = dict(read_row(dora).items() - before.items())
        assert list(changed) == ["email_verified_at"]

    def test_expired_link_is_a_400(self, api, link, settings):
        settings.PASSWORD_RESET_TIMEOUT = -1
        assert get_response(api().post(VERIFY, link)) == (400, DEAD_LINK)

    @pytest.mark.parametrize(
        "meanwhile", [change_password, change_address, move, deactivate, erase, User.delete]
    )
    def test_link_is_dead_after_another_change(self, api, dora, link, meanwhile):
        meanwhile(User.objects.get(pk=dora.pk))
        before = read_row(dora)
        assert get_response(api().post(VERIFY, link)) == (400, DEAD_LINK)
        assert read_row(dora) == before

    @pytest.mark.parametrize("meanwhile", [change_password, change_address, deactivate, erase])
    def test_change_while_the_request_runs_ends_the_link(self, dora, meanwhile):
        meanwhile(User.objects.get(pk=dora.pk))
        before = read_row(dora)
        assert confirm_email(dora, dora.email) is False
        assert read_row(dora) == before

    def test_sign_in_does_not_end_the_link(self, api, dora, link):
        body = {"email": dora.email, "password": PASSWORD}
        assert api().post("/api/token/", body).status_code == 200
        assert api().post(VERIFY, link).status_code == 204

    @pytest.mark.parametrize(
        "wrong",
        [
            {"uid": "nonsense"},
            {"uid": "\u00e9"},
            {"uid": encode_user_id(User(pk="00000000-0000-4000-8000-000000000000"))},
            {"token": "nonsense"},
            {"token": "c1-" + "0" * 32},
        ],
        ids=str,
    )
    def test_bad_uid_or_token_is_a_400(self, api, dora, link, wrong):
        assert get_response(api().post(VERIFY, link | wrong)) == (400, DEAD_LINK)

    def test_token_of_another_user_is_a_400(self, api, bob, link):
        change(bob, email_verified_at=None)
        response = api().post(VERIFY, link | {"uid": encode_user_id(bob)})
        assert get_response(response) == (400, DEAD_LINK)

    def test_token_for_another_purpose_is_a_400(self, api, dora, link):
        for tokens in (default_token_generator, change_tokens):
            wrong = link | {"token": tokens.make_token(dora)}
            assert get_response(api().post(VERIFY, wrong)) == (400, DEAD_LINK)
        body = link | {"new_password": NEW_PASSWORD}
        assert get_response(api().post(RESET_CONFIRM, body)) == (400, DEAD_LINK)


class TestResend:
    def test_mails_a_link(self, api, dora):
        assert api().post(RESEND, {"email": "DORA@example.com"}).status_code == 204
        [sent] = read_mail()
        assert sent.to == [dora.email]
        [(uid, token)] = re.findall(r"uid: (\S+)\n +token: (\S+)\n", sent.body)
        assert api().post(VERIFY, {"uid": uid, "token": token}).status_code == 204

    def test_mail_has_no_text_of_the_user(self, api, dora):
        change(dora, first_name="Visit\n\nhttps://evil.example")
        api().post(RESEND, {"email": dora.email})
        [sent] = read_mail()
        assert "evil" not in sent.body
        assert dora.email not in sent.body

    @pytest.mark.parametrize("path", [RESEND, RESET])
    def test_response_and_queries_do_not_tell_whose_address_it_is(
        self, api, alice, dora, make_user, path, django_assert_num_queries
    ):
        make_user("Gone", is_active=False, email_verified_at=None)
        erase(make_user("Erased", email_verified_at=None))
        responses = []
        for name in ("alice", "dora", "gone", "erased", "nobody"):
            with django_assert_num_queries(1):
                response = api().post(path, {"email": f"{name}@example.com"})
            del response.headers["X-Request-ID"]
            responses.append((response.status_code, response.content, response.headers))
        assert responses == responses[:1] * 5
        expected = {RESEND: [[dora.email]], RESET: [[alice.email], [dora.email]]}
        assert [sent.to for sent in read_mail()] == expected[path]


class TestSignInWithoutVerification:
    """EMAIL_VERIFICATION is off."""

    def test_is_like_any_other(self, api, dora, alice):
        body = {"email": dora.email, "password": PASSWORD}
        tokens = api().post("/api/token/", body).json()
        assert api(access=tokens["access"]).get("/api/users/me/").status_code == 200
        found = api(alice).get("/api/users/?email=dora@example.com").json()["results"]
        assert [user["user_id"] for user in found] == [str(dora.pk)]


class TestSignInWithVerification:
    @pytest.fixture(autouse=True)
    def _verification(self, settings):
        settings.EMAIL_VERIFICATION = True

    def test_right_password_is_a_401_with_its_own_code(self, api, dora, link):
        body = {"email": dora.email, "password": PASSWORD}
        before = read_row(dora)
        response = api().post("/api/token/", body)
        assert get_response(response) == (401, NOT_VERIFIED)
        assert read_row(dora) == before
        assert api().post(VERIFY, link).status_code == 204
        assert api().post("/api/token/", body).status_code == 200

    def test_wrong_password_tells_nothing(self, api, dora, alice, make_user):
        make_user("Gone", is_active=False)
        seen = []
        for name in ("alice", "dora", "gone", "nobody"):
            with CaptureQueriesContext(connection) as queries:
                body = {"email": f"{name}@example.com", "password": "wrong"}
                response = api().post("/api/token/", body)
            assert get_response(response) == (401, NO_ACTIVE_ACCOUNT)
            sql = [query["sql"].replace(name, "") for query in queries.captured_queries]
            seen.append((response.content, sql))
        assert seen == seen[:1] * 4

    def test_every_token_is_refused_with_the_same_code(self, api, dora):
        """They were issued before EMAIL_VERIFICATION was turned on."""
        access, refresh = str(AccessToken.for_user(dora)), str(RefreshToken.for_user(dora))
        calls = [
            lambda: api(access=access).get("/api/users/me/"),
            lambda: api().post("/api/token/verify/", {"token": access}),
            lambda: api().post("/api/token/verify/", {"token": refresh}),
            lambda: api().post("/api/token/refresh/", {"refresh": refresh}),
        ]
        assert [get_response(call()) for call in calls] == [(401, NOT_VERIFIED)] * 4
        assert confirm_email(dora, dora.email)
        assert [call().status_code for call in calls] == [200] * 4

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api/token/", {"email": "alice@example.com", "password": PASSWORD}),
            ("/api/token/refresh/", {"refresh": ""}),
        ],
    )
    def test_no_token_is_issued_if_the_address_is_not_verified_any_more(
        self, api, alice, before_each, path, body
    ):
        """Staff or a command changed the row while the request ran."""
        if "refresh" in body:
            body = {"refresh": str(RefreshToken.for_user(alice))}
        before_each(auth, "lock_active", lambda: change(alice, email_verified_at=None))
        assert get_response(api().post(path, body)) == (401, NOT_VERIFIED)

    def test_nobody_finds_or_adds_them(self, api, alice, dora, conversation):
        client = api(alice)
        found = client.get("/api/users/?email=dora@example.com")
        assert found.json()["results"] == []
        for path, name, value in [
            ("/api/conversations/", "participants", [str(dora.pk)]),
            (f"/api/conversations/{conversation.pk}/add_participant/", "user_id", str(dora.pk)),
        ]:
            response = client.post(path, {name: value})
            assert (response.status_code, list(response.json())) == (400, [name])

    def test_staff_sign_in_to_the_admin_only_with_a_verified_address(self, client, root):
        form = {"username": root.email, "password": PASSWORD}
        change(root, email_verified_at=None)
        response = client.post("/admin/login/?next=/admin/", form)
        assert "Follow the link that was sent to your e-mail address" in response.content.decode()
        assert client.get("/admin/").status_code == 302
        change(root, email_verified_at=timezone.now())
        response = client.post("/admin/login/?next=/admin/", form)
        assert (response.status_code, response.headers["Location"]) == (302, "/admin/")

    def test_owner_takes_a_squatted_address_back(self, api, db, settings):
        settings.PASSWORD_RESET_URL = PAGE
        squatter = NEWCOMER["password"]
        assert api().post("/api/users/", NEWCOMER).status_code == 201
        address = {"email": NEWCOMER["email"]}
        response = api().post("/api/token/", address | {"password": squatter})
        assert get_response(response) == (401, NOT_VERIFIED)
        # The squatter has tokens from before EMAIL_VERIFICATION was turned on.
        dora = User.objects.get()
        access, refresh = str(AccessToken.for_user(dora)), str(RefreshToken.for_user(dora))
        assert api().post(RESET, address).status_code == 204
        [first, sent] = read_mail()
        link = read_link(sent, PAGE)
        response = api().post(RESET_CONFIRM, link | {"new_password": NEW_PASSWORD})
        assert response.status_code == 204
        response = api().post("/api/token/", address | {"password": NEW_PASSWORD})
        assert response.status_code == 200
        owners = api(access=response.json()["access"])
        assert owners.get("/api/users/me/").json()["email"] == dora.email
        response = api().post("/api/token/", address | {"password": squatter})
        assert get_response(response) == (401, NO_ACTIVE_ACCOUNT)
        for response in (
            api(access=access).get("/api/users/me/"),
            api().post("/api/token/refresh/", {"refresh": refresh}),
        ):
            assert (response.status_code, response.json()["code"]) == (401, "password_changed")
        # The link of the registration, which the owner has too, is dead.
        [(uid, token)] = re.findall(r"uid: (\S+)\n +token: (\S+)\n", first.body)
        response = api().post(VERIFY, {"uid": uid, "token": token})
        assert get_response(response) == (400, DEAD_LINK)


class TestResetPassword:
    def test_verifies_the_address(self, dora):
        before = read_row(dora)
        assert dora.reset_password(NEW_PASSWORD)
        changed = dict(read_row(dora).items() - before.items())
        assert set(changed) == {"password", "email_verified_at"}

    def test_keeps_the_time_at_which_it_was_verified_meanwhile(self, dora, alice):
        change(dora, email_verified_at=alice.email_verified_at)
        assert dora.reset_password(NEW_PASSWORD)
        assert read_row(dora)["email_verified_at"] == alice.email_verified_at

    @pytest.mark.parametrize("meanwhile", [change_address, move, change_password, erase])
    def test_writes_nothing_if_the_user_was_changed_meanwhile(self, dora, meanwhile):
        meanwhile(User.objects.get(pk=dora.pk))
        before = read_row(dora)
        assert dora.reset_password(NEW_PASSWORD) is False
        assert read_row(dora) == before


class TestAdmin:
    def run(self, staff, *users):
        keys = [user.pk for user in users]
        form = {"action": "verify_email", "_selected_action": keys, "confirmed": "yes"}
        return staff.post("/admin/chats/user/", form, follow=True)

    def test_staff_see_when_an_address_was_verified(self, staff, alice, dora):
        for user, shown in [
            (alice, alice.email_verified_at.strftime("%Y-%m-%d %H:%M")),
            (dora, "-"),
        ]:
            page = staff.get(f"/admin/chats/user/{user.pk}/change/").content.decode()
            field = page.partition("field-email_verified_at")[2]
            assert re.search(r'class="readonly">(.*?)<', field)[1].startswith(shown)

    def test_staff_mark_addresses_as_verified(self, staff, alice, dora):
        before = read_row(dora), read_row(alice)
        page = self.run(staff, alice, dora).content.decode()
        assert "Addresses marked as verified: 1." in page
        changed = dict(read_row(dora).items() - before[0].items())
        assert list(changed) == ["email_verified_at"]
        assert read_row(alice) == before[1]
        history = staff.get(f"/admin/chats/user/{dora.pk}/history/").content.decode()
        assert "Marked the address as verified." in history

    def test_only_staff_who_may_change_the_user(self, make_staff, root, dora):
        change(root, email_verified_at=None)
        self.run(make_staff("view_user"), dora, root)
        assert read_row(dora)["email_verified_at"] is None
        erased = User.objects.create(email="x@example.com", email_verified_at=None)
        erase(erased)
        self.run(make_staff("change_user"), dora, root, erased)
        rows = [read_row(user)["email_verified_at"] for user in (root, erased, dora)]
        assert rows[:2] == [None, None]
        assert rows[2]

    def test_users_whom_staff_add_are_verified(self, staff):
        form = {"email": "new@example.com", "first_name": "New", "last_name": "X"}
        form |= {"role": "guest", "usable_password": "false"}
        assert staff.post("/admin/chats/user/add/", form).status_code == 302
        assert User.objects.get(email="new@example.com").email_verified_at
