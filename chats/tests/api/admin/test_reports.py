"""The queue of reported messages, and what staff decide."""

import re

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import Message, User
from chats.safety.models import Report
from chats.safety.reports import close, report
from chats.services import delete, edit, erase, send
from chats.tests.support.forms import FormParser
from chats.tests.support.rows import change, import_conversations, read_tables

LIST = "/admin/chats/report/"
REASON = "This is an insult."


@pytest.fixture
def reported(message, bob):
    report(message, REASON, actor=bob)
    return Report.objects.get()


def get_cells(client, query="", column="excerpt"):
    html = client.get(f"{LIST}{query}").content.decode()
    cells = re.findall(f'<t[dh] class="field-{column}[^"]*">(.*?)</t[dh]>', html)
    return [re.sub("<.*?>", "", cell) for cell in cells]


def run(client, action, *reports, **fields):
    """The page after the action. If it asks first, its page is confirmed."""
    body = {"action": action, "_selected_action": [row.pk for row in reports]}
    response = client.post(LIST, body)
    if response.status_code == 200:
        parser = FormParser(None)
        parser.feed(response.content.decode().partition('<div id="content"')[2])
        if "_selected_action" not in parser.fields:
            return response.content.decode()
        response = client.post(LIST, parser.fields | fields)
    return client.get(response.url).content.decode()


def read_log(flag):
    entries = LogEntry.objects.filter(action_flag=flag).order_by("pk")
    return [(entry.object_id, entry.get_change_message()) for entry in entries]


class TestQueue:
    def test_shows_what_was_reported(self, staff, reported, conversation, carol, message):
        conversation.participants.add(carol)
        report(message, "Rude", actor=carol)
        assert get_cells(staff) == ["Hello, Bob"] * 2
        assert get_cells(staff, column="sender") == ["alice@example.com"] * 2
        assert get_cells(staff, column="times_reported") == ["2", "2"]
        assert get_cells(staff, column="reason_excerpt") == ["Rude", REASON]
        assert get_cells(staff, column="state_now") == ["As reported"] * 2
        assert get_cells(staff, column="conversation") == [str(conversation.pk)[:8]] * 2

    @pytest.mark.parametrize(
        ("change_it", "state", "now"),
        [
            (
                lambda message: edit(message, "Friendly", actor=message.sender),
                "Edited",
                "Friendly",
            ),
            (lambda message: delete(message, actor=message.sender), "Deleted", "Deleted"),
        ],
        ids=["edited", "deleted"],
    )
    def test_keeps_the_text_whatever_the_sender_does(
        self, staff, reported, message, change_it, state, now
    ):
        change_it(message)
        assert get_cells(staff) == ["Hello, Bob"]
        assert get_cells(staff, column="state_now") == [state]
        page = staff.get(f"{LIST}{reported.pk}/change/").content.decode()
        for text in ("Hello, Bob", state, now, REASON, "bob@example.com"):
            assert text in page

    def test_is_of_open_reports_until_closed_ones_are_asked_for(
        self, staff, reported, message, conversation, alice, bob
    ):
        other, _ = send(conversation, "Another", actor=alice)
        report(other, "", actor=bob)
        assert get_cells(staff) == ["Another", "Hello, Bob"]
        close([message.pk])
        assert get_cells(staff) == ["Another"]
        assert get_cells(staff, "?state=closed") == ["Hello, Bob"]
        assert get_cells(staff, "?state=nonsense") == ["Another"]

    def test_is_searched_by_reason_and_id(self, staff, reported, message, bob, carol):
        found = (REASON[5:9], message.pk, message.conversation_id, message.sender_id, bob.pk)
        for term in found:
            assert get_cells(staff, f"?q={term}") == ["Hello, Bob"]
        for term in ("Hello", carol.pk):
            assert get_cells(staff, f"?q={term}") == []

    @pytest.mark.parametrize("query", ["", "?state=closed", "?q=reason"])
    def test_has_constant_queries(self, staff, conversation, make_user, alice, query):
        def measure():
            with CaptureQueriesContext(connection) as queries:
                staff.get(f"{LIST}{query}")
            return len(queries)

        def add(name):
            user = make_user(name)
            conversation.participants.add(user)
            import_conversations(1, alice, user, message_body="Hello")
            for message in Message.objects.filter(sender=user):
                report(message, "A reason", actor=alice)
            if "closed" in query:
                Report.objects.update(closed_at=conversation.created_at)

        add("Person")
        few = measure()
        for number in range(5):
            add(f"Person{number}")
        assert measure() == few

    def test_reads_open_reports_from_their_index(self, staff, reported):
        with CaptureQueriesContext(connection) as queries:
            staff.get(LIST)
        [sql] = [q["sql"] for q in queries if "ORDER BY" in q["sql"] and "reason" in q["sql"]]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {'QUERY PLAN ' * (connection.vendor == 'sqlite')}{sql}")
            assert "report_open" in str(cursor.fetchall())

    def test_nobody_adds_changes_or_deletes_reports(self, staff, reported):
        before = read_tables(Report)
        assert staff.get(f"{LIST}add/").status_code == 403
        assert staff.post(f"{LIST}{reported.pk}/change/", {"reason": "x"}).status_code == 403
        assert staff.post(f"{LIST}{reported.pk}/delete/", {"post": "yes"}).status_code == 403
        run(staff, "delete_selected", reported)
        assert read_tables(Report) == before

    def test_names_no_erased_reporter(self, staff, reported, bob):
        erase(bob)
        page = staff.get(f"{LIST}{reported.pk}/change/").content.decode()
        assert "Hello, Bob" in page
        assert bob.email not in page


