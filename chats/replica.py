"""Pages from a standby of the database, where it shows what the primary shows."""

import logging
from time import monotonic

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections

from chats.models import Conversation

REPLICA = "replica"
RETRY_SECONDS = 5
# Names have no clock. They may lag as long as this, and CACHE_SECONDS more on a cached page.
MAX_LAG_SECONDS = 5

logger = logging.getLogger(__name__)


class Replica:
    """What this process knows of the replica."""

    retry_at = 0
    # A position in the primary's log, and until when a replica that has reached it is fresh.
    position, fresh_until = None, 0


def read_page(is_current, read):
    """`read(alias)` from the replica if `is_current()`, otherwise from the primary.

    `is_current()` compares the replica's clocks with those that the primary has just shown.
    """
    if REPLICA in connections and monotonic() >= Replica.retry_at:
        position = get_position()
        try:
            if has_reached(position) and is_current():
                return read(REPLICA)
        except (OperationalError, InterfaceError) as error:
            Replica.retry_at = monotonic() + RETRY_SECONDS
            logger.warning("The replica failed; the primary is used instead: %r", error)
    return read(DEFAULT_DB_ALIAS)


def shows_clocks(conversations):
    """Whether the replica's own rows of the conversations have the same clocks."""
    clocks = {each.pk: each.updated_at for each in conversations}
    rows = Conversation.objects.using(REPLICA).filter(pk__in=clocks)
    return dict(rows.values_list("pk", "updated_at")) == clocks


def get_position():
    """Where the primary's log was, at most MAX_LAG_SECONDS ago."""
    now = monotonic()
    if now >= Replica.fresh_until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_flush_lsn()::text")
            [Replica.position] = cursor.fetchone()
        Replica.fresh_until = now + MAX_LAG_SECONDS
    return Replica.position


def has_reached(position):
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position])
        return cursor.fetchone() == (True,)
