"""`python -m benchmarks`: makes the data, measures, and writes the results.

Each operation is measured in turn with a bare view that answers with as many bytes behind the same
middleware; what counts is the ratio of the two, since machines and their neighbours differ.
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


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--postgres", default="postgres://postgres@127.0.0.1:5432/benchmarks")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each of the ten rounds")
    parser.add_argument("--only", default="", help="operations whose names contain this")
    options = parser.parse_args()
    urls = {"sqlite": f"sqlite:///{FOLDER}/data.sqlite3", "postgres": options.postgres}
    url = urls[options.database]
    os.environ.update(environment(url))
    django.setup()
    people = prepare(options.sizes)
    server = Server(url)
    try:
        results = measure(server, people, options)
        results["memory_mib"] = server.get_memory()
    finally:
        server.stop()
    results["memory_mib"] = [round(mib) for mib in results["memory_mib"]]
    if not options.only:
        path = FOLDER / f"results.{options.database}.json"
        path.write_text(json.dumps(results, indent=1) + "\n")


def prepare(sizes):
    """Tokens by person, from a database that is filled if it is empty."""
    from django.core.management import call_command
    from rest_framework_simplejwt.settings import api_settings
    from rest_framework_simplejwt.tokens import AccessToken

    from benchmarks import data
    from chats.models import Conversation, User

    call_command("migrate", verbosity=0)
    if not Conversation.objects.exists():
        data.make(sizes)
    day = 24 * api_settings.ACCESS_TOKEN_LIFETIME
    people = {}
    for user in User.objects.exclude(email__startswith="companion"):
        token = AccessToken.for_user(user)
        token.set_exp(lifetime=day)
        people[user.email.partition("@")[0]] = str(token)
    return people


def get_operations(server, people):
    """By name: the arguments of `Server.load()`."""
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
        past = "sent_at_after=1970-01-01T00:00:00.{n}Z"
        add(f"{name}, past the cache", person, f"{path}?{past}")
        if cursor := get_middle_cursor(server, people[person], path):
            add(f"{name}, middle, cached", person, f"{path}?cursor={cursor}")
            add(f"{name}, middle, past the cache", person, f"{path}?cursor={cursor}&{past}")

    for person in people:
        kind, _, number = person.partition(".")
        if kind not in {"size", "many", "old"}:
            continue
        label = {"size": f"{number} messages", "many": f"{number} conversations"}.get(kind, "old")
        _, body = server.get("/api/conversations/", people[person])
        newest = json.loads(body)["results"][0]
        path = f"/api/conversations/{newest['conversation_id']}/"
        add_pages(f"{label}: message list", person, f"{path}messages/")
        add_pages(f"{label}: flat list", person, "/api/messages/")
        add(f"{label}: conversation list", person, "/api/conversations/")
        add(f"{label}: conversation detail", person, path)
        send = {"method": "POST", "body": {"message_body": "Is it {n}?"}}
        add(f"{label}: send", person, f"{path}messages/", **send)
    credentials = {"email": "companion.0@example.com", "password": "tide over the moor"}
    add("sign-in", None, "/api/token/", method="POST", body=credentials)
    return operations


def get_middle_cursor(server, token, path):
    """Of the page in the middle of the time that the list is about."""
    ends = []
    for ordering in ("sent_at", "-sent_at"):
        _, body = server.get(f"{path}?ordering={ordering}&page_size=1", token)
        ends.append(json.loads(body)["results"][0]["sent_at"])
    begin, end = (django.utils.dateparse.parse_datetime(moment) for moment in ends)
    middle = (begin + (end - begin) / 2).isoformat().replace("+00:00", "Z")
    _, body = server.get(f"{path}?sent_at_before={middle}", token)
    following = json.loads(body)["next"]
    return following and following.partition("cursor=")[2].partition("&")[0]


def measure(server, people, options):
    operations = get_operations(server, people)
    results = {}
    for name, operation in operations.items():
        if options.only not in name:
            continue
        rounds = []
        size = get_size(server, operation)
        bare = {"method": "GET", "path": f"/api/bare/{size}/", "token": operation["token"]}
        for _ in range(ROUNDS):
            pair = [server.load(**load, seconds=options.seconds) for load in (bare, operation)]
            rounds.append(pair)
        statuses = {status for _, answer in rounds for status in answer["answers"]}
        if not statuses <= {"200", "201", "304"}:
            raise SystemExit(f"{name} was answered with {statuses}.")
        results[name] = {
            "ratio": statistics.median(b["per_second"] / a["per_second"] for a, b in rounds),
            "per_second": statistics.median(b["per_second"] for _, b in rounds),
            "median_ms": statistics.median(b["median"] for _, b in rounds),
            "bare_median_ms": statistics.median(a["median"] for a, _ in rounds),
            "bytes": size,
        }
        result = results[name]
        print(
            f"{name:55} {result['ratio']:6.3f} {result['per_second']:7.0f}/s "
            f"{result['median_ms']:7.2f} ms (bare {result['bare_median_ms']:.2f} ms)",
            flush=True,
        )
    return {"operations": results}


def get_size(server, operation):
    if operation["method"] == "POST":
        return 300
    if operation.get("headers"):
        return 0
    return len(server.get(operation["path"].replace("{n}", "000000"), operation["token"])[1])


if __name__ == "__main__":
    main()
