"""A person's page in the admin: their conversations, and the button that erases them."""

import re
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import User
from chats.services import erase, rename, send, start
from chats.tests.conftest import PASSWORD
from chats.tests.support.forms import FormParser
from chats.tests.support.rows import change, read_row


def get_path(user, page="change"):
    return f"/admin/chats/user/{user.pk}/{page}/"


class TestConversationsOfAUser:
    def test_20_with_the_latest_activity_are_listed(self, staff, alice, bob, carol):
        conversations = [start({bob.pk}, actor=alice)[0] for _ in range(22)]
        start({carol.pk}, actor=bob)
        send(conversations[0], "Hello", actor=bob)
        page = staff.get(get_path(alice)).content.decode()
        listed = re.findall("/admin/chats/conversation/([^/]+)/change/", page)
        newest = [conversations[0], *reversed(conversations[3:])]
        assert listed == [str(conversation.pk) for conversation in newest]
        assert len(listed) == 20
        assert f"/admin/chats/conversation/?q={alice.pk}" in page

    def test_show_participants_and_title(self, staff, alice, conversation):
        rename(conversation, "<The room>", actor=alice)
        page = staff.get(get_path(alice)).content.decode()
        people = ", ".join(user.get_full_name() for user in conversation.participants.all())
        assert f"{people}</a>: &lt;The room&gt;" in page

    def test_have_constant_queries(self, staff, alice, bob):
        def measure():
            with CaptureQueriesContext(connection) as queries:
                staff.get(get_path(alice))
            return len(queries)

        start({bob.pk}, actor=alice)
        few = measure()
        for _ in range(19):
            start({bob.pk}, actor=alice)
        assert measure() == few

    def test_none_yet(self, staff, alice):
        assert "<p>None yet.</p>" in staff.get(get_path(alice)).content.decode()

    def test_require_the_permission_to_view_conversations(self, make_staff, alice, conversation):
        for codenames, is_shown in [
            (["change_user", "view_user"], False),
            (["change_user", "view_conversation"], True),
            (["view_user", "view_conversation"], True),
        ]:
            page = make_staff(*codenames).get(get_path(alice)).content.decode()
            assert (str(conversation.pk) in page) == is_shown
            assert ("Bob Test" in page) == is_shown

    def test_are_not_on_the_page_for_a_new_user(self, staff):
        page = staff.get("/admin/chats/user/add/").content.decode()
        assert "conversations" not in page.partition('id="user_form"')[2].lower()


class TestErasePage:
    @pytest.fixture
    def sam(self, make_staff):
        return make_staff("view_user", "delete_user")

    def has_button(self, client, user):
        page = client.get(get_path(user)).content.decode()
        return f'href="{get_path(user, "erase")}"' in page

    def test_asks_and_then_erases(self, sam, alice, message):
        """By the action's own page, from which staff return to the list."""
        assert self.has_button(sam, alice)
        page = sam.get(get_path(alice, "erase")).content.decode()
        assert "This cannot be undone." in page
        assert "Alice Test (alice@example.com)" in page
        assert not User.objects.get(pk=alice.pk).is_erased
        [action] = re.findall('<form method="post" action="(.*?)">', page)
        assert action == "/admin/chats/user/"
        parser = FormParser(None)
        parser.feed(page.partition('<div id="content"')[2])
        assert parser.fields["_selected_action"] == [str(alice.pk)]
        response = sam.post(action, parser.fields, follow=True)
        assert "Users erased: 1." in response.content.decode()
        assert User.objects.get(pk=alice.pk).is_erased

    def test_erases_nobody_before_the_confirmation(self, sam, alice):
        before = read_row(alice)
        body = {"confirmed": "yes", "_selected_action": [alice.pk], "action": "erase"}
        for response in (
            sam.get(get_path(alice, "erase")),
            sam.get(get_path(alice, "erase"), body),
            sam.post(get_path(alice, "erase"), body),
        ):
            assert "This cannot be undone." in response.content.decode()
        assert read_row(alice) == before

    def test_action_returns_to_the_filtered_list(self, staff, alice):
        path = "/admin/chats/user/?q=alice&role__exact=guest"
        body = {"action": "erase", "_selected_action": [alice.pk]}
        page = staff.post(path, body).content.decode()
        assert 'action="/admin/chats/user/?q=alice&amp;role__exact=guest"' in page

    @pytest.mark.parametrize(
        ("fields", "is_offered"),
        [
            ({}, True),
            ({"is_active": False}, True),
            ({"is_staff": True}, False),
            ({"is_superuser": True}, False),
        ],
        ids=str,
    )
    def test_is_not_offered_for_staff(self, sam, make_user, bob, fields, is_offered):
        user = make_user("Eve")
        send(start({bob.pk}, actor=user)[0], "Hello", actor=user)
        change(user, **fields)
        assert self.has_button(sam, user) == is_offered
        response = sam.get(get_path(user, "erase"))
        assert response.status_code == (200 if is_offered else 403)

    def test_is_offered_for_staff_to_superusers(self, staff, make_user, bob):
        other = make_user("Eve", is_staff=True, is_superuser=True)
        send(start({bob.pk}, actor=other)[0], "Hello", actor=other)
        assert self.has_button(staff, other)
        assert staff.get(get_path(other, "erase")).status_code == 200

    def test_stands_beside_no_other_deletion(self, staff, alice, bob, message):
        """Somebody who has sent a message can be erased, others can be deleted."""
        for user in (alice, bob):
            page = staff.get(get_path(user)).content.decode()
            assert self.has_button(staff, user) == (user == alice)
            assert ('class="deletelink"' in page) == (user == bob)
        erase(alice)
        assert 'class="deletelink"' not in staff.get(get_path(alice)).content.decode()

    def test_returns_to_the_search(self, sam, alice, message):
        """From the list to the person, to the page that asks, and back."""
        page = sam.get("/admin/chats/user/?q=test&role__exact=guest").content.decode()
        [link] = re.findall(f'href="({get_path(alice)}.*?)"', page)
        page = sam.get(unescape(link)).content.decode()
        [link] = re.findall(f'href="({get_path(alice, "erase")}.*?)"', page)
        page = sam.get(unescape(link)).content.decode()
        [action] = re.findall('<form method="post" action="(.*?)">', page)
        assert unescape(action) == "/admin/chats/user/?q=test&role__exact=guest"

    def test_is_not_offered_for_oneself(self, staff, root):
        assert not self.has_button(staff, root)
        assert staff.get(get_path(root, "erase")).status_code == 403

    def test_is_not_offered_for_erased_users(self, staff, alice):
        erase(alice)
        assert not self.has_button(staff, alice)
        assert staff.get(get_path(alice, "erase")).status_code == 403

    def test_requires_the_permission_to_delete_users(self, make_staff, alice):
        everything = Permission.objects.exclude(codename="delete_user")
        client = make_staff(*everything.values_list("codename", flat=True))
        assert not self.has_button(client, alice)
        assert client.get(get_path(alice, "erase")).status_code == 403

    def test_history_button_is_for_superusers_only(self, sam, staff, alice):
        for client, is_shown in [(sam, False), (staff, True)]:
            page = client.get(get_path(alice)).content.decode()
            assert (get_path(alice, "history") in page) == is_shown

    def test_deleted_user_is_not_found(self, staff, alice):
        path = get_path(alice, "erase")
        alice.delete()
        page = staff.get(path, follow=True).content.decode()
        assert "Perhaps it was deleted?" in page

    def test_is_for_staff_only(self, client, alice, bob):
        client.force_login(bob)
        assert client.get(get_path(alice, "erase")).status_code == 302


