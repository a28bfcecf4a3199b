"""Passwords are compared in Unicode's NFKC form (NIST SP 800-63B, section 5.1.1.2)."""

from unicodedata import normalize

import pytest
from django.contrib.auth import hashers
from django.contrib.auth.tokens import default_token_generator
from django.core.management import CommandError, call_command
from django.utils.http import urlsafe_base64_encode

from chats.models import User
from chats.tests.conftest import NEWCOMER, PASSWORD

pytestmark = pytest.mark.once

COMPOSED = " crème brûlée à la carte "
TYPED = {form: normalize(form, COMPOSED) for form in ("NFC", "NFD")} | {
    "full width": "\u3000ｃrème brûlée à la carte\u00a0"
}
assert len(set(TYPED.values())) == 3


def sign_in(api, user, password):
    return api().post("/api/token/", {"email": user.email, "password": password}).status_code


def register(api, client, user, password):
    body = NEWCOMER | {"password": password}
    assert api().post("/api/users/", body).status_code == 201


def set_password(api, client, user, password):
    body = {"current_password": PASSWORD, "new_password": password}
    assert api(user).post("/api/users/set_password/", body).status_code == 204


def reset(api, client, user, password):
    uid = urlsafe_base64_encode(str(user.pk).encode())
    body = {"uid": uid, "token": default_token_generator.make_token(user)}
    body |= {"new_password": password}
    assert api().post("/api/users/reset_password_confirm/", body).status_code == 204


def set_in_the_admin(api, client, user, password):
    client.force_login(User.objects.create_superuser("root@example.com", "x"))
    body = {"password1": password, "password2": password, "usable_password": "true"}
    assert client.post(f"/admin/chats/user/{user.pk}/password/", body).status_code == 302


def change_in_the_admin(api, client, user, password):
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(user)
    body = {"old_password": PASSWORD, "new_password1": password, "new_password2": password}
    assert client.post("/admin/password_change/", body).status_code == 302


def change_by_the_command(api, client, user, password):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("getpass.getpass", lambda prompt: password)
        call_command("changepassword", user.email)


def set_in_code(api, client, user, password):
    user.set_password(password)
    user.save()


@pytest.mark.parametrize(
    "make",
    [
        *(register, set_password, reset, set_in_the_admin, change_in_the_admin),
        *(change_by_the_command, set_in_code),
    ],
)
@pytest.mark.parametrize("form", TYPED)
def test_is_the_same_however_it_was_typed(api, client, alice, make, form):
    make(api, client, alice, TYPED[form])
    user = User.objects.get(email="dora@example.com") if make is register else alice
    assert [sign_in(api, user, password) for password in TYPED.values()] == [200] * 3
    for other in (COMPOSED.strip(), COMPOSED.upper(), COMPOSED.replace("è", "e")):
        assert sign_in(api, user, other) == 401


@pytest.mark.parametrize("form", TYPED)
def test_is_current_however_it_was_typed(api, client, alice, form):
    set_in_code(api, client, alice, TYPED["NFC"])
    for password in TYPED.values():
        alice.refresh_from_db()
        body = {"current_password": password, "new_password": TYPED[form]}
        assert api(alice).post("/api/users/set_password/", body).status_code == 204
    alice.refresh_from_db()
    body = {"current_password": TYPED[form]}
    assert api(alice).delete("/api/users/me/", body).status_code == 204


@pytest.mark.parametrize("form", TYPED)
def test_staff_sign_in_however_it_was_typed(client, root, form):
    root.replace_password(COMPOSED)
    body = {"username": root.email, "password": TYPED[form]}
    assert client.post("/admin/login/?next=/admin/", body).status_code == 302


@pytest.mark.parametrize("form", TYPED)
def test_hash_from_before_stays_valid(api, alice, form):
    """It was made of the password as typed."""
    before = hashers.Argon2PasswordHasher().encode(TYPED[form], "a salt of 22 letters..")
    User.objects.filter(pk=alice.pk).update(password=before)
    assert sign_in(api, alice, TYPED[form]) == 200
    alice.refresh_from_db()
    body = {"current_password": TYPED[form], "new_password": "moor under the tide"}
    assert api(alice).post("/api/users/set_password/", body).status_code == 204


@pytest.mark.parametrize(
    "password",
    [
        # "password1" in full-width letters; twelve digits; seven letters when composed; one sign
        # that is eighteen letters when decomposed; an address.
        *(
            "ｐａｓｓｗｏｒｄ１",
            "１２３４５６７８９０１２",
            "e\u0301" * 7,
            "\ufdfa",
            "ａlice@example.com",
        ),
    ],
    ids=ascii,
)
def test_strength_is_that_of_both_forms(api, alice, password, monkeypatch):
    body = NEWCOMER | {"password": password, "email": "alice@example.org"}
    response = api().post("/api/users/", body)
    assert (response.status_code, list(response.json())) == (400, ["password"])
    body = {"current_password": PASSWORD, "new_password": password}
    response = api(alice).post("/api/users/set_password/", body)
    assert (response.status_code, list(response.json())) == (400, ["new_password"])
    with pytest.raises(CommandError):
        change_by_the_command(None, None, alice, password)


@pytest.mark.timeout(30)
def test_very_long_password_is_not_normalized(api, alice):
    """It would take minutes, in which the process does nothing else."""
    password = "\u0315\u0300" * 250_000
    assert sign_in(api, alice, password) == 401
    body = {"current_password": PASSWORD, "new_password": password}
    assert api(alice).post("/api/users/set_password/", body).status_code == 204
    assert sign_in(api, alice, password) == 200
