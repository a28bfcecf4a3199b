"""`python -m benchmarks.metrics`: what METRICS_ADDRESS costs a poll.

The requests with it and without it take turns in one thread, of which the processor's time is
measured: what the server's event loop does for each request is left out. Nothing else is as steady
on a machine that others use.
"""

import os
from io import BytesIO
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, thread_time

import django

from benchmarks.server import environment

REQUESTS = 5_000
MESSAGES = 1_000
# In each process of a busy server, which counts them once a second.
REQUESTS_PER_SECOND = 500


def main():
    with TemporaryDirectory(dir="/dev/shm") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        os.environ.update(environment(f"sqlite:///{folder}/metrics.sqlite3"))
        django.setup()
        user, path = prepare()
        # Requests with the metrics, and requests without them.
        callers = [Caller(user, is_counted=True), Caller(user, is_counted=False)]
        for name, url in [("message list, 304", path), ("inbox, 304", "/api/conversations/")]:
            compare(name, url, callers)


def prepare():
    """The caller, and the path of the messages of one of their conversations."""
    from django.core.management import call_command

    from benchmarks.data import make_history, make_users
    from chats.management.commands.make_data import analyze, move_clocks_to_last_messages

    call_command("migrate", verbosity=0)
    user, other = make_users("reader", "other")
    [conversation, *_] = make_history([user, other], 40, MESSAGES)
    move_clocks_to_last_messages()
    analyze()
    return user, f"/api/conversations/{conversation.pk}/messages/"


class Caller:
    def __init__(self, user, is_counted):
        from django.test import override_settings

        from benchmarks.operations import Operation
        from messaging_app import wsgi

        token = Operation("", "", user).token
        self.headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())]
        self.is_counted = is_counted
        added = ["messaging_app.metrics.EndpointMiddleware"] if is_counted else []
        with override_settings(MIDDLEWARE=[*added, *django.conf.settings.MIDDLEWARE]):
            self.django_application = wsgi.get_wsgi_application()

    def call(self, path, etag=""):
        """The response, and the processor's seconds."""
        from django.db import connection

        from messaging_app import metrics, wsgi
        from messaging_app.adapter import build_environ, call_application

        django.conf.settings.METRICS_ADDRESS = self.is_counted
        connection.execute_wrappers[:] = [metrics.time_query] if self.is_counted else []
        wsgi.django_application = self.django_application
        scope = {
            "method": "GET",
            "http_version": "1.1",
            "scheme": "http",
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [*self.headers, (b"if-none-match", etag.encode())],
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 1),
        }
        begin, begin_processor = perf_counter(), thread_time()
        response = call_application(build_environ(scope, BytesIO()))
        if self.is_counted:
            seconds = perf_counter() - begin
            metrics.add_response("GET", response.endpoint, response.status, seconds)
        return response, thread_time() - begin_processor


def compare(name, path, callers):
    from messaging_app import metrics

    response, _ = callers[0].call(path)
    etag = dict(response.headers)["ETag"]
    times, recording = {caller: [] for caller in callers}, []
    for number in range(REQUESTS):
        # Each is first as often as the other.
        for caller in callers if number % 2 else reversed(callers):
            response, seconds = caller.call(path, etag)
            if response.status != 304:
                raise SystemExit(f"{name} returned {response.status}.")
            times[caller].append(1_000_000 * seconds)
        if number % REQUESTS_PER_SECOND == 0:
            begin = thread_time()
            metrics.record()
            recording.append(1_000_000 * (thread_time() - begin) / REQUESTS_PER_SECOND)
    counted, uncounted = times.values()
    difference = median(a - b for a, b in zip(counted, uncounted, strict=True))
    cost, whole = difference + median(recording), median(uncounted)
    print(
        f"{name:18} {whole:.0f} µs, with metrics {cost:.1f} µs more: {1 + cost / whole:.3f} times"
    )


if __name__ == "__main__":
    main()
