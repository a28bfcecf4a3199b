"""Erasing a user: messages stay, personal data is removed."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from uuid import NAMESPACE_DNS, uuid4, uuid5

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.db.models.signals import m2m_changed
from django.utils import timezone
from rest_framework_simplejwt.tokens import RefreshToken

from chats.models import Conversation, Participation, User
from chats.passwords import ERASED_PASSWORD
from chats.services import erase, send, start
from chats.tests.conftest import NEWCOMER, PASSWORD
from chats.tests.support.expected import NO_ACTIVE_ACCOUNT, own_profile, page, public_profile
from chats.tests.support.paths import conversation_path, messages_path
from chats.tests.support.rows import change

ERASED_ENDING = "@erased.invalid"
DELETED_USER = {"first_name": "Deleted", "last_name": "user", "role": "guest"}


def erase_by_the_api(api, client, user):
    response = api(user).delete("/api/users/me/", {"current_password": PASSWORD})
    assert (response.status_code, response.content) == (204, b"")


def erase_in_the_admin(api, client, user):
    client.force_login(User.objects.create_superuser("root@example.com", "x"))
    body = {"action": "erase", "_selected_action": [str(user.pk)]}
    asked = client.post("/admin/chats/user/", body)
    assert asked.status_code == 200
    assert User.objects.get(pk=user.pk).is_active
    done = client.post("/admin/chats/user/", body | {"confirmed": "yes"})
    assert done.status_code == 302


@pytest.mark.parametrize("erase", [erase_by_the_api, erase_in_the_admin])
class TestErase:
    def test_removes_personal_data_and_keeps_messages(
        self, api, client, alice, bob, message, erase
    ):
        path = conversation_path(message.conversation)
        api(bob).get(f"{path}messages/")
        refresh, alices = RefreshToken.for_user(alice), api(alice)
        erase(api, client, alice)
        assert alices.get("/api/users/me/").json()["code"] == "user_inactive"
        response = api().post("/api/token/refresh/", {"refresh": str(refresh)})
        assert response.status_code == 401
        response = api().post("/api/token/", {"email": "alice@example.com", "password": PASSWORD})
        assert (response.status_code, response.json()) == (401, NO_ACTIVE_ACCOUNT)
        [shown] = api(bob).get(f"{path}messages/").json()["results"]
        assert shown["sender"] == {"user_id": str(alice.pk)} | DELETED_USER
        assert shown["message_body"] == "Hello, Bob"
        assert api(bob).get(path).json()["participants"] == [public_profile(bob)]
        assert api(bob).get("/api/users/").json() == page()
        rows = str(list(User.objects.filter(pk=alice.pk).values()))
        for forgotten in ("alice", "Alice", "Test", alice.phone_number, "argon2"):
            assert forgotten not in rows

    def test_email_address_can_register_again(self, api, client, alice, erase):
        erase(api, client, alice)
        response = api().post("/api/users/", NEWCOMER | {"email": "alice@example.com"})
        assert response.status_code == 201
        assert response.json()["user_id"] != str(alice.pk)

    def test_email_address_of_the_erased_row_may_be_taken(self, api, client, alice, erase):
        """By registering the address that the row is given."""
        in_the_way = NEWCOMER | {"email": f"{alice.pk}@erased.invalid"}
        assert api().post("/api/users/", in_the_way).status_code == 201
        erase(api, client, alice)
        alice.refresh_from_db()
        assert alice.is_erased

    def test_cached_page_does_not_show_the_name_of_a_former_participant(
        self, api, client, alice, bob, message, erase
    ):
        path = messages_path(message.conversation)
        message.conversation.participants.remove(alice)
        before = api(bob).get(path).json()["results"][0]["sender"]
        assert before["first_name"] == "Alice"
        erase(api, client, alice)
        after = api(bob).get(path).json()["results"][0]["sender"]
        assert after == {"user_id": str(alice.pk)} | DELETED_USER

    def test_open_admin_form_does_not_restore_the_user(self, api, client, alice, erase):
        erase(api, client, alice)
        client.force_login(User.objects.create_superuser("boss@example.com", "x"))
        form = {"email": "alice@example.com", "first_name": "Alice", "last_name": "Test"}
        form |= {"role": "guest", "is_active": "on"}
        response = client.post(f"/admin/chats/user/{alice.pk}/change/", form, follow=True)
        assert "This user was erased after you opened the page." in response.content.decode()
        alice.refresh_from_db()
        assert (alice.is_active, alice.first_name) == (False, "Deleted")

    def test_admin_history_does_not_name_the_user(self, api, client, alice, erase):
        root = User.objects.create_superuser("boss@example.com", "x")
        LogEntry.objects.log_actions(root.pk, [alice], CHANGE, "Changed.", single_object=True)
        erase(api, client, alice)
        assert "alice" not in str(list(LogEntry.objects.values())).lower()


class TestEraseInTransactions:
    CONVERSATIONS = 5

    @pytest.fixture
    def many(self, alice, bob, monkeypatch):
        """Alice's conversations, of which two are left in a transaction."""
        monkeypatch.setattr("chats.models.CONVERSATIONS_PER_TRANSACTION", 2)
        return [start({bob.pk}, actor=alice)[0] for _ in range(self.CONVERSATIONS)]

    @pytest.mark.usefixtures("many")
    @pytest.mark.django_db(transaction=True)
    def test_leaves_two_conversations_in_a_transaction(self, alice):
        clocks_moved, commits = [], []

        def record(execute, sql, params, many, context):
            result = execute(sql, params, many, context)
            if sql.startswith('UPDATE "chats_conversation"'):
                clocks_moved.append((result.rowcount, len(commits)))
                transaction.on_commit(lambda: commits.append(True))
            return result

        with connection.execute_wrapper(record):
            erase(alice)
        assert clocks_moved == [(2, 0), (2, 1), (1, 2)]

    def test_moves_each_clock_once(self, alice, many):
        ahead = datetime(2099, 1, 1, tzinfo=UTC)
        Conversation.objects.update(updated_at=ahead)
        send(many[0], "Hello", actor=alice)
        many[0].participants.remove(alice)
        erase(alice)
        clocks = dict(Conversation.objects.values_list("pk", "updated_at"))
        microsecond = timedelta(microseconds=1)
        # A message, her departure, and her name on the message.
        assert clocks.pop(many[0].pk) == ahead + 3 * microsecond
        assert set(clocks.values()) == {ahead + microsecond}

    @pytest.mark.usefixtures("many")
    @pytest.mark.django_db(transaction=True)
    def test_interrupted_erasure_can_be_repeated(self, api, alice):
        """The process ends between two transactions."""

        class KilledError(Exception):
            pass

        def kill(action, **kwargs):
            if action == "pre_remove" and alice.conversations.count() <= 3:
                raise KilledError

        m2m_changed.connect(kill, sender=Conversation.participants.through)
        try:
            with pytest.raises(KilledError):
                erase(alice)
        finally:
            m2m_changed.disconnect(kill, sender=Conversation.participants.through)
        assert alice.conversations.count() == 3
        assert api(alice).get("/api/users/me/").json() == own_profile(alice)
        erase(alice)
        assert not alice.conversations.exists()
        assert alice.is_erased

    @pytest.mark.usefixtures("many")
    def test_leaves_conversations_that_were_joined_meanwhile(self, alice):
        late = Conversation.objects.create()

        def add(instance, action, **kwargs):
            if action == "post_remove":
                late.participants.add(alice)

        m2m_changed.connect(add, sender=Conversation.participants.through)
        try:
            erase(alice)
        finally:
            m2m_changed.disconnect(add, sender=Conversation.participants.through)
        assert not late.participants.exists()

    def test_deleted_user_is_an_error(self, alice):
        read_before = User.objects.get(pk=alice.pk)
        alice.delete()
        with pytest.raises(User.DoesNotExist):
            erase(read_before)
        assert not User.objects.exists()

    @pytest.mark.parametrize("body", [{}, {"current_password": "wrong"}])
    def test_requires_the_current_password(self, api, alice, body):
        response = api(alice).delete("/api/users/me/", body)
        assert (response.status_code, list(response.json())) == (400, ["current_password"])
        alice.refresh_from_db()
        assert (alice.is_active, alice.first_name) == (True, "Alice")


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
        "email_verified_at": None,
    }
    assert email.endswith(ERASED_ENDING)
    assert email != f"{boss.pk}{ERASED_ENDING}"
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
    assert alice.email.endswith(ERASED_ENDING)


