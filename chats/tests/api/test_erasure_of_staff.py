"""Whoever is erased keeps no right and no personal data, staff included."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from chats.models import ERASED_EMAIL_ENDING, User
from chats.services import erase
from chats.tests.conftest import PASSWORD


@pytest.fixture
def boss(make_user):
    """A superuser with a group, a permission and a last sign-in."""
    boss = make_user(
        "Boss",
        phone_number="+14155552673",
        role="admin",
        is_staff=True,
        is_superuser=True,
        last_login=timezone.now(),
    )
    group = Group.objects.create(name="Moderators")
    group.permissions.add(Permission.objects.get(codename="view_message"))
    boss.groups.add(group)
    boss.user_permissions.add(Permission.objects.get(codename="change_user"))
    return boss


def test_erasure_removes_staff_rights(api, boss):
    response = api(boss).delete("/api/users/me/", {"current_password": PASSWORD})
    assert response.status_code == 204
    erased = User.objects.get(pk=boss.pk)
    assert (erased.is_staff, erased.is_superuser) == (False, False)
    assert list(erased.groups.all()) == []
    assert list(erased.user_permissions.all()) == []
    # Even if somebody activates the row again in a shell.
    erased.is_active = True
    assert erased.get_all_permissions() == set()


def test_an_erased_row_keeps_only_its_id_and_its_age(boss):
    erase(boss)
    row = User.objects.filter(pk=boss.pk).values().get()
    email, password = row.pop("email"), row.pop("password")
    assert row == {
        "user_id": boss.pk,
        "created_at": boss.created_at,
        "first_name": "Deleted",
        "last_name": "user",
        "phone_number": "",
        "role": "guest",
        "is_active": False,
        "is_staff": False,
        "is_superuser": False,
        "last_login": None,
    }
    assert email.endswith(ERASED_EMAIL_ENDING)
    assert email != f"{boss.pk}{ERASED_EMAIL_ENDING}"
    assert not User(password=password).has_usable_password()


def test_erasure_changes_nobody_else(alice, bob, conversation, boss):
    others = User.objects.exclude(pk=boss.pk)
    before = list(others.values())
    erase(boss)
    assert list(others.values()) == before
    assert set(conversation.participants.all()) == {alice, bob}
    assert Group.objects.filter(name="Moderators").exists()


def test_erasure_renames_one_person_in_the_admins_history(alice, bob, boss):
    LogEntry.objects.log_actions(boss.pk, [alice, bob], CHANGE, "Changed.")
    erase(alice)
    names = dict(LogEntry.objects.values_list("object_id", "object_repr"))
    assert names == {str(alice.pk): alice.email, str(bob.pk): "bob@example.com"}
    assert alice.email.endswith(ERASED_EMAIL_ENDING)
