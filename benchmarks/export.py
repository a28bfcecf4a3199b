"""`python -m benchmarks.export`: others' sends, and the server's memory, during an export.

The export has 200,000 messages. One user sends one message after another, before, during and after
another user's export. The memory is that of the worker that has most. The export is compared with
its checksum.
"""

import argparse
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

import django

from benchmarks.server import environment, serve

CONVERSATIONS = 200
# In each conversation. The author wrote half of them.
MESSAGES = 2_000
CALM_SECONDS = 8
PATH = "/api/users/me/export/"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=__doc__)
    parser.add_argument("--database", help="the URL of an empty database")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        url = options.database or f"sqlite:///{folder}/export.sqlite3"
        os.environ.update(environment(url))
        django.setup()
        token, send = prepare()
        measure(stack.enter_context(serve(url)), token, send)


def prepare():
    """The token of the author, and the operation of the other user."""
    from django.core.management import call_command

    from benchmarks.data import make_history, make_users
    from benchmarks.operations import Operation, get_send
    from chats.management.commands.make_data import analyze, move_clocks_to_last_messages

    call_command("migrate", verbosity=0)
    author, reader, sender = make_users("author", "reader", "sender")
    make_history([author, reader], CONVERSATIONS, MESSAGES)
    [conversation] = make_history([sender, reader], 1, 10)
    move_clocks_to_last_messages()
    analyze()
    path = f"/api/conversations/{conversation.pk}/messages/"
    return Operation("", "", author).token, get_send("send", sender, path)


def measure(server, token, send):
    report("before", server, server.load(send, CALM_SECONDS, connections=1).times)
    with ThreadPoolExecutor(1) as pool:
        export, times, memory = pool.submit(read_export, server, token), [], []
        while not export.done():
            times += server.load(send, 1, connections=1).times
            memory.append(max(server.get_memory()))
        lines, size, seconds = export.result()
    report("during", server, times, max(memory))
    report("after", server, server.load(send, CALM_SECONDS, connections=1).times)
    print(f"The export has {lines:,} lines and {size / 1e6:.1f} MB. It took {seconds:.1f} s.")


def report(when, server, times, memory=None):
    milliseconds = [1_000 * seconds for seconds in times]
    percentile = quantiles(milliseconds, n=100)[-1]
    print(
        f"Sends {when}: median {median(milliseconds):.1f} ms, 99th percentile {percentile:.0f} ms. "
        f"Memory: {memory or max(server.get_memory())} MiB."
    )


def read_export(server, token):
    """The number of lines, the size and the seconds."""
    begin = time.perf_counter()
    digest, lines, size = hashlib.sha256(), 0, 0
    request = Request(server.url + PATH, headers={"Authorization": f"Bearer {token}"})
    with urlopen(request) as response:
        last = response.readline()
        for line in response:
            digest.update(last)
            lines, size, last = lines + 1, size + len(last), line
    expected = {"type": "end", "lines": lines, "sha256": digest.hexdigest()}
    if json.loads(last) != expected:
        raise SystemExit(f"The export ends with {last}.")
    return lines, size, time.perf_counter() - begin


if __name__ == "__main__":
    main()