class TestUsersInTheAdmin:
    def test_deactivated_users_get_a_401_at_once(self, staff, api, alice, bob):
        clients = [api(alice), api(bob)]
        assert {person.get("/api/users/me/").status_code for person in clients} == {200}
        body = {"action": "deactivate", "_selected_action": [alice.pk, bob.pk], "confirmed": "yes"}
        response = staff.post("/admin/chats/user/", body, follow=True)
        assert "Users deactivated: 2." in response.content.decode()
        assert {person.get("/api/users/me/").status_code for person in clients} == {401}
        history = staff.get(f"/admin/chats/user/{alice.pk}/history/").content.decode()
        assert "Deactivated." in history

    def test_user_with_messages_is_not_deleted(self, staff, alice, message):
        path = f"/admin/chats/user/{alice.pk}/delete/"
        page = staff.get(path).content.decode()
        assert "Messages of alice@example.com. Erase this user instead" in page
        assert staff.post(path, {"post": "yes"}).status_code == 200
        assert User.objects.filter(pk=alice.pk).exists()

    def test_user_without_messages_is_deleted(self, staff, carol):
        """Their address is not left in the log."""
        body = {"action": "activate", "_selected_action": [str(carol.pk)], "confirmed": "yes"}
        change(carol, is_active=False)
        staff.post("/admin/chats/user/", body)
        path = f"/admin/chats/user/{carol.pk}/delete/"
        assert staff.post(path, {"post": "yes"}).status_code == 302
        assert not User.objects.filter(pk=carol.pk).exists()
        assert set(LogEntry.objects.values_list("object_repr", flat=True)) == {str(carol.pk)}

    @pytest.mark.parametrize("path", ["add/", "{alice.pk}/change/"])
    def test_length_of_an_email_address_is_that_of_its_lower_case(self, staff, alice, path):
        """In which an İ is two characters."""
        email = "İ" * 130 + "@" + 4 * f"{'x' * 29}." + "com"
        assert len(email) == 254 < len(email.lower())
        form = {"email": email, "first_name": "A", "last_name": "B", "role": "guest"}
        form |= {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        response = staff.post(f"/admin/chats/user/{path.format(alice=alice)}", form)
        assert response.status_code == 200
        assert "email" in response.context["adminform"].errors


def test_staff_change_a_user(staff, alice):
    form = {"email": alice.email, "first_name": "Alice", "last_name": "Test", "role": "host"}
    response = staff.post(f"/admin/chats/user/{alice.pk}/change/", form)
    assert response.status_code == 302
    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("host", False)
    assert alice.check_password(PASSWORD)
