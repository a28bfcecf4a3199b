"""What the program counts for Prometheus.

Each process of docker/serve counts in files, which the main process reads (exporter.py). Labels
have few values, whatever clients send.
"""

import asyncio
import collections
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from threading import Event
from time import perf_counter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from prometheus_client import Counter, Gauge, Histogram

METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
HEALTH_PATHS = {"/healthz", "/readyz"}
# The key in `request.META` of the endpoint.
ENDPOINT = "messaging_app.endpoint"
NO_ENDPOINT = "none"
SLOW_QUERY_SECONDS = 0.1
RECORD_SECONDS = 1

REQUESTS = Counter(
    "messaging_requests", "Requests that got a response.", ["endpoint", "method", "status"]
)
REQUEST_SECONDS = Histogram(
    "messaging_request_seconds",
    "From the arrival of the whole request until the response is ready, without 429s.",
    ["endpoint", "method"],
    buckets=[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
)
QUERIES = Counter("messaging_queries", "Queries, without those of commands.")
QUERY_SECONDS = Counter("messaging_query_seconds", "What these queries took until the first row.")
SLOW_QUERIES = Counter(
    "messaging_slow_queries", f"Those that took {SLOW_QUERY_SECONDS} seconds or longer."
)
CACHE_LOOKUPS = Counter(
    "messaging_cache_lookups",
    "Pages, and parts of them, that were in the cache (hit) or not (miss).",
    ["content", "result"],
)
REDIS_FAILURES = Counter(
    "messaging_redis_failures", "Commands that failed, with local memory used."
)
THROTTLED = Counter("messaging_throttled_requests", "Requests over a rate.", ["rate"])
MESSAGES_SENT = Counter("messaging_messages_sent", "Messages stored.")
STREAMS = Gauge("messaging_streams", "Open streams of events.", multiprocess_mode="livesum")
EVENTS_SENT = Counter("messaging_events_sent", "Events sent to streams.")
WAITING_REQUESTS = Gauge(
    "messaging_waiting_requests",
    "Requests that wait for a thread, each second.",
    ["kind"],
    multiprocess_mode="livesum",
)
WAITING_WRITERS = Gauge(
    "messaging_waiting_writers",
    "Transactions that wait for SQLite's queue of writers.",
    multiprocess_mode="livesum",
)
MAIL_BACKLOG = Gauge(
    "messaging_mail_backlog", "E-mails that wait to be sent.", multiprocess_mode="livesum"
)
MAIL_FAILURES = Counter("messaging_mail_failures", "E-mails that could not be sent.")

# Looking up labels takes longer than counting.
get_request_seconds = cache(REQUEST_SECONDS.labels)

# What record() has not counted yet: responses as endpoint, method, status and seconds, look-ups as
# content and result, and the seconds of queries. Counting in each request takes several times as
# long.
responses: deque[tuple[str, str, int, float]] = deque()
cache_lookups: deque[tuple[str, str]] = deque()
queries: deque[float] = deque()


# Set in the processes of docker/serve. Nothing takes what others would add.
recording = Event()


def add_response(method: str, endpoint: str, status: int, seconds: float) -> None:
    if recording.is_set():
        responses.append((endpoint, method if method in METHODS else "other", status, seconds))


def add_cache_lookup(content: str, result: str) -> None:
    if recording.is_set():
        cache_lookups.append((content, result))


class EndpointMiddleware:
    """Tells the server the name of the request's URL pattern."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if match := request.resolver_match:
            request.META[ENDPOINT] = match.view_name
        elif request.path_info in HEALTH_PATHS:
            request.META[ENDPOINT] = request.path_info.removeprefix("/")
        return response


def start_recording(lanes: Mapping[str, Any]) -> None:
    """In the event loop. Each of the lanes has a number of requests that are `waiting`."""
    recording.set()
    asyncio.get_running_loop().call_later(RECORD_SECONDS, start_recording, lanes)
    connection_created.connect(time_queries)
    record()
    for kind, lane in lanes.items():
        WAITING_REQUESTS.labels(kind).set(lane.waiting)


def record() -> None:
    taken = take_all(responses)
    for endpoint, method, status, seconds in taken:
        # Many quick refusals would hide requests that are slow.
        if status != HTTPStatus.TOO_MANY_REQUESTS:
            get_request_seconds(endpoint, method).observe(seconds)
    for labels, number in collections.Counter(response[:3] for response in taken).items():
        REQUESTS.labels(*labels).inc(number)
    for labels, number in collections.Counter(take_all(cache_lookups)).items():
        CACHE_LOOKUPS.labels(*labels).inc(number)
    times = take_all(queries)
    QUERIES.inc(len(times))
    QUERY_SECONDS.inc(sum(times))
    SLOW_QUERIES.inc(sum(seconds >= SLOW_QUERY_SECONDS for seconds in times))


def take_all(values: deque) -> list:
    """Threads may be adding further ones."""
    return [values.popleft() for _ in range(len(values))]


def time_queries(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Also called when a connection is made again."""
    if time_query not in connection.execute_wrappers:
        connection.execute_wrappers.append(time_query)


def time_query(execute: Callable, *arguments: Any) -> Any:
    begin = perf_counter()
    try:
        return execute(*arguments)
    finally:
        queries.append(perf_counter() - begin)
