"""Staff who lack some of the permissions."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission

from chats.models import Conversation
from chats.tests.support.rows import deactivate

PERMISSION = "You need the permission to view messages to add participants."
ADDRESS_PAGES = [
    "conversation/{conversation}/change/",
    "message/",
    "message/?q=hello",
    "message/{message}/change/",
    "message/{message}/delete/",
    "message/{message}/history/",
    "conversation/{conversation}/history/",
]
OTHER_PAGES = ["", "conversation/", "conversation/add/", "conversation/{conversation}/delete/"]


@pytest.fixture
def make_staff_without(make_staff):
    """Staff with all permissions but those for a model."""

    def make_staff_without(model, *kept):
        codenames = Permission.objects.exclude(content_type__model=model)
        return make_staff(*codenames.values_list("codename", flat=True), *kept)

    return make_staff_without


class TestStaffWithoutMessagePermissions:
    """Staff could read a conversation through the API if they added themselves to it."""

    @pytest.fixture
    def sam(self, make_staff_without):
        return make_staff_without("message")

    def test_cannot_add_participants(self, sam, conversation, alice, bob, carol):
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        response = sam.post(path, {"participants": [alice.pk, bob.pk, carol.pk]})
        assert response.context["adminform"].errors == {"participants": [PERMISSION]}
        assert carol not in conversation.participants.all()

    def test_cannot_add_participants_by_a_forged_initial_value(
        self, sam, conversation, alice, bob, carol
    ):
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        everybody = [alice.pk, bob.pk, carol.pk]
        shown = " ".join(map(str, everybody))
        sam.post(path, {"participants": everybody, "initial-participants": shown})
        assert set(conversation.participants.all()) == {alice, bob}

    def test_cannot_start_conversations(self, sam, alice, bob):
        path = "/admin/chats/conversation/add/"
        response = sam.post(path, {"participants": [alice.pk, bob.pk]})
        assert response.context["adminform"].errors == {"participants": [PERMISSION]}
        assert not Conversation.objects.exists()

    def test_can_remove_participants(self, sam, conversation, alice):
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        assert sam.post(path, {"participants": [alice.pk]}).status_code == 302
        assert set(conversation.participants.all()) == {alice}

    def test_can_add_participants_with_the_view_permission(
        self, make_staff, conversation, alice, bob, carol
    ):
        client = make_staff("change_conversation", "view_message")
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        body = {"participants": [alice.pk, bob.pk, carol.pk]}
        assert client.post(path, body).status_code == 302
        assert carol in conversation.participants.all()


class TestStaffWithoutUserPermissions:
    """They see names, and no e-mail address."""

    @pytest.fixture
    def sam(self, make_staff_without):
        return make_staff_without("user", "delete_user", "add_user")

    @pytest.fixture
    def reader(self, make_staff):
        return make_staff("view_conversation", "view_message")

    @pytest.fixture
    def get(self, message, root):
        rows = [message, message.conversation]
        LogEntry.objects.log_actions(root.pk, rows[:1], CHANGE, "Changed.", single_object=True)
        LogEntry.objects.log_actions(root.pk, rows[1:], CHANGE, "Changed.", single_object=True)
        ids = {"message": message.pk, "conversation": message.conversation_id}
        return lambda client, page: client.get(f"/admin/chats/{page.format(**ids)}")

    @pytest.mark.parametrize("page", ADDRESS_PAGES + OTHER_PAGES)
    def test_see_no_email_address(self, sam, get, page):
        response = get(sam, page)
        assert response.status_code == 200
        assert "@example.com" not in response.content.decode()

    @pytest.mark.parametrize("page", ADDRESS_PAGES)
    def test_see_email_addresses_with_all_permissions(self, staff, get, page):
        assert "@example.com" in get(staff, page).content.decode()

    @pytest.mark.parametrize("page", ["conversation/{conversation}/change/", "message/"])
    def test_see_names_with_view_permissions_only(self, reader, get, page):
        html = get(reader, page).content.decode()
        assert "@example.com" not in html
        assert "Alice Test" in html

    def test_see_email_addresses_with_the_permission_to_view_users(self, make_staff, get):
        client = make_staff("view_conversation", "view_user")
        html = get(client, "conversation/{conversation}/change/").content.decode()
        assert "alice@example.com" in html
        assert "bob@example.com" in html

    def test_see_no_name_or_email_address_in_a_refusal(self, sam, get, conversation, carol):
        deactivate(carol)
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        page = sam.post(path, {"participants": [carol.pk]}).content.decode()
        assert f"Not active: {carol.pk}." in page
        assert "Carol" not in page
        assert "@example.com" not in page

    @pytest.mark.parametrize("term", ["alice@example.com", "alice@", "example"])
    def test_cannot_search_conversations_by_email_address(self, sam, staff, get, term):
        for client, found in [(sam, 0), (staff, 1)]:
            response = client.get("/admin/chats/conversation/", {"q": term})
            assert response.context["cl"].result_count == found
        response = sam.get("/admin/chats/conversation/", {"q": "alice"})
        assert response.context["cl"].result_count == 1

    def test_cannot_search_messages_by_email_address(self, sam, staff, get):
        for client, found in [(sam, 0), (staff, 1)]:
            response = client.get("/admin/chats/message/", {"q": "alice@example.com"})
            assert response.context["cl"].result_count == found

    def test_cannot_open_the_deletion_page_of_a_user(self, sam, alice):
        path = f"/admin/chats/user/{alice.pk}/delete/"
        assert sam.get(path).status_code == 403
        assert sam.post(path, {"post": "yes"}).status_code == 403

    def test_see_no_email_address_among_their_recent_actions(self, sam, alice):
        user_id = sam.session["_auth_user_id"]
        LogEntry.objects.log_actions(user_id, [alice], CHANGE, "Changed.", single_object=True)
        assert "alice@example.com" not in sam.get("/admin/").content.decode()
