"""Messages that staff delete: the text is removed, and a mark stays."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from django.contrib.admin.models import DELETION, LogEntry

from chats.models import Conversation, Message
from chats.services import delete_for_staff, send
from chats.tests.support.paths import messages_path
from chats.tests.support.rows import read_tables

PATH = "/admin/chats/message/"
TABLES = (Message, Conversation, LogEntry)
MODELS = ("user", "conversation", "message")
WHAT_STAYS = "A mark stays in its place"


def delete_one(client, *messages):
    for message in messages:
        response = client.post(f"{PATH}{message.pk}/delete/", {"post": "yes"}, follow=True)
        assert "was deleted successfully" in response.content.decode()


def delete_selected(client, *messages):
    body = {"action": "delete_selected", "_selected_action": [message.pk for message in messages]}
    response = client.post(PATH, body | {"post": "yes"}, follow=True)
    assert f"Successfully deleted {len(messages)} message" in response.content.decode()


@pytest.fixture
def messages(conversation, alice, bob):
    return [send(conversation, f"Secret {user.first_name}", actor=user)[0] for user in (alice, bob)]


@pytest.mark.parametrize("delete", [delete_one, delete_selected])
class TestDeletedMessage:
    def test_row_stays_without_its_text(self, staff, api, alice, messages, delete):
        """The API shows the same as after a deletion by the sender."""
        kept, _ = send(messages[0].conversation, "To be kept", actor=alice)
        before = Conversation.objects.get().updated_at
        delete(staff, *messages)
        rows = {row.pk: row for row in Message.objects.all()}
        assert [rows[message.pk].message_body for message in messages] == ["", ""]
        assert [rows[message.pk].sent_at for message in messages] == [
            message.sent_at for message in messages
        ]
        first, last = sorted(rows[message.pk].updated_at for message in messages)
        assert before < first < last == Conversation.objects.get().updated_at
        assert rows[kept.pk].message_body == "To be kept"
        parameters = {"ordering": "updated_at", "updated_at_after": before.isoformat()}
        url = messages_path(kept.conversation)
        results = api(alice).get(url, parameters).json()["results"]
        assert [row["message_body"] for row in results] == [None, None]

    def test_history_names_the_member_of_staff(self, staff, root, messages, delete):
        delete(staff, *messages)
        for message in messages:
            entry = LogEntry.objects.get(object_id=message.pk)
            assert (entry.action_flag, entry.user) == (DELETION, root)
            assert "Secret" not in entry.object_repr
            page = staff.get(f"{PATH}{message.pk}/history/").content.decode()
            assert "<td>Deleted.</td>" in page
            assert "Root Test" in page

    def test_second_deletion_changes_nothing(self, staff, messages, delete):
        delete(staff, *messages)
        before = read_tables(*TABLES)
        delete(staff, *messages)
        assert read_tables(*TABLES) == before

    def test_conversation_deleted_meanwhile_is_no_error(self, staff, messages, delete, monkeypatch):
        def delete_conversation_and_message(message):
            Conversation.objects.all().delete()
            delete_for_staff(message)

        monkeypatch.setattr(
            "chats.admin.messages.delete_for_staff", delete_conversation_and_message
        )
        delete(staff, messages[0])
        assert not Message.objects.exists()


def test_deletion_requires_the_delete_permission(make_staff, messages):
    before = read_tables(*TABLES)
    client = make_staff("view_message", "change_message", "add_message")
    path = f"{PATH}{messages[0].pk}/delete/"
    assert client.post(path, {"post": "yes"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [messages[0].pk]}
    client.post(PATH, selected | {"post": "yes"})
    assert read_tables(*TABLES) == before


class TestReturnToTheList:
    """With the search with which staff came."""

    QUERY = "q=test"

    def open(self, client, path):
        page = client.get(f"{path.rpartition('/')[0].rpartition('/')[0]}/?{self.QUERY}")
        assert page.status_code == 200
        row = client.get(f"{path}change/?_changelist_filters={quote(self.QUERY)}").content.decode()
        [link] = re.findall(r'href="([^"]*)" class="deletelink"', row)
        return client.post(unescape(link), {"post": "yes"})

    @pytest.mark.parametrize("is_superuser", [True, False])
    def test_after_each_deletion(self, make_staff, staff, messages, carol, is_superuser):
        """For staff who may not change the rows, too."""
        message, conversation = messages[0], messages[0].conversation
        names = [f"{action}_{name}" for action in ("view", "delete") for name in MODELS]
        client = staff if is_superuser else make_staff(*names)
        for row in (message, carol, conversation):
            path = f"/admin/chats/{row._meta.model_name}/"
            response = self.open(client, f"{path}{row.pk}/")
            assert (response.status_code, response.headers["Location"]) == (
                302,
                f"{path}?{self.QUERY}",
            )

    def test_without_the_permission_to_view_the_list(self, make_staff, messages):
        response = make_staff("delete_message").post(f"{PATH}{messages[0].pk}/delete/", {"post": 1})
        assert (response.status_code, response.headers["Location"]) == (302, "/admin/")

    def test_in_a_popup(self, staff, messages):
        body = {"post": "yes", "_popup": "1"}
        response = staff.post(f"{PATH}{messages[0].pk}/delete/", body)
        assert (response.status_code, "popup_response" in response.content.decode()) == (200, True)


class TestDeletionPages:
    def test_confirmation_says_that_a_mark_stays(self, staff, messages):
        selected = {"action": "delete_selected", "_selected_action": [messages[0].pk]}
        for response in [staff.get(f"{PATH}{messages[0].pk}/delete/"), staff.post(PATH, selected)]:
            page = response.content.decode()
            assert WHAT_STAYS in page
            assert "Secret Alice" in page
        assert not Message.objects.filter(message_body="").exists()

    def test_deleted_message_is_shown_as_deleted(self, staff, messages):
        deleted, kept = messages
        for path in (
            PATH,
            f"{PATH}{deleted.pk}/change/",
            f"{PATH}{deleted.pk}/delete/",
            f"/admin/chats/conversation/{deleted.conversation_id}/change/",
        ):
            assert "Deleted" not in staff.get(path).content.decode()
        delete_one(staff, deleted)
        rows = staff.get(PATH).context["cl"]
        excerpts = [rows.model_admin.excerpt(row) for row in rows.result_list]
        assert excerpts == ["Secret Bob", "Deleted"]
        assert "Deleted</div>" in staff.get(f"{PATH}{deleted.pk}/change/").content.decode()
        assert "deletelink" not in staff.get(f"{PATH}{deleted.pk}/change/").content.decode()
        page = staff.get(f"{PATH}{deleted.pk}/delete/").content.decode()
        assert "alice@example.com: Deleted" in page
        path = f"/admin/chats/conversation/{deleted.conversation_id}/change/"
        page = staff.get(path).content.decode()
        assert "<i>Deleted</i>" in page
        assert f"<blockquote>{kept.message_body}</blockquote>" in page

    @pytest.mark.django_db(transaction=True)
    def test_deleted_conversation_takes_its_messages_with_it(self, staff, messages):
        delete_one(staff, messages[0])
        path = f"/admin/chats/conversation/{messages[0].conversation_id}/delete/"
        assert staff.post(path, {"post": "yes"}).status_code == 302
        assert not Message.objects.exists()
