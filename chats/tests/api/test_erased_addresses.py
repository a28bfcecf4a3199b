"""Anybody can register an address like those of erased people. It does not make them erased."""

import pytest

from chats.models import User
from chats.services import erase
from chats.tests.conftest import PASSWORD

EMAIL = "me@erased.invalid"


@pytest.fixture
def impostor(api, db):
    """Registered through the API, and active."""
    body = {"email": EMAIL, "first_name": "Mallory", "last_name": "Test", "password": PASSWORD}
    assert api().post("/api/users/", body).status_code == 201
    return User.objects.get(email=EMAIL)


def test_staff_can_activate_a_user_with_such_an_address_again(staff, impostor):
    body = {"action": "deactivate", "_selected_action": [impostor.pk]}
    assert staff.post("/admin/chats/user/", body).status_code == 302
    impostor.refresh_from_db()
    assert (impostor.is_active, impostor.is_erased) == (False, False)
    form = {"email": EMAIL, "first_name": "Mallory", "last_name": "Test", "role": "guest"}
    response = staff.post(f"/admin/chats/user/{impostor.pk}/change/", form | {"is_active": "on"})
    assert response.status_code == 302
    impostor.refresh_from_db()
    assert impostor.is_active


def test_is_erased_needs_the_address_and_no_way_to_sign_in(alice, impostor):
    erase(alice)
    assert alice.is_erased
    for change in ({"is_active": True}, {"email": "alice@example.com"}):
        User.objects.filter(pk=alice.pk).update(**change)
        assert not User.objects.get(pk=alice.pk).is_erased
    assert not impostor.is_erased
