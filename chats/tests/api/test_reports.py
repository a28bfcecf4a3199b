"""Messages that participants report."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chats.models import Conversation, Message, Participation, User
from chats.safety import reports
from chats.safety.models import REASON_MAX_CHARACTERS, Report
from chats.services import delete, delete_for_staff, edit, erase, leave, send
from chats.tests.support.expected import NOT_FOUND, message_json, page
from chats.tests.support.paths import MESSAGES, messages_path
from chats.tests.support.rows import change, import_messages, read_row, read_tables

REASON = "This is an insult."


@pytest.fixture(params=["nested", "flat"])
def path(request, message):
    """Where Bob reports the message of Alice."""
    base = {"nested": messages_path(message.conversation), "flat": MESSAGES}[request.param]
    return f"{base}{message.pk}/report/"


def read_reports():
    """All but the time of the report, which is of today."""
    rows = Report.objects.order_by("pk").values("reporter", "message", "message_body", "reason")
    assert all(row.created_at > timezone.now() - timedelta(hours=1) for row in Report.objects.all())
    return list(rows)


def report_of(message, user, message_body="Hello, Bob", reason=""):
    return {
        "reporter": user and user.pk,
        "message": message.pk,
        "message_body": message_body,
        "reason": reason,
    }


def is_open(message):
    return [report.closed_at is None for report in message.reports.order_by("pk")]


class TestReport:
    def test_keeps_the_text_and_the_reason(self, api, bob, message, path):
        response = api(bob).post(path, {"reason": REASON})
        assert (response.status_code, response.content) == (204, b"")
        assert read_reports() == [report_of(message, bob, reason=REASON)]
        assert is_open(message) == [True]

    @pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": " \n\u200b"}])
    def test_reason_is_optional(self, api, bob, message, path, body):
        assert api(bob).post(path, body).status_code == 204
        assert read_reports() == [report_of(message, bob)]

    @pytest.mark.parametrize(
        ("reason", "error"),
        [
            (
                "x" * (REASON_MAX_CHARACTERS + 1),
                "Ensure this field has no more than 1000 characters.",
            ),
            ("a\x00b", "Null characters are not allowed."),
            (7, "Not a valid string."),
            (None, "This field may not be null."),
            (["a"], "Not a valid string."),
        ],
        ids=["long", "NUL", "number", "null", "list"],
    )
    def test_bad_reason_is_a_400(self, api, bob, path, reason, error):
        response = api(bob).post(path, {"reason": reason})
        assert (response.status_code, response.json()) == (400, {"reason": [error]})
        assert not Report.objects.exists()

    def test_surrogate_in_the_reason_is_a_400(self, api, bob, path):
        body = rb'{"reason": "a\ud800b"}'
        response = api(bob).post(path, body, content_type="application/json")
        assert response.status_code == 400
        assert not Report.objects.exists()

    def test_longest_reason_is_kept_as_it_was_sent(self, api, bob, message, path):
        reason = " 🙂" * (REASON_MAX_CHARACTERS // 2)
        assert api(bob).post(path, {"reason": reason}).status_code == 204
        assert read_reports() == [report_of(message, bob, reason=reason)]

    @pytest.mark.parametrize("name", ["text", "message", "comment", "description", "type"])
    def test_other_name_for_the_reason_is_a_400(self, api, bob, path, name):
        response = api(bob).post(path, {name: REASON})
        error = "There is no such field here; use “reason”."
        assert (response.status_code, response.json()) == (400, {name: [error]})
        assert not Report.objects.exists()

    def test_of_ones_own_message_is_a_403(self, api, alice, path):
        response = api(alice).post(path, {"reason": REASON})
        detail = "You sent this message. To take it back, use DELETE."
        assert (response.status_code, response.json()) == (403, {"detail": detail})
        assert not Report.objects.exists()

    @pytest.mark.parametrize("body", [{}, {"reason": 7}])
    def test_by_somebody_who_has_left_is_a_404(self, api, bob, message, path, body):
        leave(message.conversation, actor=bob)
        response = api(bob).post(path, body)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert not Report.objects.exists()

    def test_by_somebody_who_leaves_during_the_request_is_a_404(
        self, api, bob, message, path, before_each
    ):
        """The membership is checked again under the lock."""
        gone = Participation.objects.filter(conversation=message.conversation, user=bob)
        before_each(reports, "get_conversation", gone.delete)
        response = api(bob).post(path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert not Report.objects.exists()

    def test_is_seen_by_nobody_else(self, api, alice, bob, message, path):
        before = read_tables(Conversation, Message, Participation, User)
        assert api(bob).post(path, {"reason": REASON}).status_code == 204
        assert read_tables(Conversation, Message, Participation, User) == before
        listed = api(alice).get(messages_path(message.conversation)).json()
        assert listed == page(message_json(message))


class TestRepeatedReport:
    def test_is_a_204_and_changes_nothing(self, api, bob, message, path):
        """Whatever its reason."""
        api(bob).post(path, {"reason": REASON})
        before = read_tables(Report)
        for body in ({"reason": REASON}, {"reason": "Something else"}, {}):
            assert api(bob).post(path, body).status_code == 204
        assert read_tables(Report) == before

    def test_of_others_has_a_row_each(self, api, bob, carol, message, path):
        message.conversation.participants.add(carol)
        for user in (bob, carol):
            assert api(user).post(path).status_code == 204
        assert read_reports() == [report_of(message, bob), report_of(message, carol)]

    def test_does_not_replace_what_was_reported_by_a_later_edit(
        self, api, alice, bob, message, path
    ):
        api(bob).post(path, {"reason": REASON})
        edit(message, "Have a nice day", actor=alice)
        assert api(bob).post(path, {"reason": "Again"}).status_code == 204
        assert read_reports() == [report_of(message, bob, "Hello, Bob", REASON)]

    def test_of_what_staff_have_seen_changes_nothing(self, api, bob, message, path):
        api(bob).post(path, {"reason": REASON})
        reports.close([message.pk])
        assert api(bob).post(path, {"reason": "Again"}).status_code == 204
        assert read_reports() == [report_of(message, bob, reason=REASON)]
        assert is_open(message) == [False]

    def test_of_an_edit_after_staff_have_decided_opens_it_again(
        self, api, alice, bob, carol, message, path
    ):
        """But not the reports of others."""
        message.conversation.participants.add(carol)
        for user in (bob, carol):
            api(user).post(path, {"reason": REASON})
        reports.close([message.pk])
        closed_at = Report.objects.first().closed_at
        edit(message, "Worse", actor=alice)
        assert api(bob).post(path, {"reason": "Now this"}).status_code == 204
        assert read_reports() == [
            report_of(message, bob, "Worse", "Now this"),
            report_of(message, carol, "Hello, Bob", REASON),
        ]
        assert is_open(message) == [True, False]
        assert Report.objects.order_by("pk")[0].created_at > closed_at

    def test_of_a_deleted_message_keeps_its_text(self, api, alice, bob, message, path):
        """Open or closed, nothing changes: there is no other text to keep."""
        api(bob).post(path, {"reason": REASON})
        delete(message, actor=alice)
        for _ in range(2):
            before = read_tables(Report)
            assert api(bob).post(path, {"reason": "Again"}).status_code == 204
            assert read_tables(Report) == before
            reports.close([message.pk])
        assert read_reports() == [report_of(message, bob, reason=REASON)]


def test_report_of_a_deleted_message_is_a_409(api, alice, bob, message, path):
    delete(message, actor=alice)
    response = api(bob).post(path, {"reason": REASON})
    detail = "The message was deleted. There is nothing to report."
    assert (response.status_code, response.json()) == (409, {"detail": detail})
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    ("meanwhile", "status", "kept"),
    [({"message_body": "Edited"}, 204, ["Edited"]), ({"message_body": ""}, 409, [])],
    ids=["edited", "deleted"],
)
def test_report_keeps_the_text_that_is_stored_when_it_is_written(
    api, bob, message, path, before_each, meanwhile, status, kept
):
    """Not the one that the request has read before it had the lock."""
    before_each(reports, "get_conversation", lambda: change(message, **meanwhile))
    assert api(bob).post(path).status_code == status
    assert [row["message_body"] for row in read_reports()] == kept


def test_deletion_by_staff_closes_all_reports_of_the_message(bob, carol, message, conversation):
    other, _ = send(conversation, "Another", actor=message.sender)
    conversation.participants.add(carol)
    for user in (bob, carol):
        reports.report(message, "", actor=user)
    reports.report(other, "", actor=bob)
    delete_for_staff(message)
    assert is_open(message) == [False, False]
    assert is_open(other) == [True]
    assert {row["message_body"] for row in read_reports()} == {"Hello, Bob", "Another"}


class TestErasure:
    def test_of_the_reporter_keeps_the_report_without_their_name(self, bob, message):
        reports.report(message, REASON, actor=bob)
        erase(bob)
        assert read_reports() == [report_of(message, None, reason=REASON)]
        assert is_open(message) == [True]

    def test_of_the_sender_forgets_what_they_edited_or_deleted(self, alice, bob, conversation):
        """In several transactions. What others wrote is kept."""
        messages = import_messages(conversation, alice, 3, message_body="Secret")
        theirs, _ = send(conversation, "Mine", actor=bob)
        for message in messages:
            reports.report(message, REASON, actor=bob)
        reports.report(theirs, "", actor=alice)
        edit(theirs, "Changed", actor=bob)
        edit(messages[0], "Friendly", actor=alice)
        delete(messages[1], actor=alice)
        erase(alice)
        assert read_reports() == [
            report_of(messages[0], bob, "Friendly", REASON),
            report_of(messages[1], bob, "", REASON),
            report_of(messages[2], bob, "Secret", REASON),
            report_of(theirs, None, "Mine"),
        ]

    def test_of_the_sender_writes_few_rows_in_a_transaction(
        self, monkeypatch, alice, bob, conversation
    ):
        monkeypatch.setattr(reports, "KEYS_PER_QUERY", 2)
        messages = import_messages(conversation, alice, 5, message_body="Secret")
        for message in messages:
            reports.report(message, "", actor=bob)
        Message.objects.update(message_body="Friendly")
        before, updated = read_tables(Report), []
        atomic = reports.transaction.atomic

        def count_first():
            updated.append(Report.objects.filter(message_body="Friendly").count())
            return atomic()

        monkeypatch.setattr(reports.transaction, "atomic", count_first)
        reports.forget_former_texts(alice)
        assert updated == [0, 2, 4]
        expected = [row | {"message_body": "Friendly"} for row in before[0]]
        assert read_tables(Report) == [expected]


def test_report_goes_with_its_message(bob, message):
    reports.report(message, "", actor=bob)
    message.conversation.delete()
    assert not Report.objects.exists()
    assert read_row(message) is None
