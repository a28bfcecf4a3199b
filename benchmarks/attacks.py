"""`python -m benchmarks.attacks`: how long sends take while another user sends expensive requests.

Each attack is one user on twelve connections. Another user sends one message after another, before
the attack and during it. The memory is that of the worker that has most, before the attack and
three seconds after it.
"""

import argparse
import os
import time
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing import Process, Queue
from statistics import median
from tempfile import TemporaryDirectory

import django

from benchmarks.load import Connection, run
from benchmarks.server import environment, serve, serve_commit

CONNECTIONS = 12
SECONDS = 8
# Four bytes each, or six in JSON.
WIDE, ESCAPED = "😀", "\x01"


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--database", help="the URL of an empty database")
    parser.add_argument("--before", help="a commit that takes turns with this version")
    parser.add_argument("--only", nargs="+", default=[""], help="attacks whose names contain these")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        url = options.database or f"sqlite:///{folder}/attacks.sqlite3"
        os.environ.update(environment(url))
        django.setup()
        attacks, send = prepare()
        for name, attack in attacks.items():
            if not any(part in name for part in options.only):
                continue
            if options.before:
                with serve_commit(options.before, "docker/serve", url) as server:
                    report(f"{name}, before", server, attack, send)
            with serve(url) as server:
                report(name, server, attack, send)


def prepare():
    """Fill the database. Return the attacks by name, and the operation of the user who sends."""
    from django.core.management import call_command

    from benchmarks.data import BEGIN, make_history, make_users
    from benchmarks.operations import Operation
    from chats.management.commands.make_data import (
        analyze,
        make_conversations,
        make_people,
        mark_everything_as_read,
        move_clocks_to_last_messages,
    )
    from chats.models import Participation, User
    from chats.services import leave, start_distinct

    call_command("migrate", verbosity=0)
    mallory, rare, alice, bob = make_users("mallory", "rare", "alice", "bob")
    crowd = make_people(
        User(email=f"{n}@example.com", first_name=WIDE * 150, last_name=WIDE * 150)
        for n in range(254)
    )
    make_conversations([[mallory, *crowd]] * 100, BEGIN)
    [escaped] = make_history([mallory, bob], 1, 100, text=ESCAPED * 9_990)
    [long] = make_history([mallory, bob, rare], 1, 200_000)
    move_clocks_to_last_messages()
    mark_everything_as_read()
    own, many, leaver = make_users("own", "many", "leaver")
    make_history([own], 20, 600, text=WIDE * 9_990)
    move_clocks_to_last_messages()
    Participation.objects.filter(user=own).update(read_at=BEGIN - timedelta(1))
    make_conversations([[many, *crowd, bob]] * 1_000, BEGIN)
    everybody = {user.pk for user in [*crowd, bob]}
    for _ in range(100):
        conversation, _ = start_distinct(everybody - {leaver.pk}, actor=leaver)
        leave(conversation, actor=leaver)
    start_distinct(everybody, actor=leaver)
    [friendly] = make_conversations([[alice, bob]], BEGIN)
    analyze()
    conversations, late = "/api/conversations/", "created_at_after=1970-01-01T00:00:00.{n}Z"
    sent = "sent_at_after=1970-01-01T00:00:00.{n}Z"
    names = "&".join(f"participants={user.pk}" for user in crowd[:16])
    distinct = {"participants": [str(pk) for pk in everybody], "distinct": True, "title": "{n}"}
    attacks = {
        "inbox of long names": Operation("", f"{conversations}?page_size=100", mallory),
        "the same, never cached": Operation("", f"{conversations}?page_size=100&{late}", mallory),
        "page of long messages": Operation(
            "", f"{conversations}{escaped.pk}/messages/?page_size=100&{sent}", mallory
        ),
        "unread own messages": Operation("", f"{conversations}?{late}", own),
        "contacts of 1,000 conversations": Operation("", "/api/users/?page_size=100", many),
        "16 participants": Operation("", f"{conversations}?{names}&{late}", many),
        "messages of nobody": Operation(
            "", f"{conversations}{long.pk}/messages/?sender={alice.pk}&{sent}", mallory
        ),
        "distinct, after leaving 100 times": Operation("", conversations, leaver, distinct),
    }
    body = {"message_body": "Hello"}
    path = f"{conversations}{friendly.pk}/messages/"
    return attacks, Operation("send", path, alice, body, 201)


def report(name, server, attack, send):
    calm = time_sends(server, send)
    before = server.get_memory()[-1]
    statuses = Queue()
    attacker = Process(target=run_attack, args=(server.port, attack.get_requests(server), statuses))
    attacker.start()
    time.sleep(1)
    disturbed = time_sends(server, send)
    found = statuses.get()
    attacker.join()
    time.sleep(3)
    ratio = round(median(disturbed) / median(calm), 1)
    times = [f"{1000 * value:.0f}" for value in (median(calm), median(disturbed), max(disturbed))]
    print(f"{name:45}", *times, ratio, before, server.get_memory()[-1], dict(found), sep=" | ")


def time_sends(server, send):
    return run([Connection(server.port)], send.get_requests(server), SECONDS / 2).times


def run_attack(port, get_request, statuses):
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    statuses.put(run(connections, get_request, SECONDS).statuses)


if __name__ == "__main__":
    main()