class TestDismiss:
    def test_closes_all_reports_of_the_message(self, staff, reported, message, carol, conversation):
        conversation.participants.add(carol)
        report(message, "", actor=carol)
        other, _ = send(conversation, "Another", actor=carol)
        report(other, "", actor=message.sender)
        assert "Reports closed: 2." in run(staff, "dismiss", reported)
        assert get_cells(staff) == ["Another"]
        assert read_log(CHANGE) == [(str(reported.pk), "Dismissed.")]
        message.refresh_from_db()
        assert message.message_body == "Hello, Bob"

    def test_leaves_reports_of_a_later_text_open(
        self, staff, reported, message, carol, conversation
    ):
        """Staff have not seen it."""
        conversation.participants.add(carol)
        edit(message, "Worse", actor=message.sender)
        report(message, "", actor=carol)
        assert "Reports closed: 1." in run(staff, "dismiss", reported)
        assert get_cells(staff) == ["Worse"]

    def test_of_a_report_that_was_closed_meanwhile_does_nothing(self, staff, reported, message):
        close([message.pk])
        before = read_tables(Report)
        run(staff, "dismiss", reported)
        assert read_tables(Report) == before
        assert read_log(CHANGE) == []


class TestDeleteMessages:
    def test_deletes_and_closes_after_a_confirmation(self, staff, api, bob, reported, message):
        body = {"action": "delete_messages", "_selected_action": [reported.pk]}
        page = staff.post(LIST, body).content.decode()
        assert "alice@example.com: Hello, Bob" in page
        message.refresh_from_db()
        assert not message.is_deleted
        assert "Reports closed: 1." in run(staff, "delete_messages", reported)
        shown = api(bob).get(f"/api/messages/{message.pk}/").json()
        assert shown["message_body"] is None
        assert get_cells(staff) == []
        assert get_cells(staff, "?state=closed") == ["Hello, Bob"]
        assert read_log(DELETION) == [(str(message.pk), "")]
        assert read_log(CHANGE) == [(str(reported.pk), "Message deleted.")]

    def test_also_closes_if_the_sender_deleted_it(self, staff, reported, message, alice):
        delete(message, actor=alice)
        run(staff, "delete_messages", reported)
        assert get_cells(staff) == []
        assert read_log(DELETION) == []


class TestDeactivateSenders:
    def test_deactivates_once_with_the_reason(self, staff, reported, conversation, alice, bob):
        other, _ = send(conversation, "Another", actor=alice)
        report(other, "", actor=bob)
        page = run(staff, "deactivate_senders", *Report.objects.all(), reason="Insults")
        assert "Users deactivated: 1." in page
        assert not User.objects.get(pk=alice.pk).is_active
        assert read_log(CHANGE) == [(str(alice.pk), "Deactivated. Reason: Insults")]
        assert get_cells(staff) == ["Another", "Hello, Bob"]

    @pytest.mark.parametrize("field", ["is_staff", "is_superuser"])
    def test_leaves_out_staff(self, make_staff, reported, alice, field):
        change(alice, **{field: True})
        client = make_staff("change_report", "change_user")
        page = run(client, "deactivate_senders", reported)
        assert "Left as they were: alice@example.com." in page
        assert User.objects.get(pk=alice.pk).is_active

    def test_leaves_out_oneself(self, staff, root, conversation, bob):
        conversation.participants.add(root)
        sent, _ = send(conversation, "From staff", actor=root)
        report(sent, "", actor=bob)
        page = run(staff, "deactivate_senders", Report.objects.get())
        assert "Left as they were: root@example.com." in page
        assert User.objects.get(pk=root.pk).is_active


class TestRights:
    @pytest.mark.parametrize(
        ("codenames", "actions"),
        [
            (["view_report", "delete_message", "change_user"], []),
            (["change_report"], ["dismiss"]),
            (["change_report", "delete_message"], ["delete_messages", "dismiss"]),
            (["change_report", "change_user"], ["deactivate_senders", "dismiss"]),
        ],
    )
    def test_offer_actions(self, make_staff, reported, message, codenames, actions):
        client = make_staff(*codenames)
        page = client.get(LIST).content.decode()
        select = page.partition('<select name="action"')[2].partition("</select>")[0]
        assert re.findall('<option value="(.+?)"', select) == actions
        before = read_tables(Report, Message, User)
        for action in {"delete_messages", "deactivate_senders", "dismiss"}.difference(actions):
            body = {"action": action, "_selected_action": [reported.pk], "confirmed": "yes"}
            client.post(LIST, body)
            assert read_tables(Report, Message, User)[:2] == before[:2]

    def test_without_those_to_view_messages_and_users_show_neither(self, make_staff, reported):
        client = make_staff("change_report", "delete_message")
        body = {"action": "delete_messages", "_selected_action": [reported.pk]}
        for response in (
            client.get(LIST),
            client.get(f"{LIST}{reported.pk}/change/"),
            client.post(LIST, body),
        ):
            page = response.content.decode()
            assert "Alice Test" in page
            assert "Hello, Bob" not in page
            assert "@example.com" not in page
