"""Reports of a message that race in several processes, with each other and with its sender."""

import json
from collections import Counter

from chats.tests.support.servers import in_processes, run

ROUNDS = 8
READ_REPORTS = """
import json
from chats.safety.models import Report
rows = Report.objects.values_list("message", "reporter", "message_body")
print(json.dumps([[str(message), str(reporter), body] for message, reporter, body in rows]))
"""


def report_each(person, message_ids):
    return [
        (pk, person.user_id, person.call("POST", f"/messages/{pk}/report/").status_code)
        for pk in message_ids
    ]


def edit_and_delete_each(person, message_ids):
    for pk in message_ids:
        path = f"/messages/{pk}/"
        edited = person.call("PATCH", path, json={"message_body": "Edited"}).status_code
        deleted = person.call("DELETE", path).status_code
        # Another thread may have deleted it before.
        assert (edited, deleted) in {(200, 204), (409, 204)}
    return []


def change_or_report(person, message_ids, is_sender):
    return (edit_and_delete_each if is_sender else report_each)(person, message_ids)


def test_racing_reports_keep_one_row_for_each_reporter_with_a_text(server, people, conversation_id):
    alice, bob, carol, _ = people
    ids = [alice.send(conversation_id, "Sent").json()["message_id"] for _ in range(ROUNDS)]
    calls = [(bob, ids, False), (bob, ids, False), (carol, ids, False), (alice, ids, True)]
    results = [row for rows in in_processes(change_or_report, calls, threads=2) for row in rows]
    assert {status for *_, status in results} <= {204, 409}
    done = run("shell", "-v0", "-c", READ_REPORTS, DATABASE_URL=server.database.url)
    rows = [row for row in json.loads(done.stdout) if row[0] in ids]
    assert set(Counter((message, reporter) for message, reporter, _ in rows).values()) <= {1}
    assert {(message, reporter) for message, reporter, _ in rows} == {
        (message, reporter) for message, reporter, status in results if status == 204
    }
    assert {body for *_, body in rows} <= {"Sent", "Edited"}
    assert rows
