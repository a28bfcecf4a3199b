"""The clock of a conversation: `updated_at`, moved when its messages or participants change.

A change first locks the conversation, then moves its clock, then writes, in one transaction. So the
order of clock values is the order of commits.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from chats.events.announcements import announce

STEP = timedelta(microseconds=1)
# SQLite allows 32,766 parameters in a statement, before version 3.32 only 999.
KEYS_PER_QUERY = 500


def lock(queryset: QuerySet) -> list:
    """Lock the rows in the order of their keys, and return them. One query.

    Lock users before existing conversations.
    """
    return list(queryset.select_for_update(no_key=True, of=("self",)).order_by("pk"))


def get_next_value(updated_at: datetime, now: datetime) -> datetime:
    return max(now, updated_at + STEP)


def move_clocks(conversations: QuerySet) -> dict:
    """Lock the conversations of a queryset and move their clocks.

    Returns `{primary key: new clock}` of the locked conversations. The update repeats the filter:
    after waiting for a lock, PostgreSQL reads the locked row again, but not joined rows such as
    the participation. One query takes the locks, and one per KEYS_PER_QUERY conversations moves
    the clocks.
    """
    now = timezone.now()
    clocks = {row.pk: get_next_value(row.updated_at, now) for row in lock(conversations)}
    for keys in batched(clocks, KEYS_PER_QUERY):
        still_matching = conversations.filter(pk__in=keys)
        still_matching.update(updated_at=Greatest(now, F("updated_at") + STEP))
    announce(clocks)
    return clocks


def batched(values: Iterable, size: int) -> Iterator[list]:
    """Lists of at most `size` of the values."""
    values = iter(values)
    return iter(lambda: list(islice(values, size)), [])
