"""A password is written only if nobody has changed the user since they were read."""

import pytest

from chats.models import User


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
