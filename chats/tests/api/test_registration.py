"""`POST /api/users/`, and users that code creates."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from chats.models import User
from chats.tests.conftest import NEWCOMER
from chats.tests.support.expected import one_line, own_profile

# The first three fold to ASCII letters, and so pass Django's own validator.
NOT_ASCII = ["jımmy@example.com", "ſam@example.com", "\u212aim@example.com", "zoë@example.com"]
QUOTED = ['"\x1b[31m"@example.com', '"visit evil.example"@example.com']


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

    def test_options_describe_it(self, api, alice):
        fields = api(alice).options("/api/users/").json()["actions"]["POST"]
        required = {name for name, field in fields.items() if field["required"]}
        assert required == {"email", "password", "first_name", "last_name"}

    def test_role_and_rights_in_the_body_are_ignored(self, api, db):
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

    def test_bad_token_is_ignored(self, api, db):
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
                {
                    "last_name": [
                        one_line("U+0000 (a control character)"),
                        "Null characters are not allowed.",
                    ]
                },
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
    def test_bad_field_is_a_400(self, api, alice, change, errors):
        response = api().post("/api/users/", NEWCOMER | change)
        assert (response.status_code, response.json()) == (400, errors)
        assert User.objects.count() == 1

    @pytest.mark.parametrize(
        "phone_number",
        [
            "12345",
            "+0123456789",
            "+1 415 555 267100000",
            "+1234567890123456",
            "+1415555x",
            "+٤٥٦٧٨٩",
        ],
    )
    def test_phone_number_that_is_not_e164_is_a_400(self, api, db, phone_number):
        response = api().post("/api/users/", NEWCOMER | {"phone_number": phone_number})
        assert response.status_code == 400
        assert list(response.json()) == ["phone_number"]
        assert not User.objects.exists()

    def test_error_names_every_missing_field(self, api, db):
        response = api().post("/api/users/", {})
        required = ["This field is required."]
        assert (response.status_code, response.json()) == (
            400,
            dict.fromkeys(["email", "first_name", "last_name", "password"], required),
        )

    @pytest.mark.parametrize("email", NOT_ASCII + QUOTED)
    def test_address_that_is_not_plain_is_a_400(self, api, db, email):
        response = api().post("/api/users/", NEWCOMER | {"email": email})
        assert response.status_code == 400
        assert list(response.json()) == ["email"]
        assert not User.objects.exists()

    @pytest.mark.usefixtures("db")
    def test_error_says_that_the_local_part_must_be_ascii(self, api):
        response = api().post("/api/users/", NEWCOMER | {"email": "jımmy@example.com"})
        assert response.json() == {
            "email": ["The part before the @ must contain only ASCII characters."]
        }

    @pytest.mark.usefixtures("alice")
    def test_database_refuses_the_same_address_in_another_case(self):
        bare = User(email="ALICE@EXAMPLE.COM", first_name="A", last_name="B")
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.bulk_create([bare])


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
def test_create_user_validates_its_fields(db, wish):
    with pytest.raises(ValidationError):
        User.objects.create_user(**NEWCOMER | wish)
    assert not User.objects.exists()


@pytest.mark.parametrize("email", ["Ann@BÜCHER.example", "ann+ben@mail.example.com"])
@pytest.mark.django_db
def test_create_user_accepts_domains_in_any_script(email):
    assert User.objects.create_user(email=email).email == email.lower()


def test_create_user_and_create_superuser_set_the_role(db):
    user = User.objects.create_user(email="Eve@Example.com", password="x", first_name="Eve")
    assert (user.email, user.role, user.is_staff, user.check_password("x")) == (
        "eve@example.com",
        "guest",
        False,
        True,
    )
    admin = User.objects.create_superuser(email="root@example.com", password="x")
    assert (admin.role, admin.is_staff, admin.is_superuser) == ("admin", True, True)


def test_a_superuser_has_the_password_and_the_fields_that_were_given(db):
    User.objects.create_superuser("Root@example.com", "a password", first_name="Ruth")
    root = User.objects.get()
    assert root.check_password("a password")
    assert (root.email, root.first_name) == ("root@example.com", "Ruth")
    assert (root.role, root.is_staff, root.is_superuser) == ("admin", True, True)
