"""`POST /api/users/set_email/` and `set_email_confirm/`."""

import re

import pytest
from django.core import mail, signing
from django.db import IntegrityError
from django.utils import timezone

from chats.accounts.links import (
    CHANGE_SALT,
    encode_user_id,
    make_change_token,
    read_change_token,
    verification_tokens,
)
from chats.models import User
from chats.services import confirm_email, erase
from chats.tests.conftest import PASSWORD
from chats.tests.support.expected import own_profile
from chats.tests.support.mail import read_link, read_mail
from chats.tests.support.rows import change, deactivate, read_row

PAGE = "https://chat.example.com/verify"
SET = "/api/users/set_email/"
CONFIRM = "/api/users/set_email_confirm/"
NEW = "alicia@example.org"
DEAD_LINK = {"token": ["The link was used or has expired: ask for a new one."]}
OTHERS_ADDRESS = (
    "A user with this e-mail address already exists. If you did not create that account, reset its "
    "password by e-mail: then it is yours."
)
TAKEN = {"token": [OTHERS_ADDRESS]}


def get_response(response):
    return response.status_code, response.json()


@pytest.fixture
def ask(api, alice):
    """`ask(new_email)`: the mails that were sent."""

    def ask(new_email, user=alice):
        before = len(mail.outbox)
        body = {"current_password": PASSWORD, "new_email": new_email}
        response = api(user).post(SET, body)
        assert (response.status_code, response.content) == (204, b"")
        return read_mail()[before:]

    return ask


@pytest.fixture
def link(alice):
    return {"token": make_change_token(alice, NEW)}


class TestSetEmail:
    def test_mails_a_link_that_works_once(self, api, alice, ask, settings):
        settings.VERIFY_EMAIL_URL = PAGE
        before = read_row(alice)
        sent, notice = ask("ALICIA@example.org")
        assert read_row(alice) == before
        assert (sent.to, sent.subject) == ([NEW], "Confirm your new e-mail address")
        assert notice.to == [alice.email]
        assert notice.subject == "Your e-mail address is about to change"
        link = read_link(sent, PAGE)
        client = api(alice)
        response = api().post(CONFIRM, link)
        assert (response.status_code, response.content) == (204, b"")
        after = read_row(alice)
        assert set(dict(after.items() - before.items())) == {"email", "email_verified_at"}
        assert after["email"] == NEW
        assert after["email_verified_at"] > before["email_verified_at"]
        # Sessions go on.
        profile = client.get("/api/users/me/")
        assert get_response(profile) == (200, own_profile(User.objects.get()))
        assert get_response(api().post(CONFIRM, link)) == (400, DEAD_LINK)
        for email, status in [(NEW, 200), (alice.email, 401)]:
            response = api().post("/api/token/", {"email": email, "password": PASSWORD})
            assert response.status_code == status

    def test_mail_without_a_page_has_the_token(self, api, ask):
        sent, notice = ask(NEW)
        [token] = re.findall(r"\n +token: (\S+)\n", sent.body)
        assert api().post(CONFIRM, {"token": token}).status_code == 204
        assert token not in notice.body

    def test_mails_have_no_text_of_the_user(self, alice, ask):
        change(alice, first_name="Visit\n\nhttps://evil.example")
        for sent in ask("visit.evil.example@example.org"):
            assert "evil" not in sent.body
            assert alice.email not in sent.body

    def test_notice_says_how_to_end_the_link(self, api, alice, ask):
        sent, notice = ask(NEW)
        assert "choose a new password" in notice.body
        [token] = re.findall(r"\n +token: (\S+)\n", sent.body)
        body = {"current_password": PASSWORD, "new_password": "moor under the tide"}
        assert api(alice).post("/api/users/set_password/", body).status_code == 204
        assert get_response(api().post(CONFIRM, {"token": token})) == (400, DEAD_LINK)

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            (
                {"current_password": "wrong", "new_email": "nonsense"},
                {
                    "current_password": ["This is not your current password."],
                    "new_email": ["Enter a valid email address."],
                },
            ),
            (
                {"current_password": PASSWORD, "new_email": " Alice@Example.COM"},
                {"new_email": ["This is your current e-mail address."]},
            ),
            (
                {"current_password": PASSWORD, "new_email": "zoë@example.com"},
                {"new_email": ["The part before the @ must contain only ASCII characters."]},
            ),
        ],
        ids=["password", "same", "form"],
    )
    def test_bad_input_is_a_400_and_mails_nothing(self, api, alice, body, errors):
        assert get_response(api(alice).post(SET, body)) == (400, errors)
        assert read_mail() == []

    def test_does_not_tell_whether_the_address_is_taken(
        self, alice, bob, make_user, ask, django_assert_num_queries
    ):
        """The same response, after the same query: only the caller is read."""
        make_user("Gone", is_active=False)
        make_user("Dora", email_verified_at=None)
        for name in ("bob", "gone", "dora", "nobody"):
            with django_assert_num_queries(1):
                sent, notice = ask(f"{name}@example.com")
            assert (sent.to, notice.to) == ([f"{name}@example.com"], [alice.email])


