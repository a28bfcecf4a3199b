from datetime import timedelta

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from chats.auth import SessionToken, TokenObtainSerializer, TokenRefreshSerializer
from chats.management.commands import flushexpiredtokens
from chats.models import User
from chats.services import change_profile, erase
from chats.tests.conftest import PASSWORD
from chats.tests.support.expected import NO_ACTIVE_ACCOUNT, own_profile
from chats.tests.support.rows import change, deactivate, read_tables

REFRESH, VERIFY, SIGN_OUT = (f"/api/token/{name}/" for name in ("refresh", "verify", "blacklist"))
TABLES = (OutstandingToken, BlacklistedToken, User)
BLACKLISTED = {"detail": "Token is blacklisted", "code": "token_not_valid"}


class TestSignIn:
    def test_ignores_the_case_of_the_address(self, api, alice):
        response = api().post("/api/token/", {"email": "aLICE@Example.com", "password": PASSWORD})
        assert response.status_code == 200
        assert list(response.json()) == ["refresh", "access"]
        assert response.headers["Cache-Control"] == "no-store"
        client = api(access=response.json()["access"])
        assert client.get("/api/users/me/").json() == own_profile(alice)

    def test_every_failure_is_the_same_401(self, api, alice, make_user):
        make_user("Gone", is_active=False)
        for email, password in [
            ("alice@example.com", "wrong"),
            ("nobody@example.com", PASSWORD),
            ("gone@example.com", PASSWORD),
            ("nonsense", PASSWORD),
            ("alice@example.com", f" {PASSWORD} "),
        ]:
            response = api().post("/api/token/", {"email": email, "password": password})
            assert (response.status_code, response.json()) == (401, NO_ACTIVE_ACCOUNT)
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_keeps_the_white_space_of_a_password(self, api, alice):
        alice.set_password(" spaces on both sides ")
        alice.save()
        for password, status in [(" spaces on both sides ", 200), ("spaces on both sides", 401)]:
            response = api().post("/api/token/", {"email": alice.email, "password": password})
            assert response.status_code == status

    def test_records_the_last_sign_in(self, api, alice):
        credentials = {"email": alice.email, "password": PASSWORD}
        begin = timezone.now()
        tokens = api().post("/api/token/", credentials).json()
        end = timezone.now()
        alice.refresh_from_db()
        assert begin <= alice.last_login <= end
        api().post(REFRESH, {"refresh": tokens["refresh"]})
        api().post("/api/token/", credentials | {"password": "wrong"})
        signed_in_at = alice.last_login
        alice.refresh_from_db()
        assert alice.last_login == signed_in_at

    def test_writes_last_login_only(self, alice):
        """Staff change her role after her password was checked."""
        read_before = User.objects.get(pk=alice.pk)
        change(alice, role="host")
        TokenObtainSerializer.get_token(read_before)
        alice.refresh_from_db()
        assert (alice.role, alice.last_login is None) == ("host", False)


def refresh(token):
    """The refresh token that replaces it. Not by the API, which is throttled."""
    return TokenRefreshSerializer().validate({"refresh": token})["refresh"]


def sign_in(user, refreshes=0):
    """The refresh tokens of a new session, the first one first."""
    tokens = [str(RefreshToken.for_user(user))]
    for _ in range(refreshes):
        tokens.append(refresh(tokens[-1]))
    return tokens


@pytest.fixture
def get_accepted(api):
    """`get_accepted(tokens)`: those that each of the three endpoints accepts. Changes nothing."""

    def is_accepted(path, token):
        name = "token" if path == VERIFY else "refresh"
        with transaction.atomic():
            response = api().post(path, {name: token})
            transaction.set_rollback(path != VERIFY)
        if response.status_code != 200:
            assert (response.status_code, response.json()) == (401, BLACKLISTED)
        return response.status_code == 200

    def get_accepted(tokens):
        before = read_tables(*TABLES)
        verified, *others = (
            [token for token in tokens if is_accepted(path, token)]
            for path in (VERIFY, REFRESH, SIGN_OUT)
        )
        assert read_tables(*TABLES) == before
        assert others == [verified, verified]
        return verified

    return get_accepted


