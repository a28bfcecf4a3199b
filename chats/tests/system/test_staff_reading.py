"""Staff read while a writer of SQLite does not end."""

import fcntl
from pathlib import Path
from time import monotonic

import pytest
from django.db import connection

from chats.admin.reading import PATIENCE_SECONDS
from chats.tests.support.servers import RESPONSE_SECONDS
from chats.tests.support.staff import Staff


@pytest.mark.skipif(connection.vendor != "sqlite", reason="has no queue of writers")
def test_pages_are_shown_and_their_reading_is_on_standard_error(server, people, conversation_id):
    message_id = people[0].send(conversation_id, "Hello, Bob").json()["message_id"]
    staff = Staff(server)
    url = f"{server.site}/admin/chats/message/{message_id}/change/"
    path = Path(server.database.url.removeprefix("sqlite:///") + "-queue")
    before = server.error_log.stat().st_size
    with path.open() as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        begin = monotonic()
        response = staff.session.get(url, timeout=RESPONSE_SECONDS)
        waited = monotonic() - begin
    assert (response.status_code, "Hello, Bob" in response.text) == (200, True)
    assert PATIENCE_SECONDS <= waited < PATIENCE_SECONDS + 10
    lines = server.error_log.read_bytes()[before:].decode()
    assert f"message {message_id}: Read." in lines
    assert "ERROR" not in lines
