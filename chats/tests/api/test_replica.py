"""What a process remembers of its replica. tests/system/test_machines.py has a real one."""

import time

from django.conf import settings
from django.db import OperationalError

from chats import replica


def test_only_one_request_waits_for_a_replica_that_has_failed(monkeypatch):
    monkeypatch.setitem(settings.DATABASES, replica.REPLICA, {})
    monkeypatch.setattr(replica.State, "retry_at", time.monotonic())
    monkeypatch.setattr(replica, "get_position", lambda: None)
    tries = []

    def read():
        return replica.read_page(is_current=lambda: True, read=lambda: "from the primary")

    def has_reached(position):
        tries.append(position)
        if len(tries) == 1:
            # Another request comes while this one waits.
            assert read() == "from the primary"
        raise OperationalError

    monkeypatch.setattr(replica, "has_reached", has_reached)
    assert read() == "from the primary"
    assert len(tries) == 1