class TestRefresh:
    def test_rotates(self, api, alice):
        used = str(RefreshToken.for_user(alice))
        response = api().post(REFRESH, {"refresh": used})
        assert response.status_code == 200
        assert sorted(response.json()) == ["access", "refresh"]
        assert response.json()["refresh"] != used
        assert response.headers["Cache-Control"] == "no-store"
        client = api(access=response.json()["access"])
        assert client.get("/api/users/me/").status_code == 200
        assert set(AccessToken(response.json()["access"]).payload) == set(
            AccessToken.for_user(alice).payload
        )

    def test_repeated_request_gets_the_same_refresh_token(self, api, get_accepted, alice):
        used, successor = sign_in(alice, refreshes=1)
        for _ in range(3):
            response = api().post(REFRESH, {"refresh": used})
            assert response.json()["refresh"] == successor
            client = api(access=response.json()["access"])
            assert client.get("/api/users/me/").status_code == 200
        assert get_accepted([used, successor]) == [used, successor]

    def test_use_of_the_successor_ends_the_repeats(self, get_accepted, alice):
        tokens = sign_in(alice, refreshes=2)
        assert get_accepted(tokens) == tokens[1:]

    def test_session_lives_as_long_as_its_newest_token(self, get_accepted, alice, monkeypatch):
        monkeypatch.setattr(f"{flushexpiredtokens.__name__}.MARGIN", -timedelta(days=1))
        first = SessionToken(*sign_in(alice))
        first.set_exp(lifetime=timedelta(hours=1))
        OutstandingToken.objects.update(token=str(first), expires_at=first.current_time)
        tokens = [str(first), refresh(str(first))]
        call_command("flushexpiredtokens")
        assert get_accepted(tokens) == tokens

    @pytest.mark.parametrize("refreshes", [0, 1])
    def test_token_of_a_session_without_a_row_is_refused(self, get_accepted, alice, refreshes):
        tokens = sign_in(alice, refreshes)
        OutstandingToken.objects.all().delete()
        assert get_accepted(tokens) == []

    def test_session_has_one_row(self, alice):
        sign_in(alice, refreshes=3)
        assert (OutstandingToken.objects.count(), BlacklistedToken.objects.count()) == (1, 0)

    def test_refuses_an_access_token(self, api, alice):
        response = api().post(REFRESH, {"refresh": str(AccessToken.for_user(alice))})
        assert (response.status_code, response.json()) == (
            401,
            {
                "detail": "This is not a refresh token. "
                "Send the refresh token, not the access token.",
                "code": "token_not_valid",
            },
        )

    @pytest.mark.parametrize(("seconds", "rows"), [(5, 1), (30, 1), (90, 0)])
    def test_token_is_flushed_after_the_leeway_only(self, api, alice, seconds, rows):
        refresh = RefreshToken.for_user(alice)
        refresh.set_exp(from_time=timezone.now(), lifetime=-timedelta(seconds=seconds))
        OutstandingToken.objects.update(
            token=str(refresh), expires_at=timezone.now() - timedelta(seconds=seconds)
        )
        refresh.blacklist()
        call_command("flushexpiredtokens")
        assert OutstandingToken.objects.count() == rows
        assert BlacklistedToken.objects.count() == rows
        response = api().post(REFRESH, {"refresh": str(refresh)})
        assert response.status_code == 401


class TestCopiedToken:
    """A token comes back although its successor was used."""

    @pytest.mark.parametrize("path", [REFRESH, SIGN_OUT])
    @pytest.mark.parametrize("link", range(3))
    def test_ends_the_session(self, api, get_accepted, alice, path, link):
        tokens = sign_in(alice, refreshes=4)
        assert get_accepted(tokens) == tokens[3:]
        response = api().post(path, {"refresh": tokens[link]})
        assert (response.status_code, response.json()) == (401, BLACKLISTED)
        assert get_accepted(tokens) == []

    def test_verify_does_not_end_the_session(self, api, get_accepted, alice):
        tokens = sign_in(alice, refreshes=2)
        assert api().post(VERIFY, {"token": tokens[0]}).status_code == 401
        assert get_accepted(tokens) == tokens[1:]

    @pytest.mark.parametrize("refreshes", [2, 50])
    def test_ends_a_session_of_any_length_with_constant_queries(
        self, api, get_accepted, alice, refreshes, django_assert_num_queries
    ):
        first, *_, previous, newest = sign_in(alice, refreshes)
        assert get_accepted([previous, newest]) == [previous, newest]
        # Blacklist, user, lock, session, its end; begin and commit.
        with django_assert_num_queries(7):
            assert api().post(REFRESH, {"refresh": first}).status_code == 401
        assert get_accepted([previous, newest]) == []

    def test_ends_no_other_session(self, api, get_accepted, alice):
        tokens, others = sign_in(alice, refreshes=2), sign_in(alice, refreshes=1)
        assert api().post(REFRESH, {"refresh": tokens[0]}).status_code == 401
        assert get_accepted(tokens + others) == others


