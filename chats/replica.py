"""Reads pages from the replica, a standby of the database, if it is up to date."""

import logging
from contextvars import ContextVar
from time import monotonic

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections

from chats.models import Conversation

REPLICA = "replica"
RETRY_SECONDS = 30
# A changed name does not move a clock. The replica may return the old name for this long. A page
# that is cached then keeps it for CACHE_SECONDS more.
MAX_LAG_SECONDS = 5

logger = logging.getLogger(__name__)
alias = ContextVar("alias", default=None)


class Router:
    """Sends the queries of `read_page()` to the replica. Installed if there is one."""

    def db_for_read(self, model, **hints):
        return alias.get()

    def db_for_write(self, model, **hints):
        """Also for a row that was read from the replica."""
        return DEFAULT_DB_ALIAS

    def allow_relation(self, first, second, **hints):
        """A row of either database is a row of the other."""
        return True


class State:
    """What this process knows, for all threads."""

    retry_at = 0
    # A position in the primary's write-ahead log. Until `valid_until`, a replica that has replayed
    # it is recent enough.
    position, valid_until = None, 0


def read_page(is_current, read):
    """Returns `read()`. Its queries go to the replica if `is_current()` there, otherwise to the
    primary.

    `is_current()` compares the replica's clocks with those that the primary has just shown.
    """
    if REPLICA in settings.DATABASES and monotonic() >= State.retry_at:
        position = get_position()
        token = alias.set(REPLICA)
        try:
            if State.retry_at:
                # Only this thread waits to see whether the replica responds again.
                State.retry_at = monotonic() + RETRY_SECONDS
            is_recent = has_reached(position)
            State.retry_at = 0
            if is_recent and is_current():
                return read()
        except Error as error:
            State.retry_at = monotonic() + RETRY_SECONDS
            logger.warning("The replica failed; the primary is used instead: %r", error)
        finally:
            alias.reset(token)
    return read()


def get_read_connection():
    return connections[alias.get() or DEFAULT_DB_ALIAS]


def shows_clocks(conversations):
    clocks = {conversation.pk: conversation.updated_at for conversation in conversations}
    rows = Conversation.objects.filter(pk__in=clocks)
    return dict(rows.values_list("pk", "updated_at")) == clocks


def get_position():
    """Where the primary's log was, at most MAX_LAG_SECONDS ago."""
    if monotonic() >= State.valid_until:
        valid_until = monotonic() + MAX_LAG_SECONDS
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_flush_lsn()::text")
            [State.position] = cursor.fetchone()
        State.valid_until = valid_until
    return State.position


def has_reached(position):
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position])
        return cursor.fetchone() == (True,)
