"""E-mails that cannot be sent in time."""

from threading import Event

import pytest

from messaging_app.outbox import Outbox


@pytest.fixture
def hanging_server():
    """While `wait()` sends an e-mail."""
    released = Event()
    yield released
    released.set()


def get_lines(caplog):
    return [record.getMessage() for record in caplog.records]


def test_stop_sends_what_is_queued(caplog):
    outbox, sent = Outbox(), []
    for n in range(3):
        outbox.add(sent.append, n)
    outbox.stop()
    assert (sent, get_lines(caplog)) == ([0, 1, 2], [])


def test_what_a_stop_leaves_is_logged(caplog, hanging_server):
    outbox, sent = Outbox(), []
    outbox.add(hanging_server.wait)
    outbox.add(sent.append, 1)
    outbox.add(sent.append, 2)
    outbox.stop(seconds=0)
    assert get_lines(caplog) == 2 * ["An e-mail was not sent: the server stops"]
    assert sent == []


def test_queue_is_bounded(caplog, hanging_server):
    outbox, sent = Outbox(max_waiting=2), []
    outbox.add(hanging_server.wait)
    for n in range(3):
        outbox.add(sent.append, n)
    hanging_server.set()
    outbox.stop()
    assert get_lines(caplog) == 2 * ["An e-mail was not sent: too many are waiting"]
    assert sent == [0]
    outbox = Outbox(max_waiting=1)
    for n in range(2):
        outbox.add(sent.append, n)
        outbox.thread.submit(int).result()
    outbox.stop()
    assert sent == [0, 0, 1]
