"""Limits on searches and other large lists: their time, and how many a user runs at once."""

import sqlite3
from collections import Counter
from contextlib import contextmanager
from threading import Lock
from time import monotonic

from django.core.exceptions import BadRequest
from django.db import OperationalError, connection, transaction
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.mixins import ListModelMixin

SEARCH_MAX_CHARACTERS = 100
SEARCH_MAX_SECONDS = 2
# Per user in each process, so that the other threads stay free for other users.
SEARCHES_AT_ONCE = 2
# SQLite checks the time after this many instructions. One instruction searches a whole message,
# which takes up to two milliseconds.
SQLITE_INSTRUCTIONS = 500
POSTGRES_QUERY_CANCELED = "57014"

# Filters that no index serves.
EXPENSIVE_PARAMETERS = {"search", "sender", "participants"}
# A list that reads several rows for each of the caller's conversations is limited beyond this
# number of them.
MANY_CONVERSATIONS = 200

running = Counter()
running_lock = Lock()


class SearchTimeout(Exception):
    """The search took longer than SEARCH_MAX_SECONDS."""


class LimitedListModelMixin(ListModelMixin):
    """DRF's mixin. Lists are limited if they may read a whole history, or all participants of all
    the caller's conversations."""

    def list(self, request, *args, **kwargs):
        if not self.is_expensive(request):
            return super().list(request, *args, **kwargs)
        try:
            with limited_concurrency(request.user.pk), limited_search_time():
                return super().list(request, *args, **kwargs)
        except SearchTimeout as error:
            [name, *_] = EXPENSIVE_PARAMETERS & request.query_params.keys() or ["detail"]
            message = "This takes too long: narrow it by a further filter."
            raise ValidationError({name: [message]}) from error

    def is_expensive(self, request):
        has_filter = not EXPENSIVE_PARAMETERS.isdisjoint(request.query_params)
        return has_filter or self.count_conversations() > MANY_CONVERSATIONS

    def count_conversations(self):
        """From how many conversations the list reads rows."""
        return 1


@contextmanager
def limited_concurrency(user_id):
    """Raises Throttled while the user has SEARCHES_AT_ONCE searches running in this process."""
    with running_lock:
        if running[user_id] == SEARCHES_AT_ONCE:
            raise Throttled(wait=1)
        running[user_id] += 1
    try:
        yield
    finally:
        with running_lock:
            running[user_id] -= 1
            if not running[user_id]:
                del running[user_id]


@contextmanager
def limited_search_time():
    """Raises SearchTimeout if the queries in the block take more than SEARCH_MAX_SECONDS: together
    on SQLite, each of them on PostgreSQL."""
    limit = limit_postgres if connection.vendor == "postgresql" else limit_sqlite
    try:
        with limit():
            yield
    except OperationalError as error:
        cause = error.__cause__
        if getattr(cause, "sqlstate", None) == POSTGRES_QUERY_CANCELED or (
            getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
        ):
            raise SearchTimeout from error
        raise


@contextmanager
def limited_admin_search():
    """Raises BadRequest when the block's queries take too long."""
    try:
        with limited_search_time():
            yield
    except SearchTimeout as error:
        raise BadRequest("This search takes too long. Search for an id, or narrow it.") from error


@contextmanager
def limit_postgres():
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{SEARCH_MAX_SECONDS}s'")
        yield


@contextmanager
def limit_sqlite():
    connection.ensure_connection()
    deadline = monotonic() + SEARCH_MAX_SECONDS
    set_handler = connection.connection.set_progress_handler
    set_handler(lambda: monotonic() > deadline, SQLITE_INSTRUCTIONS)
    try:
        yield
    finally:
        set_handler(None, 0)