class TestSignOut:
    @pytest.mark.parametrize("link", [1, 2], ids=["replaced", "newest"])
    def test_ends_the_session(self, api, get_accepted, alice, link):
        tokens, others = sign_in(alice, refreshes=2), sign_in(alice, refreshes=1)
        response = api().post(SIGN_OUT, {"refresh": tokens[link]})
        assert (response.status_code, response.json()) == (200, {})
        assert get_accepted(tokens + others) == others

    def test_does_not_end_the_access_token(self, api, alice):
        refresh = RefreshToken.for_user(alice)
        assert api().post(SIGN_OUT, {"refresh": str(refresh)}).status_code == 200
        client = api(access=refresh.access_token)
        assert client.get("/api/users/me/").status_code == 200


class TestVerify:
    @pytest.mark.parametrize("token_class", [AccessToken, RefreshToken])
    def test_accepts_a_live_token(self, api, alice, token_class):
        token = str(token_class.for_user(alice))
        response = api().post(VERIFY, {"token": token})
        assert (response.status_code, response.json()) == (200, {})

    def test_refuses_a_blacklisted_token(self, api, alice):
        refresh = RefreshToken.for_user(alice)
        refresh.blacklist()
        response = api().post(VERIFY, {"token": str(refresh)})
        assert response.status_code == 401

    @pytest.mark.parametrize("token", ["nonsense", "a.b.c", "é", "x" * 10_000])
    def test_refuses_nonsense(self, api, db, token):
        response = api().post(VERIFY, {"token": token})
        assert (response.status_code, response.json()) == (
            401,
            {"detail": "Token is invalid", "code": "token_not_valid"},
        )


@pytest.mark.parametrize(
    ("end", "code"),
    [(deactivate, "user_inactive"), (erase, "user_inactive"), (User.delete, "user_not_found")],
    ids=["deactivated", "erased", "deleted"],
)
class TestDeadAccount:
    @pytest.mark.parametrize("link", range(2))
    def test_is_a_401_everywhere_at_once(self, api, carol, end, code, link):
        refresh = SessionToken(sign_in(carol, refreshes=1)[link])
        client = api(carol)
        assert client.get("/api/users/me/").status_code == 200
        end(carol)
        for path in ["/api/users/me/", "/api/conversations/", "/api/messages/"]:
            response = client.get(path)
            assert (response.status_code, response.json()["code"]) == (401, code)
            assert sorted(response.json()) == ["code", "detail"]
        for path, body in [
            (REFRESH, {"refresh": str(refresh)}),
            (VERIFY, {"token": str(refresh)}),
            (VERIFY, {"token": str(refresh.access_token)}),
            (SIGN_OUT, {"refresh": str(refresh)}),
        ]:
            response = api().post(path, body)
            assert (response.status_code, response.json()["code"]) == (401, code)

    def test_gets_no_token_while_it_signs_in(self, carol, end, code):
        """It ends after its password was checked."""
        read_before = User.objects.get(pk=carol.pk)
        end(carol)
        with pytest.raises(AuthenticationFailed):
            TokenObtainSerializer.get_token(read_before)
        assert not OutstandingToken.objects.exists()
        assert not User.objects.filter(is_active=True).exists()
        assert not User.objects.exclude(last_login=None).exists()

    def test_is_not_brought_back_by_a_change_of_the_profile(self, carol, end, code):
        """It ends after the request read it."""
        read_before = User.objects.get(pk=carol.pk)
        end(carol)
        with pytest.raises(User.DoesNotExist):
            change_profile(read_before, first_name="Back")
        assert not User.objects.filter(first_name="Back").exists()


