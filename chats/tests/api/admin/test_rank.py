"""Staff who are no superusers do not see, change or become staff."""

import pytest
from django.contrib.auth.models import Group, Permission

from chats.admin.users import UserAdmin
from chats.models import User
from chats.services import erase
from chats.tests.conftest import PASSWORD
from chats.tests.support.forms import SUPERUSERS_PAGES, open_page
from chats.tests.support.rows import change, read_row


class TestStaffWithoutSuperuser:
    """Staff who are no superusers, with every permission that there is."""

    @pytest.fixture
    def sam(self, make_staff):
        return make_staff(*Permission.objects.values_list("codename", flat=True))

    def test_do_not_see_who_is_staff(self, sam, staff, alice):
        words = ["is_staff", "is_superuser", "id_groups", "id_user_permissions"]
        for path in ("", f"{alice.pk}/change/"):
            page = sam.get(f"/admin/chats/user/{path}").content.decode()
            assert [word for word in words if word in page] == []
        page = staff.get(f"/admin/chats/user/{alice.pk}/change/").content.decode()
        assert [word for word in words if word in page] == words
        for lookup in (
            "is_staff__exact",
            "is_superuser",
            "groups__name",
            "user_permissions",
            "logentry__isnull",
        ):
            assert sam.get("/admin/chats/user/", {lookup: "1"}).status_code == 400

    @pytest.mark.parametrize("page", SUPERUSERS_PAGES)
    def test_do_not_see_groups_and_histories_of_users(self, sam, message, page):
        assert open_page(sam, page, message).status_code == 403
        assert "auth/group" not in sam.get("/admin/").content.decode()
        user = sam.get(f"/admin/chats/user/{message.sender_id}/change/").content.decode()
        assert "history/" not in user

    def test_cannot_change_groups(self, sam):
        group = Group.objects.create(name="All")
        body = {"name": "All", "permissions": [Permission.objects.first().pk]}
        assert sam.post(f"/admin/auth/group/{group.pk}/change/", body).status_code == 403
        assert sam.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 403
        assert not group.permissions.exists()

    def test_cannot_make_users_staff(self, sam, alice):
        group = Group.objects.create(name="All")
        form = {"email": alice.email, "first_name": "Al", "last_name": "Test", "role": "guest"}
        form |= {"is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": [group.pk]}
        form |= {"user_permissions": [Permission.objects.first().pk]}
        path = f"/admin/chats/user/{alice.pk}/change/"
        assert sam.post(path, form).status_code == 302
        alice.refresh_from_db()
        assert (alice.first_name, alice.is_staff, alice.is_superuser) == ("Al", False, False)
        assert not alice.groups.exists()
        assert not alice.user_permissions.exists()
        form |= {"email": "new@example.com", "usable_password": "true"}
        form |= {"password1": PASSWORD, "password2": PASSWORD}
        assert sam.post("/admin/chats/user/add/", form).status_code == 302
        new = User.objects.get(email="new@example.com")
        assert (new.is_staff, new.is_superuser) == (False, False)

    @pytest.mark.parametrize(
        ("is_staff", "is_superuser"), [(True, True), (True, False), (False, True)]
    )
    def test_cannot_change_staff_and_superusers(self, sam, make_user, is_staff, is_superuser):
        """Nor a superuser who is no staff."""
        other = make_user("Other", is_staff=is_staff, is_superuser=is_superuser)
        before = read_row(other)
        form = {"email": other.email, "first_name": "X", "last_name": "Y", "role": "guest"}
        path = f"/admin/chats/user/{other.pk}"
        assert sam.post(f"{path}/change/", form).status_code == 403
        passwords = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        assert sam.post(f"{path}/password/", passwords).status_code == 403
        assert sam.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
        for action in (*UserAdmin.actions, "delete_selected"):
            body = {"action": action, "_selected_action": [other.pk], "confirmed": "yes"}
            assert sam.post("/admin/chats/user/", body | {"post": "yes"}).status_code == 302
        assert read_row(other) == before

    @pytest.mark.parametrize("action", UserAdmin.actions)
    @pytest.mark.parametrize("meanwhile", [{"is_staff": True}, {"is_superuser": True}])
    def test_action_leaves_out_a_user_who_became_staff_meanwhile(
        self, sam, alice, monkeypatch, action, meanwhile
    ):
        leave_out = UserAdmin.keep_changeable

        def leave_out_and_promote(*arguments):
            users = leave_out(*arguments)
            change(alice, **meanwhile)
            return users

        monkeypatch.setattr(UserAdmin, "keep_changeable", leave_out_and_promote)
        body = {"action": action, "_selected_action": [alice.pk], "confirmed": "yes"}
        assert sam.post("/admin/chats/user/", body).status_code == 302
        alice.refresh_from_db()
        assert (alice.is_active, alice.first_name) == (True, "Alice")

    def test_action_leaves_out_a_user_who_was_deleted_meanwhile(
        self, staff, alice, bob, monkeypatch
    ):
        def erase_and_delete_the_other(user, users):
            erase(user, users)
            User.objects.exclude(pk=user.pk).filter(is_staff=False).delete()

        monkeypatch.setattr("chats.services.erase", erase_and_delete_the_other)
        ids = [alice.pk, bob.pk]
        body = {"action": "erase", "_selected_action": ids, "confirmed": "yes"}
        response = staff.post("/admin/chats/user/", body, follow=True)
        assert "Users erased: 1." in response.content.decode()

    @pytest.mark.parametrize("action", UserAdmin.actions)
    def test_actions_leave_out_the_caller(self, staff, root, action):
        body = {"action": action, "_selected_action": [root.pk], "confirmed": "yes"}
        response = staff.post("/admin/chats/user/", body, follow=True)
        assert "Left as they were: root@example.com." in response.content.decode()
        root.refresh_from_db()
        assert root.is_active

    def test_superuser_changes_own_name(self, staff, root):
        form = {"email": root.email, "first_name": "Ruth", "last_name": "Root", "role": "admin"}
        form |= {"is_active": "on", "is_staff": "on", "is_superuser": "on"}
        assert staff.post(f"/admin/chats/user/{root.pk}/change/", form).status_code == 302
        root.refresh_from_db()
        assert root.first_name == "Ruth"
