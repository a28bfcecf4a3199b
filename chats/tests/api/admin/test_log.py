"""What staff did and read, and who may look that up."""

import sqlite3

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError

from chats.models import Conversation, Message, User
from chats.safety.models import Report
from chats.safety.reports import report
from chats.services import erase
from chats.tests.support.rows import change, deactivate, read_tables
from messaging_app.admin import READING

LIST = "/admin/admin/logentry/"


def read_readings(client):
    user_id = client.session["_auth_user_id"]
    entries = LogEntry.objects.filter(action_flag=READING, user=user_id).order_by("pk")
    models = ContentType.objects.get_for_models(Conversation, Message, Report).items()
    names = {content_type.pk: model.__name__ for model, content_type in models}
    return [(names[e.content_type_id], e.object_repr, e.change_message) for e in entries]


class TestReading:
    @pytest.mark.parametrize(
        ("page", "entry"),
        [
            ("conversation/{c}/change/", ("Conversation", "{c}", "Read.")),
            ("conversation/", ("Conversation", "list", "Read. Conversations: {c}")),
            ("message/{m}/change/", ("Message", "{m}", "Read.")),
            ("message/{m}/delete/", ("Message", "{m}", "Read.")),
            ("message/", ("Message", "list", "Read. Conversations: {c}")),
            (
                "message/?q=hello+{c}",
                ("Message", "list", "Read. Search: hello {c} Conversations: {c}"),
            ),
            ("report/", ("Report", "list", "Read. Conversations: {c}")),
            ("report/{r}/change/", ("Report", "{r}", "Read.")),
        ],
    )
    def test_is_written_down_once(self, make_staff, message, bob, page, entry):
        report(message, "", actor=bob)
        ids = {"c": message.conversation_id, "m": message.pk, "r": Report.objects.get().pk}
        names = ["view_conversation", "view_message", "delete_message", "view_report"]
        client = make_staff(*names)
        assert client.get(f"/admin/chats/{page.format(**ids)}").status_code == 200
        expected = tuple(text.format(**ids) for text in entry)
        assert read_readings(client) == [expected]

    def test_of_a_page_that_staff_submitted_with_a_mistake(self, staff, conversation, alice):
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        staff.post(path, {"participants": [alice.pk], "title": "a\nb"})
        assert read_readings(staff) == [("Conversation", str(conversation.pk), "Read.")]

    def test_is_not_written_down_if_no_text_is_shown(self, make_staff, staff, message):
        client = make_staff("view_conversation", "delete_message", "change_report", "view_user")
        pages = [
            *("conversation/", f"conversation/{message.conversation_id}/change/", "report/"),
            *(f"message/{message.pk}/delete/", f"user/{message.sender_id}/change/"),
        ]
        for page in pages:
            assert client.get(f"/admin/chats/{page}").status_code == 200
        for page in (f"message/{message.conversation_id}/change/", "conversation/add/"):
            staff.get(f"/admin/chats/{page}")
        assert read_readings(client) == read_readings(staff) == []

    @pytest.mark.parametrize(
        ("search", "shown"),
        [
            ("ALICE@example.com hello", "{alice} hello"),
            ('"alice@example.com"', "{alice}"),
            ("alice@example.com,", "(an address)"),
            ("alice@example", "(an address)"),
        ],
    )
    def test_by_address_does_not_keep_the_address(self, staff, message, alice, search, shown):
        """So that nothing is left of it after an erasure."""
        staff.get("/admin/chats/message/", {"q": search})
        [(_, _, text)] = read_readings(staff)
        assert text.startswith(f"Read. Search: {shown.format(alice=alice.pk)} Conversations:")
        erase(alice)
        assert "alice@" not in str(LogEntry.objects.values()).lower()

    def test_is_in_no_history_and_no_list_of_recent_actions(self, staff, message):
        path = f"/admin/chats/message/{message.pk}/"
        staff.get(f"{path}change/")
        assert "Nothing has been changed here." in staff.get(f"{path}history/").content.decode()
        assert str(message.pk) not in staff.get("/admin/").content.decode()

    def test_goes_on_while_the_database_does_not_write(
        self, staff, message, monkeypatch, caplog, root
    ):
        def refuse(entry, *args, **kwargs):
            raise OperationalError("database is locked") from sqlite3.OperationalError()

        monkeypatch.setattr(LogEntry, "save", refuse)
        page = staff.get(f"/admin/chats/message/{message.pk}/change/").content.decode()
        assert "Hello, Bob" in page
        text = f"Not in the log of staff: user {root.pk}, message {message.pk}: Read."
        assert caplog.messages == [text]


