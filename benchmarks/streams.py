"""`python -m benchmarks.streams`: what the stream of events costs, and how soon events arrive.

The processor's time is that of all processes of the server, in percent of one core.
"""

import argparse
import asyncio
import os
import random
from bisect import bisect_left
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

import django

from benchmarks.server import WORKERS, environment, serve, serve_commit
from benchmarks.stream_clients import (
    POLL_SECONDS,
    Connection,
    Page,
    open_streams,
    raise_file_limit,
)

# Each person takes part in so many conversations of four.
CONVERSATIONS = 10
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
LISTENERS = 500
SENDS_PER_SECOND = 20
POLLING_CLIENTS = 400
STREAMING_CLIENTS = 2_000
SECONDS_BETWEEN_MESSAGES = 60
ROUNDS = 10


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--database", help="the URL of an empty database")
    parser.add_argument("--cache", default="", help="the URL of Redis")
    parser.add_argument("--before", help="a commit without the stream, which takes turns with this")
    parser.add_argument("--people", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement")
    parser.add_argument("--only", nargs="+", default=["idle", "delay", "clients", "sends"])
    options = parser.parse_args()
    raise_file_limit()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        url = options.database or f"sqlite:///{folder}/streams.sqlite3"
        variables = {"CACHE_URL": options.cache}
        os.environ.update(environment(url) | variables)
        django.setup()
        data = Data(options.people)
        measures = {"idle": measure_idle, "delay": measure_delay, "clients": compare_clients}
        for name, measure in measures.items():
            if name in options.only:
                workers = "1" if name == "idle" else str(WORKERS)
                with serve(url, **variables, WORKERS=workers) as server:
                    asyncio.run(measure(server, data, options.seconds))
        if options.before and "sends" in options.only:
            before = serve_commit(options.before, "docker/serve", url, **variables)
            with serve(url, **variables) as server, before as other:
                seconds = options.seconds / ROUNDS / 2
                asyncio.run(compare_sends(server, other, data, seconds))


class Data:
    """Conversations of four people. Each person is in one of the `rooms`, with the `writer`."""

    def __init__(self, people):
        from django.core.management import call_command

        from benchmarks.data import make_users
        from benchmarks.operations import Operation
        from chats.management.commands.make_data import analyze, make_conversations

        call_command("migrate", verbosity=0)
        [self.writer] = make_users("writer")
        users = make_users(*map(str, range(people)))
        groups = [users[n : n + 4] for n in range(0, people, 4)]
        rooms = make_conversations([[*group, self.writer] for group in groups], BEGIN)
        number = (CONVERSATIONS - 1) * people // 4
        make_conversations([random.sample(users, 4) for _ in range(number)], BEGIN)
        analyze()
        self.rooms = {
            room: [user.pk for user in group] for room, group in zip(rooms, groups, strict=True)
        }
        self.tokens = {user.pk: Operation("", "", user).token for user in users}
        self.writer_token = Operation("", "", self.writer).token

    def first(self, number):
        """The tokens of the first people, and their rooms."""
        return dict(list(self.tokens.items())[:number]), list(self.rooms)[: number // 4]


def report(name, value, target=""):
    print(f"{name:66} | {value:>10} | {target}", flush=True)


async def measure_idle(server, data, seconds):
    async with open_streams(server.port, data.first(100)[0]):
        await asyncio.sleep(1)
    before = server.get_memory()[-1]
    async with open_streams(server.port, data.tokens):
        await asyncio.sleep(min(30, seconds))
        size = 1024 * (server.get_memory()[-1] - before) / len(data.tokens)
        report("memory of a stream", f"{size:.1f} kB", "at most 32 kB")
        begin = server.get_processor_seconds()
        await asyncio.sleep(seconds)
        share = (server.get_processor_seconds() - begin) / seconds
        report(f"one process with {len(data.tokens):,} idle streams", f"{share:.2%}", "under 3%")


async def measure_delay(server, data, seconds):
    """From the moment when a send is due to the arrival of the event at each of the recipients."""
    tokens, rooms = data.first(LISTENERS)
    arrivals, sent, responses = defaultdict(list), [], []

    def hear(user, conversation, updated_at):
        arrivals[user, conversation].append((updated_at, perf_counter()))

    connections = [Connection(server.port) for _ in range(SENDS_PER_SECOND)]

    async def send(connection, room, begin):
        message = await connection.send_message(data.writer_token, room.pk)
        responses.append(1_000 * (perf_counter() - begin))
        sent.append((room, message["updated_at"], begin))

    async with open_streams(server.port, tokens, hear), asyncio.TaskGroup() as group:
        first = perf_counter() + 1
        for n in range(int(seconds * SENDS_PER_SECOND)):
            begin = first + n / SENDS_PER_SECOND
            await asyncio.sleep(begin - perf_counter())
            connection = connections[n % len(connections)]
            group.create_task(send(connection, rooms[n % len(rooms)], begin))
        await asyncio.sleep(3)
    times, lost = [], 0
    for room, updated_at, begin in sent:
        for user in data.rooms[room]:
            heard = arrivals[user, str(room.pk)]
            position = bisect_left(heard, (updated_at,))
            if position < len(heard):
                times.append(1_000 * (heard[position][1] - begin))
            else:
                lost += 1
    for name, found in [("an event arrives", times), ("the send's response", responses)]:
        values = f"{median(found):.0f}, {quantiles(found, n=100)[-1]:.0f} ms"
        report(f"{len(tokens)} streams: {name}, median and 99th percentile", values, "100, 400 ms")
    report("the same, lost", lost, "0")


async def compare_clients(server, data, seconds):
    """The messages come from this process, so that their cost is not counted."""
    polling = await measure_clients(server, data, seconds, POLLING_CLIENTS, is_polling=True)
    for number in (POLLING_CLIENTS, STREAMING_CLIENTS):
        streaming = await measure_clients(server, data, seconds, number, is_polling=False)
        report("the same, times as many clients", f"{polling / streaming:.1f}", "10")


async def measure_clients(server, data, seconds, number, is_polling):
    """The processor's seconds for each client and minute."""
    from chats.services import send

    tokens, rooms = data.first(number)
    # Those who have the same conversation open have received the same messages.
    cursor = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    pages = {
        user: Page(server.port, tokens[user], room.pk, cursor)
        for room in rooms
        for user in data.rooms[room]
    }
    async with asyncio.TaskGroup() as group:

        def hear(user, *event):
            group.create_task(pages[user].hear(*event))

        async with open_streams(server.port, {} if is_polling else tokens, hear):
            polls = [group.create_task(page.poll()) for page in pages.values() if is_polling]
            await asyncio.sleep(2 * POLL_SECONDS)
            requests = sum(page.requests for page in pages.values())
            processor, begin = server.get_processor_seconds(), perf_counter()
            count = int(seconds * len(rooms) / SECONDS_BETWEEN_MESSAGES)
            for n in range(count):
                await asyncio.sleep(begin + n * seconds / count - perf_counter())
                await asyncio.to_thread(
                    send, rooms[n % len(rooms)], "Is it free?", actor=data.writer
                )
            await asyncio.sleep(begin + seconds - perf_counter())
            processor = server.get_processor_seconds() - processor
            requests = sum(page.requests for page in pages.values()) - requests
            await asyncio.sleep(POLL_SECONDS + 2)
            for poll in polls:
                poll.cancel()
    received = sum(len(page.received) for page in pages.values())
    if received != 4 * count:
        raise SystemExit(f"{received} of {4 * count} messages were received.")
    cost = 60 * processor / seconds / number
    name = f"{number:,} clients that {'poll' if is_polling else 'stream'}"
    report(name, f"{processor / seconds:.1%}")
    report("the same, each client and minute", f"{1_000 * cost:.1f} ms")
    report("the same, requests of a client in a minute", f"{60 * requests / seconds / number:.1f}")
    return cost


async def compare_sends(server, before, data, seconds):
    from benchmarks.operations import get_send

    tokens, rooms = data.first(LISTENERS)
    path = f"/api/conversations/{rooms[0].pk}/messages/"
    operation = get_send("send", data.writer, path)

    async def measure(server, connections):
        begin = server.get_processor_seconds()
        load = await asyncio.to_thread(server.load, operation, seconds, connections)
        return load.per_second, (server.get_processor_seconds() - begin) / len(load.times)

    for connections in (1, 8):
        for listeners in ({}, tokens):
            ratios = []
            for _ in range(ROUNDS):
                speed, cost = await measure(before, connections)
                async with open_streams(server.port, listeners):
                    await asyncio.sleep(1)
                    speed_with, cost_with = await measure(server, connections)
                ratios.append((speed_with / speed, cost / cost_with))
            name = f"sends on {connections} connections, {len(listeners)} streams"
            rate, processor = (median(column) for column in zip(*ratios, strict=True))
            report(f"{name}, relative to before: rate", f"{rate:.2f}", "0.95")
            report("the same by the processor's time", f"{processor:.2f}")


if __name__ == "__main__":
    main()
