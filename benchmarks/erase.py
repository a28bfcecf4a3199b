"""`python -m benchmarks.erase`: erase somebody in many conversations while others send.

`--url` is the URL of an empty database, as in DATABASE_URL. It is migrated first.
"""

import argparse
import multiprocessing
import os
import statistics
from time import perf_counter

import django

SENDERS = 4


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.erase", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--conversations", type=int, default=16_000)
    options = parser.parse_args()
    os.environ["DATABASE_URL"] = options.url
    set_up()
    people = prepare(options.conversations)
    context = multiprocessing.get_context("spawn")
    begin, end, results = context.Barrier(SENDERS + 1), context.Event(), context.Queue()
    senders = [
        context.Process(target=send_until, args=(n, begin, end, results)) for n in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    begin.wait()
    from chats.services import erase

    started = perf_counter()
    erase(people["many"])
    seconds = perf_counter() - started
    end.set()
    waits = sorted(wait for _ in senders for wait in results.get())
    for sender in senders:
        sender.join()
    print(f"Erased from {options.conversations} conversations in {seconds:.1f} s.")
    print(
        f"Meanwhile {len(waits)} messages were sent by {SENDERS} processes: median "
        f"{1000 * statistics.median(waits):.0f} ms, longest {1000 * waits[-1]:.0f} ms."
    )


def set_up():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")
    os.environ.setdefault("SECRET_KEY", "only-for-benchmarks-" + "0" * 40)
    django.setup()


def prepare(count):
    from django.core.management import call_command

    from chats.models import Conversation, Participation, User
    from chats.services import start

    call_command("migrate", verbosity=0)
    names = ["many", "other", *(f"sender{n}" for n in range(SENDERS))]
    people = {
        name: User.objects.create_user(f"{name}@example.com", first_name=name, last_name="Test")
        for name in names
    }
    conversations = Conversation.objects.bulk_create(
        [Conversation() for _ in range(count)], batch_size=1_000
    )
    Participation.objects.bulk_create(
        (
            Participation(conversation=conversation, user=people[name])
            for conversation in conversations
            for name in ("many", "other")
        ),
        batch_size=1_000,
    )
    for n in range(SENDERS):
        start({people["other"].pk}, actor=people[f"sender{n}"])
    return people


def send_until(n, begin, end, results):
    set_up()
    from chats.models import User
    from chats.services import send

    sender = User.objects.get(first_name=f"sender{n}")
    conversation = sender.conversations.get()
    send(conversation, "Hello", actor=sender)
    waits = []
    begin.wait()
    while not end.is_set():
        started = perf_counter()
        send(conversation, "Hello", actor=sender)
        waits.append(perf_counter() - started)
    results.put(waits)


if __name__ == "__main__":
    main()
