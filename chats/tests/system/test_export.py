"""The export as docker/serve sends it: in parts, of which each is read when the last was taken."""

import json
from hashlib import sha256

import requests

from chats.tests.support.servers import PASSWORD, RESPONSE_SECONDS, manage

TEXT = "x" * 10_000
# More than the buffers of the connection hold.
MESSAGES = 1_500
COPY = """
from chats.models import *
from chats.tests.support.rows import import_messages
conversation = Conversation.objects.get(pk='{conversation}')
import_messages(conversation, User.objects.get(pk='{user}'), {number}, message_body={text!r})
"""


def open_export(person):
    """The response, of which nothing was read but the head."""
    return requests.get(
        f"{person.url}/users/me/export/",
        headers={"Authorization": f"Bearer {person.access}"},
        stream=True,
        timeout=RESPONSE_SECONDS,
    )


def write_much(server, person, conversation_id):
    names = {"conversation": conversation_id, "user": person.user_id}
    code = COPY.format(**names, number=MESSAGES, text=TEXT)
    manage("shell", "-v0", "-c", code, DATABASE_URL=server.database.url)


def test_slow_clients_hold_no_thread_and_get_everything(server, people, conversation_id):
    """More of them than there are threads."""
    for person in people:
        write_much(server, person, conversation_id)
    server.restart(workers=1, threads=2)
    exports = [open_export(person) for person in people]
    assert [export.status_code for export in exports] == [200] * 4
    assert "Content-Length" not in exports[0].headers
    # None of them has ended, and others are served.
    assert "/api/users/me/export/" not in [line["path"] for line in server.get_requests()]
    alice, bob, *_ = people
    assert alice.send(conversation_id, "Hello").status_code == 201
    assert bob.get(f"/conversations/{conversation_id}/")["last_message"]["message_body"] == "Hello"
    for export in exports:
        *lines, end = export.content.splitlines(keepends=True)
        digest = sha256(b"".join(lines)).hexdigest()
        assert json.loads(end) == {"type": "end", "lines": len(lines), "sha256": digest}
        assert len(lines) >= MESSAGES + 2
        line = server.get_request(export)
        assert (line["status"], line["bytes"]) == (200, len(export.content))


def test_second_export_is_a_429_in_every_process_until_the_client_is_gone(
    server, people, conversation_id
):
    alice, *_ = people
    write_much(server, alice, conversation_id)
    export = open_export(alice)
    responses = server.everywhere(lambda: open_export(alice))
    assert {response.status_code for response in responses} == {429}
    assert {response.headers["Retry-After"] for response in responses} == {"5"}
    export.close()
    # The server has to notice it first.
    while (response := open_export(alice)).status_code == 429:
        pass
    assert response.status_code == 200
    response.close()


def test_export_of_somebody_who_is_erased_meanwhile_has_no_end(server, people, conversation_id):
    *_, dora = people
    write_much(server, dora, conversation_id)
    begin = len(server.error_log.read_text())
    export = open_export(dora)
    body = {"current_password": PASSWORD}
    assert dora.call("DELETE", "/users/me/", json=body).status_code == 204
    assert b'"type":"end"' not in export.content
    assert server.error_log.read_text()[begin:] == ""
