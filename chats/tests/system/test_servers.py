"""A server with two processes: caches, clocks, idempotency, paging."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import pytest

from chats.tests.support.senders import send_until
from chats.tests.support.servers import bodies, in_processes


def send_many(person, conversation_id, name, count):
    """Sends in turn: the bodies."""
    sent = [f"{name} {n}" for n in range(count)]
    for body in sent:
        response = person.send(conversation_id, body)
        assert response.status_code == 201, response.text
    return sent


def send_once(person, conversation_id, body, key):
    response = person.send(conversation_id, body, key)
    return response.status_code, response.text, response.headers.get("Idempotent-Replayed")


def start_once(person, other, key):
    response = person.start(other, key=key)
    return response.status_code, response.text, response.headers.get("Idempotent-Replayed")


class TestCache:
    """Every process has a cache of its own; all of them are warm."""

    def test_page_comes_from_the_cache(self, server, people, conversation_id, path):
        alice, bob, *_ = people
        alice.send(conversation_id, "as sent")
        server.everywhere(lambda: alice.get(path))
        server.database.execute("UPDATE chats_message SET message_body = 'changed'")
        pages = server.everywhere(lambda: bob.get(path))
        assert {tuple(bodies(page["results"])) for page in pages} == {("as sent",)}

    @pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
    def test_every_process_returns_a_sent_message_at_once(
        self, server, people, conversation_id, path, flat
    ):
        alice, bob, *_ = people
        path = "/messages/" if flat else path
        sent = []
        for n in range(5):
            sent.insert(0, f"{n}")
            assert bob.send(conversation_id, f"{n}").status_code == 201
            pages = server.everywhere(lambda: alice.get(path))
            assert {tuple(bodies(page["results"])) for page in pages} == {tuple(sent)}

    def test_every_process_refuses_a_former_participant_at_once(
        self, server, people, conversation_id, path
    ):
        alice, bob, *_ = people
        alice.send(conversation_id, "Hello")
        for url in (path, "/messages/"):
            assert all(page["results"] for page in server.everywhere(lambda url=url: bob.get(url)))
        assert bob.leave(conversation_id).status_code == 204
        responses = server.everywhere(lambda: bob.call("GET", path))
        assert {response.status_code for response in responses} == {404}
        pages = server.everywhere(lambda: bob.get("/messages/"))
        assert not any(page["results"] for page in pages)


class TestClock:
    @pytest.mark.parametrize("start", [None, "2099-12-31 00:00:00"], ids=["now", "2099"])
    def test_240_concurrent_sends_have_strictly_increasing_times(
        self, server, people, conversation_id, path, start
    ):
        if start:
            server.database.execute("UPDATE chats_conversation SET updated_at = %s", [start])
        calls = [(person, conversation_id, f"{n}", 15) for n, person in enumerate(people)]
        in_processes(send_many, calls, threads=4)
        rows = people[0].everything(path, ordering="sent_at", page_size=100)
        assert len(rows) == 240
        times = [row["sent_at"] for row in rows]
        assert all(earlier < later for earlier, later in pairwise(times))
        assert not start or times[0] > "2099-12-31"
        detail = people[0].get(f"/conversations/{conversation_id}/")
        assert detail["updated_at"] == times[-1]

    def test_follower_gets_every_message_once(self, people, conversation_id, path):
        done, seen = Event(), []

        def follow(person):
            finished = False
            while not finished:
                # The last list is requested after the last message was sent.
                finished = done.is_set()
                parameters = {"sent_at_after": seen[-1]["sent_at"]} if seen else {}
                seen.extend(person.everything(path, ordering="sent_at", **parameters))

        with ThreadPoolExecutor(1) as pool:
            follower = pool.submit(follow, people[0])
            try:
                calls = [(person, conversation_id, f"{n}", 10) for n, person in enumerate(people)]
                sent = in_processes(send_many, calls, threads=4)
            finally:
                done.set()
            follower.result()
        rows = people[0].everything(path, ordering="sent_at", page_size=100)
        assert seen == rows
        assert sorted(bodies(seen)) == sorted(body for thread in sent for body in thread)


@pytest.mark.once
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=hex",
        "application/json;CHARSET=utf-16",
        "application/json; charset=nonsense",
        "application/json; x=1; charset =idna",
        "application/json; charset*0=he; charset*1=x",
        "application/json; x*=nonsense'en'a",
    ],
)
def test_content_type_that_django_cannot_decode_is_ignored(server, content_type):
    """Before any middleware it would be a 500. JSON is UTF-8 whatever it says (RFC 8259)."""
    headers = {"Content-Type": content_type}
    for body, status in [
        ('{"token": "ä"}'.encode(), 401),
        ('{"token": "ä"}'.encode("utf-16"), 400),
    ]:
        response = server.request("POST", "/api/token/verify/?a=%41", data=body, headers=headers)
        assert response.status_code == status


def test_adding_a_participant_while_leaving_succeeds_or_is_a_404(people, conversation_id):
    alice, bob, _, dora = people
    seen = set()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            adding = [pool.submit(bob.add, conversation_id, dora) for _ in range(3)]
            assert bob.leave(conversation_id).status_code == 204
            seen |= {response.result().status_code for response in adding}
            assert alice.add(conversation_id, bob).status_code == 200
    assert seen <= {200, 404}


class TestIdempotency:
    def test_one_of_24_racing_sends_is_new(self, server, people, conversation_id, path):
        alice = people[0]
        for key in ("one", "two", "three"):
            call = (alice, conversation_id, f"Body of {key}", key)
            responses = in_processes(send_once, [call] * 4, threads=6)
            assert sorted(status for status, _, _ in responses) == [200] * 23 + [201]
            assert len({text for _, text, _ in responses}) == 1
            assert [replayed for status, _, replayed in responses if status == 201] == [None]
            assert {replayed for status, _, replayed in responses if status == 200} == {"true"}
        before = alice.everything(path)
        assert sorted(bodies(before)) == ["Body of one", "Body of three", "Body of two"]
        server.restart()
        status, text, replayed = send_once(alice, conversation_id, "Body of one", "one")
        assert (status, replayed) == (200, "true")
        assert json.loads(text) in before
        assert alice.send(conversation_id, "Another body", "one").status_code == 422
        assert alice.everything(path) == before

    def test_one_of_24_racing_starts_is_new(self, server, people):
        alice, bob, *_ = people
        responses = in_processes(start_once, [(alice, bob, "key")] * 4, threads=6)
        assert sorted(status for status, _, _ in responses) == [200] * 23 + [201]
        assert len({text for _, text, _ in responses}) == 1
        server.restart()
        again = start_once(alice, bob, "key")
        assert again == (200, responses[0][1], "true")
        assert len(alice.everything("/conversations/")) == 1


def test_acknowledged_message_survives_kill_9_and_exists_once(
    server, people, conversation_id, path
):
    expected = {}
    for round_ in range(3):
        before = len(expected)
        with ThreadPoolExecutor(len(people)) as pool:
            # They are not told to stop: each ends with the request that gets no response.
            senders = [
                pool.submit(send_until, person, conversation_id, f"{round_} {n}", Event())
                for n, person in enumerate(people)
            ]
            try:
                while len(people[0].everything(path, page_size=100)) < before + 30:
                    pass
            finally:
                server.kill()
        results = [sender.result() for sender in senders]
        assert all(result.lost and not result.refused for result in results)
        server.start()
        for person, result in zip(people, results, strict=True):
            response = person.send(conversation_id, result.lost, key=result.lost)
            # The server may have written it before it was killed.
            assert response.status_code in {200, 201}, response.text
            expected |= result.acknowledged | {result.lost: response.json()["message_id"]}
        rows = people[0].everything(path, page_size=100)
        assert len(rows) == len(expected)
        assert {row["message_body"]: row["message_id"] for row in rows} == expected


def test_participant_who_left_sends_no_message(people, conversation_id, path):
    """Bob's leaving is the last thing that moved the clock, however many sends of his wait."""
    alice, bob, *_ = people

    def send_until_refused():
        while (status := bob.send(conversation_id, "Still here").status_code) == 201:
            sent.set()
        return status

    for _ in range(10):
        sent = Event()
        with ThreadPoolExecutor(6) as pool:
            senders = [pool.submit(send_until_refused) for _ in range(6)]
            sent.wait(60)
            assert bob.leave(conversation_id).status_code == 204
        assert [sender.result() for sender in senders] == [404] * 6
        detail = alice.get(f"/conversations/{conversation_id}/")
        assert detail["last_message"]["sent_at"] < detail["updated_at"]
        assert alice.add(conversation_id, bob).status_code == 200


@pytest.mark.parametrize("ordering", ["sent_at", "-sent_at"])
@pytest.mark.parametrize("page_size", [1, 7])
@pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
def test_paging_while_others_send_shows_every_old_message_once(
    people, conversation_id, path, page_size, ordering, flat
):
    alice, *others = people
    old = {alice.send(conversation_id, f"Old {n}").json()["message_id"] for n in range(40)}
    stop = Event()
    with ThreadPoolExecutor(len(others)) as pool:
        senders = [
            pool.submit(send_until, person, conversation_id, f"{n}", stop)
            for n, person in enumerate(others)
        ]
        try:
            # Newest first, the walk ends; oldest first, it would chase the writers.
            page = alice.get("/messages/" if flat else path, page_size=page_size, ordering=ordering)
            seen = [row["message_id"] for row in page["results"]]
            while page["next"] and not old <= set(seen):
                page = alice.get(page["next"])
                seen += [row["message_id"] for row in page["results"]]
        finally:
            stop.set()
    results = [sender.result() for sender in senders]
    assert any(result.acknowledged for result in results)
    assert not any(result.refused for result in results)
    assert len(seen) == len(set(seen))
    assert old <= set(seen)
