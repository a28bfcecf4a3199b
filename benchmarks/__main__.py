"""`python -m benchmarks`: make the data, measure, and write the results.

Each headline operation takes turns with the yardstick: a fresh Django project under gunicorn, with
a view that returns as many bytes. The result is the ratio of the two, because machines differ.
"""

import argparse
import json
import os
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

import django

from benchmarks.server import environment, serve, serve_commit, serve_yardstick

FOLDER = Path(__file__).resolve().parent
SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 10
SEND_CONNECTIONS = (8, 32)
# Percentiles need many responses: rounds, and how many times as long as the other loads.
SEND_ROUNDS, SEND_FACTOR = 5, 15
POSTGRES = "postgres://postgres@127.0.0.1:5432/benchmarks"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--postgres", default=POSTGRES, help="the URL of that database")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each load lasts")
    parser.add_argument(
        "--only", nargs="+", default=[""], help="measure only operations whose names contain these"
    )
    parser.add_argument("--before", help="a commit that takes turns with this version")
    parser.add_argument(
        "--before-command", default="docker/serve", help="what serves that commit at $PORT"
    )
    options = parser.parse_args()
    url = prepare(options)
    with ExitStack() as stack:
        servers = {"now": stack.enter_context(serve(url))}
        memory = servers["now"].get_memory()
        if options.before:
            before = serve_commit(options.before, options.before_command, url)
            servers["before"] = stack.enter_context(before)
        yardstick = stack.enter_context(serve_yardstick())
        results = measure(servers, yardstick, options)
    if options.only != [""]:
        return
    results["memory"] = {"the start": memory, **results["memory"]}
    with serve(url) as server:
        results["memory"] |= measure_worst_pages(server)
    path = FOLDER / f"results.{options.database}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


def prepare(options):
    """Fill the database if it is empty. Return its URL."""
    urls = {"sqlite": f"sqlite:///{FOLDER}/data.sqlite3", "postgres": options.postgres}
    url = urls[options.database]
    os.environ.update(environment(url))
    django.setup()
    from django.core.management import call_command

    from benchmarks import data, operations
    from chats.models import Conversation

    call_command("migrate", verbosity=0)
    if not Conversation.objects.exists():
        data.make(options.sizes)
    data.forget_sends()
    operations.commit_without_waiting()
    return url


def measure(servers, yardstick, options):
    from benchmarks.operations import get_growing, get_headlines

    def is_chosen(name):
        return any(part in name for part in options.only)

    server, seconds = servers["now"], options.seconds
    headlines = [each for each in get_headlines() if is_chosen(each.name)]
    growing = {
        name: chosen
        for name, family in get_growing(options.sizes).items()
        if (chosen := {k: each for k, each in family.items() if is_chosen(f"{k}: {name}")})
    }
    sends = [n for n in SEND_CONNECTIONS if is_chosen(f"{n} connections: send")]
    return {
        "headlines": {each.name: compare(servers, yardstick, each, seconds) for each in headlines},
        "growth": {name: grow(server, name, growing[name], seconds) for name in growing},
        "sends": time_sends(server, sends, SEND_FACTOR * seconds),
        "memory": {"all operations": server.get_memory()},
    }


def compare(servers, yardstick, operation, seconds):
    """Requests a second of each server, and their ratio to those of the yardstick.

    Of these, the 90th percentile of the rounds counts: gunicorn often gives nearly all connections
    to one of its processes.
    """
    bare, bare_rates = operation.get_yardstick(servers["now"]), []
    rates = {label: [] for label in servers}
    for _ in range(ROUNDS):
        bare_rates.append(yardstick.load(bare, seconds).per_second)
        for label, server in servers.items():
            rates[label].append(server.load(operation, seconds).per_second)
    bare_rate = quantiles(bare_rates, n=10)[-1]
    result = {"yardstick": round(bare_rate)}
    for label in servers:
        rate = median(rates[label])
        result[label] = {"per_second": round(rate), "ratio": round(rate / bare_rate, 3)}
    print(f"{operation.name:50}", result, flush=True)
    return result


def grow(server, name, family, seconds):
    """The median milliseconds for each caller. They share a round, to be comparable."""
    rounds = [
        {label: median(server.load(each, seconds).times) for label, each in family.items()}
        for _ in range(ROUNDS)
    ]
    result = {label: round(1000 * median(r[label] for r in rounds), 2) for label in family}
    print(f"{name:50}", result, flush=True)
    return result


def time_sends(server, connections, seconds):
    """Throughput and percentiles, in milliseconds, by the number of connections."""
    from benchmarks.operations import find, get_send

    user, _, path = find("inbox")
    send = get_send("send", user, path)
    loads = {n: [] for n in connections}
    for _ in range(SEND_ROUNDS):
        for n in connections:
            loads[n].append(server.load(send, seconds, connections=n))
    results = {}
    for n in connections:
        times = [1000 * time for load in loads[n] for time in load.times]
        results[n] = {
            "per_second": round(median(load.per_second for load in loads[n])),
            "median_ms": round(median(times), 1),
            "percentile_99_ms": round(quantiles(times, n=100)[-1], 1),
        }
        print(f"{n} connections: {'send':35}", *results[n].values(), flush=True)
    return results


def measure_worst_pages(server):
    """MiB of each worker after requests for the largest pages, all different, with messages of
    10,000 characters."""
    from benchmarks.operations import FILTER, Operation, find

    user, _, path = find("long")
    server.load(Operation("largest", f"{path}?page_size=100&{FILTER}", user), 20)
    return {"the largest pages": server.get_memory()}


if __name__ == "__main__":
    main()
