"""The clock of a conversation: `updated_at`, moved when its messages or participants change.

A change first locks the conversation, then moves its clock, then writes, in one transaction. So the
order of clock values is the order of commits.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Greatest
from django.utils import timezone

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

    Returns `{primary key: new clock}` of the locked conversations. The update filters a second
    time, because after a wait for a lock PostgreSQL re-checks the locked row but not the rows
    joined to it. One query takes the locks, and one per KEYS_PER_QUERY conversations moves the
    clocks.
    """
    now = timezone.now()
    clocks = {row.pk: get_next_value(row.updated_at, now) for row in lock(conversations)}
    for keys in batched(clocks, KEYS_PER_QUERY):
        still_matching = conversations.filter(pk__in=keys)
        still_matching.update(updated_at=Greatest(now, F("updated_at") + STEP))
    return clocks


def move_clocks_of_changed_conversations(
    instance: Any, action: str, reverse: bool, model: Any, pk_set: set | None, **kwargs: Any
) -> None:
    """Receives `m2m_changed` before participants are added or removed.

    `pk_set` is None on a clear, and empty if all users to add are participants already.
    """
    if action not in {"pre_add", "pre_remove", "pre_clear"} or pk_set == set():
        return
    if action == "pre_add":
        # Waits for an erasure or deletion in progress, so that it also removes this participation.
        users = type(instance) if reverse else model
        lock(users.objects.filter(pk__in=[instance.pk] if reverse else pk_set))
    if not reverse:
        move_clocks(type(instance).objects.filter(pk=instance.pk))
    elif pk_set is None:
        move_clocks(model.objects.for_user(instance))
    else:
        move_clocks(model.objects.filter(pk__in=pk_set))


def mark_as_read_by_newcomers(
    instance: Any, action: str, reverse: bool, model: Any, pk_set: Any, **kwargs: Any
) -> None:
    """Receives `m2m_changed`: participants who were just added have read everything."""
    if action == "post_add":
        conversations = model if reverse else type(instance)
        users, joined = ([instance.pk], pk_set) if reverse else (pk_set, [instance.pk])
        clock = conversations.objects.filter(pk=OuterRef("conversation")).values("updated_at")
        participations = kwargs["sender"].objects
        added = participations.filter(user__in=users, conversation__in=joined)
        added.update(read_at=Subquery(clock))


def batched(values: Iterable, size: int) -> Iterator[list]:
    """Lists of at most `size` of the values."""
    values = iter(values)
    return iter(lambda: list(islice(values, size)), [])
