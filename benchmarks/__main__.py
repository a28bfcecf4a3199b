"""`python -m benchmarks`: make the data, measure, and write the results.

Each operation takes turns with a bare view, which returns as many bytes behind the same middleware.
The result is the ratio of the two, because machines differ.
"""

import argparse
import json
import os
import statistics
from pathlib import Path

import django

from benchmarks.server import Server, environment

FOLDER = Path(__file__).resolve().parent
SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 10
NEVER_THE_SAME = "sent_at_after=1970-01-01T00:00:00.{n}Z"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--postgres", default="postgres://postgres@127.0.0.1:5432/benchmarks")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each load lasts")
    parser.add_argument(
        "--only", default="", help="measure only operations whose names contain this"
    )
    options = parser.parse_args()
    urls = {"sqlite": f"sqlite:///{FOLDER}/data.sqlite3", "postgres": options.postgres}
    url = urls[options.database]
    os.environ.update(environment(url))
    django.setup()
    people = prepare(options.sizes)
    with Server(url) as server, Server(url, PAST_THE_CACHE="yes") as past_the_cache:
        results = measure(server, past_the_cache, people, options)
    if options.only:
        return
    with Server(url) as server:
        results["worst_pages_mib"] = measure_worst_pages(server, people["long"])
    path = FOLDER / f"results.{options.database}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")


def prepare(sizes):
    """Fill the database if it is empty. Return an access token for each person, by name."""
    from django.core.management import call_command
    from rest_framework_simplejwt.settings import api_settings
    from rest_framework_simplejwt.tokens import AccessToken

    from benchmarks import data
    from chats.models import Conversation, User

    call_command("migrate", verbosity=0)
    if not Conversation.objects.exists():
        data.make(sizes)
    data.forget_sends()
    day = 24 * api_settings.ACCESS_TOKEN_LIFETIME
    people = {}
    for user in User.objects.exclude(email__startswith="companion"):
        token = AccessToken.for_user(user)
        token.set_exp(lifetime=day)
        people[user.email.partition("@")[0]] = str(token)
    return people


def get_operations(server, people):
    """The arguments of `Server.load()` for each operation, by name."""
    operations = {}

    def add(name, person, path, method="GET", **arguments):
        operations[name] = {
            "method": method,
            "path": path,
            "token": people.get(person),
            **arguments,
        }

    def add_pages(name, person, path):
        headers, _ = server.get(path, people[person])
        add(f"{name}, cached", person, path)
        add(f"{name}, 304", person, path, headers={"If-None-Match": headers["ETag"]})
        add(f"{name}, past the cache", person, path)
        add(f"{name}, filtered", person, f"{path}?{NEVER_THE_SAME}")
        if cursor := get_middle_cursor(server, people[person], path):
            add(f"{name}, middle, cached", person, f"{path}?cursor={cursor}")
            add(f"{name}, middle, past the cache", person, f"{path}?cursor={cursor}")

    sends = {}
    for person in people:
        kind, _, number = person.partition(".")
        if kind not in {"size", "many", "old"}:
            continue
        label = {"size": f"{number} messages", "many": f"{number} conversations"}.get(kind, "old")
        path = get_newest_conversation(server, people[person])
        add_pages(f"{label}: message list", person, f"{path}messages/")
        add_pages(f"{label}: flat list", person, "/api/messages/")
        add(f"{label}: conversation list", person, "/api/conversations/")
        add(f"{label}: conversation detail", person, path)
        sends[f"{label}: send"] = person, f"{path}messages/"
    # Sends come last, because they move the clocks and change the pages.
    for name, (person, path) in sends.items():
        add(name, person, path, method="POST", body={"message_body": "Is it {n}?"})
    credentials = {"email": "companion.0@example.com", "password": "tide over the moor"}
    add("sign-in", None, "/api/token/", method="POST", body=credentials)
    return operations


def get_newest_conversation(server, token):
    """The path of the conversation with the latest activity."""
    _, body = server.get("/api/conversations/", token)
    return f"/api/conversations/{json.loads(body)['results'][0]['conversation_id']}/"


def get_middle_cursor(server, token, path):
    """The cursor of a page in the middle of the list's time, or None."""
    ends = []
    for ordering in ("sent_at", "-sent_at"):
        _, body = server.get(f"{path}?ordering={ordering}&page_size=1", token)
        ends.append(json.loads(body)["results"][0]["sent_at"])
    begin, end = (django.utils.dateparse.parse_datetime(moment) for moment in ends)
    middle = (begin + (end - begin) / 2).isoformat().replace("+00:00", "Z")
    _, body = server.get(f"{path}?sent_at_before={middle}", token)
    following = json.loads(body)["next"]
    return following and following.partition("cursor=")[2].partition("&")[0]


def measure(server, past_the_cache, people, options):
    """Operations that differ only in size share a round, so that they can be compared too."""
    families = {}
    for name, operation in get_operations(server, people).items():
        if options.only in name:
            families.setdefault(name.rpartition(": ")[2], {})[name] = operation
    operations, memory = {}, {}
    for kind, family in families.items():
        if kind == "sign-in":
            memory["memory_mib"] = server.get_memory()
        sizes = {name: get_size(server, operation) for name, operation in family.items()}
        rounds = {name: [] for name in family}
        target = past_the_cache if kind.endswith("past the cache") else server
        for _ in range(ROUNDS):
            for name, operation in family.items():
                bare = {"method": "GET", "path": f"/api/bare/{sizes[name]}/"}
                bare["token"] = operation["token"]
                pair = [target.load(**load, seconds=options.seconds) for load in (bare, operation)]
                rounds[name].append(pair)
        for name in family:
            operations[name] = summarize(name, rounds[name]) | {"bytes": sizes[name]}
    memory["memory_with_sign_in_mib"] = server.get_memory()
    return {"operations": operations, **memory}


def summarize(name, rounds):
    statuses = {status for _, load in rounds for status in load["statuses"]}
    expected = {"304": "304", "send": "201"}.get(name.split()[-1], "200")
    if statuses != {expected}:
        raise SystemExit(f"{name} returned {statuses}, not {expected}.")
    result = {
        "ratio": statistics.median(b["per_second"] / a["per_second"] for a, b in rounds),
        "per_second": statistics.median(b["per_second"] for _, b in rounds),
        "median_ms": statistics.median(b["median"] for _, b in rounds),
        "bare_median_ms": statistics.median(a["median"] for a, _ in rounds),
    }
    print(
        f"{name:55} {result['ratio']:6.3f} {result['per_second']:7.0f}/s "
        f"{result['median_ms']:7.2f} ms (bare {result['bare_median_ms']:.2f} ms)",
        flush=True,
    )
    return result


def measure_worst_pages(server, token):
    """MiB of each worker before and after requests for the largest pages that are stored, all
    different, with messages of 10,000 characters. Requests for pages ten times as large, which are
    not stored, come before both figures."""
    path = f"{get_newest_conversation(server, token)}messages/"
    too_large = f"{path}?page_size=100&{NEVER_THE_SAME}"
    stored = f"{path}?page_size=6&{NEVER_THE_SAME}"
    server.load("GET", too_large, 5, token)
    before = server.get_memory()
    server.load("GET", stored, 20, token)
    server.load("GET", too_large, 5, token)
    return {"before": before, "after": server.get_memory()}


def get_size(server, operation):
    if operation["method"] == "POST":
        return 300
    if operation.get("headers"):
        return 0
    return len(server.get(operation["path"].replace("{n}", "000000"), operation["token"])[1])


if __name__ == "__main__":
    main()
