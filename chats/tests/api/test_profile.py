"""`/api/users/me/`"""

import pytest

from chats.models import User
from chats.services import change_profile
from chats.tests.support.expected import own_profile
from chats.tests.support.rows import change


class TestProfile:
    def test_returns_own_profile(self, api, alice):
        response = api(alice).get("/api/users/me/")
        assert (response.status_code, response.json()) == (200, own_profile(alice))

    def test_names_and_phone_number_can_be_changed(self, api, alice):
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
                "This cannot be changed here. Use POST /api/users/set_email/.",
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
    def test_other_fields_are_a_400_that_says_where_to_change_them(
        self, api, alice, field, value, error
    ):
        before = User.objects.values().get()
        for wish in (value, getattr(alice, field), None):
            change = {"first_name": "Alicia", field: wish}
            response = api(alice).patch("/api/users/me/", change)
            assert (response.status_code, response.json()) == (400, {field: [error]})
        assert User.objects.values().get() == before

    def test_error_names_every_bad_field(self, api, alice):
        change = {"phone_number": "0151", "role": "admin", "email": "x@example.com"}
        response = api(alice).patch("/api/users/me/", change)
        assert response.status_code == 400
        assert set(response.json()) == set(change)

    def test_unknown_fields_are_ignored(self, api, alice):
        wish = {"is_staff": True, "is_superuser": True, "is_active": False, "groups": [1]}
        wish |= {"last_login": None, "favourite_colour": "red"}
        response = api(alice).patch("/api/users/me/", wish | {"first_name": "Alicia"})
        before, alice = alice, User.objects.get()
        assert (response.status_code, response.json()) == (200, own_profile(alice))
        assert alice.first_name == "Alicia"
        flags = ("is_staff", "is_superuser", "is_active")
        assert [getattr(alice, flag) for flag in flags] == [False, False, True]
        assert alice.password == before.password

    def test_fields_that_were_not_sent_are_not_written(self, alice):
        """Staff give her a role after the request read her row."""
        read_before = User.objects.get(pk=alice.pk)
        change(alice, role="host", last_name="Archer")
        changed = change_profile(read_before, first_name="Alicia")
        assert (changed.first_name, changed.last_name, changed.role) == ("Alicia", "Archer", "host")

    def test_empty_change_is_accepted(self, api, alice):
        assert api(alice).patch("/api/users/me/", {}).json() == own_profile(alice)

    @pytest.mark.parametrize(
        ("field", "value"), [("phone_number", "0151"), ("first_name", "Alice\nYou have won")]
    )
    def test_bad_value_is_a_400_and_changes_nothing(self, api, alice, field, value):
        response = api(alice).patch("/api/users/me/", {"last_name": "X", field: value})
        assert (response.status_code, list(response.json())) == (400, [field])
        alice.refresh_from_db()
        assert alice.last_name == "Test"
