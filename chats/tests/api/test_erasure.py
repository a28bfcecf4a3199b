"""Erasing a user: messages stay, personal data is removed."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection, transaction
from django.db.models.signals import m2m_changed
from rest_framework_simplejwt.tokens import RefreshToken

from chats.models import Conversation, User
from chats.services import erase, send, start
from chats.tests.conftest import NEWCOMER, PASSWORD
from chats.tests.support.expected import NO_ACTIVE_ACCOUNT, own_profile, page, public_profile
from chats.tests.support.paths import conversation_path, messages_path

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
