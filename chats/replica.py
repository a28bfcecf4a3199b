"""Reads pages from a standby of the database, where it shows what the primary shows."""

import logging
from contextvars import ContextVar
from time import monotonic

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections

from chats.models import Conversation

REPLICA = "replica"
RETRY_SECONDS = 5
# A changed name does not move a clock. It may show this late, and CACHE_SECONDS later on a page
# that is cached then.
MAX_LAG_SECONDS = 5

logger = logging.getLogger(__name__)
database = ContextVar("database", default=None)


class Router:
    """Has queries read from `database`. One of settings.DATABASE_ROUTERS if there is a replica."""

    def db_for_read(self, model, **hints):
        return database.get()

    def allow_relation(self, first, second, **hints):
        """A row of either database is a row of the other."""
        return True


class State:
    """What this process knows, for all threads."""

    retry_at = 0
    # Where the primary's log was, and until when a replica that has reached it is new enough.
    position, valid_until = None, 0


def read_page(is_current, read):
    """Returns `read()`. Its queries go to the replica if `is_current()` there, otherwise to the
    primary.

    `is_current()` compares the replica's clocks with those that the primary has just shown.
    """
    if REPLICA in settings.DATABASES and monotonic() >= State.retry_at:
        position = get_position()
        token = database.set(REPLICA)
        try:
            if has_reached(position) and is_current():
                return read()
        except Error as error:
            State.retry_at = monotonic() + RETRY_SECONDS
            logger.warning("The replica failed; the primary is used instead: %r", error)
        finally:
            database.reset(token)
    return read()


def get_read_connection():
    return connections[database.get() or DEFAULT_DB_ALIAS]


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