SEND_ACCESS = "Send the header “Authorization: Bearer <access token>”."
INVALID_ACCESS = "The access token is invalid or expired."


@pytest.mark.parametrize(
    ("header", "code", "detail"),
    [
        ("Bearer", "bad_authorization_header", SEND_ACCESS),
        ("Bearer a b", "bad_authorization_header", SEND_ACCESS),
        ("Bearer Bearer {access}", "bad_authorization_header", SEND_ACCESS),
        ("Token {access}", "not_authenticated", SEND_ACCESS),
        ("JWT {access}", "not_authenticated", SEND_ACCESS),
        ("Bearer: {access}", "not_authenticated", SEND_ACCESS),
        ("{access}", "not_authenticated", SEND_ACCESS),
        ("Basic YWxpY2U6cHc=", "not_authenticated", SEND_ACCESS),
        ("", "not_authenticated", SEND_ACCESS),
        ("Bearer nonsense", "token_not_valid", INVALID_ACCESS),
        ("BEARER nonsense", "token_not_valid", INVALID_ACCESS),
        ("bearer nonsense", "token_not_valid", INVALID_ACCESS),
        ("Bearer \xff", "token_not_valid", INVALID_ACCESS),
        (
            "Bearer {refresh}",
            "token_not_valid",
            "This is not an access token. Send the access token, not the refresh token.",
        ),
    ],
)
def test_bad_authorization_header_is_a_401(api, alice, header, code, detail):
    tokens = {"access": AccessToken.for_user(alice), "refresh": RefreshToken.for_user(alice)}
    client = api()
    client.credentials(HTTP_AUTHORIZATION=header.format(**tokens))
    response = client.get("/api/conversations/")
    assert (response.status_code, response.json()) == (401, {"detail": detail, "code": code})
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("header", ["Token x", "Bearer", "Bearer x"])
def test_endpoints_for_anyone_ignore_the_authorization_header(api, db, header):
    client = api()
    client.credentials(HTTP_AUTHORIZATION=header)
    for path in ("/api/", "/api/schema/", "/api/docs/"):
        assert client.get(path).status_code == 200
    for path in ("/api/users/", "/api/token/", "/api/users/reset_password/"):
        assert client.post(path, {}).status_code == 400


@pytest.mark.parametrize(("seconds", "status"), [(5, 200), (60, 401)])
def test_token_of_a_machine_whose_clock_is_ahead_is_accepted_within_the_leeway(
    api, alice, seconds, status
):
    token = AccessToken.for_user(alice)
    token.set_iat(at_time=timezone.now() + timedelta(seconds=seconds))
    client = api(access=token)
    assert client.get("/api/users/me/").status_code == status


def test_expired_access_token_is_token_not_valid(api, alice):
    token = AccessToken.for_user(alice)
    token.set_exp(lifetime=-token.lifetime)
    client = api(access=token)
    response = client.get("/api/users/me/")
    assert (response.status_code, response.json()) == (
        401,
        {"detail": "The access token is invalid or expired.", "code": "token_not_valid"},
    )


def test_session_cookie_does_not_authenticate_the_api(api, alice):
    client = api()
    client.force_login(alice)
    assert client.get("/api/conversations/").status_code == 401


@pytest.mark.parametrize("name", ["alice", "gone", "without", "imported", "nobody"])
@pytest.mark.parametrize(
    ("password", "hashes"), [("wrong", 1), ("e\u0301" * 8, 2), ("e\u0301" * 501, 1)]
)
@pytest.mark.usefixtures("alice")
def test_failed_sign_ins_cost_the_same_number_of_hashes(
    api, make_user, before_each, name, password, hashes
):
    """So the time of the response does not tell whether there is such an account. A password that
    is not in NFKC is tried as typed, too, unless it is long."""
    make_user("Gone", is_active=False)
    make_user("Without", password=make_password(None))
    make_user("Imported", password="no hash of this program")
    calls = []
    for method in ("encode", "verify"):
        before_each(Argon2PasswordHasher, method, lambda: calls.append(1))
    email = f"{name}@example.com"
    response = api().post("/api/token/", {"email": email, "password": password})
    assert response.status_code == 401
    assert len(calls) == hashes