EMAIL = "me@erased.invalid"


@pytest.mark.parametrize("email", [EMAIL, f"{uuid5(NAMESPACE_DNS, EMAIL)}{ERASED_ENDING}"])
@pytest.mark.parametrize("disable", [False, True])
def test_staff_can_activate_everybody_who_was_not_erased(api, staff, email, disable):
    """Whatever address and name they have chosen, and without a password, too."""
    body = {"email": email, "first_name": "Deleted", "last_name": "user", "password": PASSWORD}
    assert api().post("/api/users/", body).status_code == 201
    impostor = User.objects.get(email=email)
    path = f"/admin/chats/user/{impostor.pk}"
    if disable:
        body = {"usable_password": "false", "unset-password": "1"}
        assert staff.post(f"{path}/password/", body).status_code == 302
    body = {"action": "deactivate", "_selected_action": [impostor.pk], "confirmed": "yes"}
    assert staff.post("/admin/chats/user/", body).status_code == 302
    impostor.refresh_from_db()
    assert (impostor.is_active, impostor.is_erased) == (False, False)
    form = {"email": email, "first_name": "Mallory", "last_name": "Test", "role": "guest"}
    assert staff.post(f"{path}/change/", form | {"is_active": "on"}).status_code == 302
    impostor.refresh_from_db()
    assert (impostor.is_active, impostor.first_name) == (True, "Mallory")


@pytest.mark.parametrize("password", [ERASED_PASSWORD, "erased", None])
def test_nobody_can_choose_to_be_erased(alice, password):
    alice.replace_password(password)
    assert not User.objects.get(pk=alice.pk).is_erased


def test_users_who_were_erased_earlier_are_marked(alice, bob, carol):
    """By the migration: erased users had a password that cannot be used, as others may have."""
    erase(alice)
    change(alice, password=make_password(None))
    change(bob, is_active=False, password=make_password(None))
    change(carol, is_active=False, email=f"{uuid4()}{ERASED_ENDING}")
    migration = import_module("chats.migrations.0007_mark_erased_users")
    migration.mark(apps, SimpleNamespace(connection=connection))
    marked = {user.pk for user in User.objects.all() if user.is_erased}
    assert marked == {alice.pk}


def test_conversation_joined_during_the_deletion_is_left_too(bob, carol, conversation):
    """After their other conversations were left, and before their row is locked."""
    conversation.participants.add(carol)
    late = Conversation.objects.create()
    late.participants.add(bob)
    clocks = []

    def add(instance, action, **kwargs):
        if action == "post_remove":
            late.participants.add(carol)
            clocks.append(Conversation.objects.get(pk=late.pk).updated_at)

    m2m_changed.connect(add, sender=Participation)
    try:
        carol.delete()
    finally:
        m2m_changed.disconnect(add, sender=Participation)
    assert not User.objects.filter(first_name="Carol").exists()
    assert list(late.participants.all()) == [bob]
    late.refresh_from_db()
    assert late.updated_at > clocks[0]