class TestLog:
    @pytest.fixture
    def entries(self, staff, root, alice, conversation):
        for row, flag in [(alice, ADDITION), (conversation, CHANGE)]:
            LogEntry.objects.log_actions(root.pk, [row], flag, "Changed.", single_object=True)
        staff.get(f"/admin/chats/conversation/{conversation.pk}/change/")
        return LogEntry.objects.order_by("pk")

    def get_rows(self, client, **query):
        response = client.get(LIST, query)
        assert response.status_code == 200
        return [entry.pk for entry in response.context["cl"].result_list]

    def test_shows_who_did_what_and_when(self, staff, entries, root, alice, conversation):
        page = staff.get(LIST).content.decode()
        for text in ("Root Test", "alice@example.com", str(conversation.pk), "Read.", "Changed."):
            assert text in page
        assert page.count(f"/admin/chats/conversation/{conversation.pk}/change/") == 2
        assert f"/admin/chats/user/{alice.pk}/change/" in page
        assert f"{entries[0].action_time:%Y-%m-%d }" in page

    def test_is_filtered_by_kind_staff_and_time(self, staff, entries, root, alice, conversation):
        added, changed, read = (entry.pk for entry in entries)
        assert self.get_rows(staff) == [read, changed, added]
        for kind, found in [(1, [added]), (2, [changed]), (3, []), (4, [read])]:
            assert self.get_rows(staff, kind=kind) == found
        assert self.get_rows(staff, staff=root.pk) == [read, changed, added]
        assert self.get_rows(staff, staff=alice.pk) == []
        change(entries[0], action_time="2020-01-01T00:00:00Z")
        moment = "2021-01-01 00:00:00+00:00"
        assert self.get_rows(staff, action_time__gte=moment) == [read, changed]
        assert self.get_rows(staff, action_time__lt=moment) == [added]

    def test_is_searched_by_word_and_id(self, staff, entries, root, conversation):
        added, changed, read = (entry.pk for entry in entries)
        assert self.get_rows(staff, q=conversation.pk) == [read, changed]
        assert self.get_rows(staff, q=root.pk) == [read, changed, added]
        assert self.get_rows(staff, q="read") == [read]

    def test_cannot_be_changed(self, staff, entries):
        before = read_tables(LogEntry)
        path = f"{LIST}{entries[0].pk}"
        assert staff.get(f"{path}/change/").status_code == 200
        assert staff.post(f"{path}/change/", {"change_message": "x"}).status_code == 403
        assert staff.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
        assert staff.get(f"{LIST}add/").status_code == 403
        body = {"action": "delete_selected", "_selected_action": [entries[0].pk], "post": "yes"}
        staff.post(LIST, body)
        assert read_tables(LogEntry) == before

    @pytest.mark.parametrize("codename", ["change_logentry", "delete_logentry", "view_user"])
    def test_is_hidden_without_its_permission(self, make_staff, entries, codename):
        client = make_staff(codename)
        assert client.get(LIST).status_code == 403
        assert client.get(f"{LIST}{entries[0].pk}/change/").status_code == 403
        assert "logentry" not in client.get("/admin/").content.decode()

    def test_names_no_users_to_staff_who_may_not_view_them(self, make_staff, entries):
        added, changed, read = (entry.pk for entry in entries)
        client = make_staff("view_logentry")
        assert self.get_rows(client) == [read, changed]
        page = client.get(LIST).content.decode()
        assert "Root Test" in page
        assert "@example.com" not in page
        page = client.get(f"{LIST}{changed}/change/").content.decode()
        assert "@example.com" not in page
        assert client.get(f"{LIST}{added}/change/").status_code == 302
        assert self.get_rows(make_staff("view_logentry", "view_user"))[-1] == added


def test_erasure_clears_the_name_of_the_user_from_the_log(staff, alice, root):
    LogEntry.objects.log_actions(root.pk, [alice], CHANGE, "Changed.", single_object=True)
    deactivate(alice)
    erase(User.objects.get(pk=alice.pk))
    assert "alice" not in staff.get(LIST).content.decode().lower()