class TestConfirm:
    def test_expired_link_is_a_400(self, api, link, settings):
        settings.PASSWORD_RESET_TIMEOUT = -1
        assert get_response(api().post(CONFIRM, link)) == (400, DEAD_LINK)

    def test_taken_address_is_a_400(self, api, alice, link, make_user):
        """Also one that is not verified, and that of an inactive user."""
        dora = make_user("Dora", email=NEW, email_verified_at=None, is_active=False)
        before = read_row(alice)
        assert get_response(api().post(CONFIRM, link)) == (400, TAKEN)
        assert read_row(alice) == before
        change(dora, email="dora@example.com")
        assert api().post(CONFIRM, link).status_code == 204

    def test_address_is_unique_in_any_case(self, alice, make_user, transactional_db):
        make_user("Dora", email=NEW)
        with pytest.raises(IntegrityError):
            confirm_email(alice, NEW.upper())

    @pytest.mark.parametrize(
        "meanwhile",
        [
            lambda user: user.replace_password("moor under the tide"),
            lambda user: user.reset_password("moor under the tide"),
            lambda user: confirm_email(user, "other@example.org"),
            lambda user: change(user, email="other@example.org"),
            lambda user: change(user, email_verified_at=timezone.now()),
            deactivate,
            erase,
            User.delete,
        ],
        ids=["password", "reset", "another", "staff", "verified", "deactivated", "erased", "gone"],
    )
    def test_change_ends_the_link_also_while_the_request_runs(self, api, alice, link, meanwhile):
        meanwhile(User.objects.get(pk=alice.pk))
        before = read_row(alice)
        assert get_response(api().post(CONFIRM, link)) == (400, DEAD_LINK)
        assert confirm_email(alice, NEW) is False
        assert read_row(alice) == before

    def test_what_others_change_meanwhile_stays(self, alice):
        change(alice, first_name="Alicia", role="host", is_staff=True)
        assert confirm_email(alice, NEW)
        row = read_row(alice)
        assert (row["first_name"], row["role"], row["is_staff"]) == ("Alicia", "host", True)

    def test_link_of_a_change_back_does_not_work_again(self, api, alice, link):
        """The address is the same as before, but it was verified at another time."""
        first = alice.email
        assert api().post(CONFIRM, link).status_code == 204
        alice.refresh_from_db()
        back = {"token": make_change_token(alice, first)}
        assert api().post(CONFIRM, back).status_code == 204
        assert User.objects.get().email == first
        assert get_response(api().post(CONFIRM, link)) == (400, DEAD_LINK)

    def test_token_with_other_contents_is_a_400(self, api, alice, bob, link):
        uid, new_email, inner = signing.loads(link["token"], salt=CHANGE_SALT)
        wrong = [
            "nonsense",
            link["token"][:-1],
            f"{link['token']}a",
            signing.dumps([uid, new_email, inner]),
            signing.dumps([encode_user_id(bob), new_email, inner], salt=CHANGE_SALT),
            signing.dumps(
                [uid, new_email, verification_tokens.make_token(alice)], salt=CHANGE_SALT
            ),
        ]
        assert [read_change_token(token) for token in wrong] == [None] * 6
        assert get_response(api().post(CONFIRM, {"token": wrong[0]})) == (400, DEAD_LINK)

    def test_receiver_of_the_link_cannot_verify_the_current_address(self, api, alice):
        """The token is readable: who asks for a link to their own address can take it apart."""
        change(alice, email_verified_at=None)
        alice.refresh_from_db()
        token = make_change_token(alice, NEW)
        uid, _, inner = signing.loads(token, salt=CHANGE_SALT)
        response = api().post("/api/users/verify_email/", {"uid": uid, "token": inner})
        assert get_response(response) == (400, DEAD_LINK)
        body = {"uid": uid, "token": inner, "new_password": "moor under the tide"}
        response = api().post("/api/users/reset_password_confirm/", body)
        assert get_response(response) == (400, DEAD_LINK)

    def test_confirmation_needs_no_token_of_a_session(self, api, bob, link):
        """The link may be opened where somebody else is signed in."""
        assert api(bob).post(CONFIRM, link).status_code == 204
        assert api(access="nonsense").post(CONFIRM, link).status_code == 400
