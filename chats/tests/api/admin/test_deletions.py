"""Messages that staff delete: the text is removed, and a mark stays."""

import pytest
from django.contrib.admin.models import DELETION, LogEntry

from chats.models import Conversation, Message
from chats.services import delete_for_staff, send
from chats.tests.support.paths import messages_path
from chats.tests.support.rows import read_tables

PATH = "/admin/chats/message/"
TABLES = (Message, Conversation, LogEntry)
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
