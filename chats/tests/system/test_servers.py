"""What holds with several server processes: the tests here use a real server with two."""

import json
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from threading import Event

import pytest
import requests
from django.conf import settings

from chats.tests.support.servers import PASSWORD, RESPONSE_SECONDS, in_processes, manage


def bodies(rows):
    return [row["message_body"] for row in rows]


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

    def test_a_page_comes_from_the_cache(self, server, people, conversation_id, path):
        alice, bob, *_ = people
        alice.send(conversation_id, "as sent")
        server.everywhere(lambda: alice.get(path))
        server.database.execute("UPDATE chats_message SET message_body = 'changed'")
        pages = server.everywhere(lambda: bob.get(path))
        assert {tuple(bodies(page["results"])) for page in pages} == {("as sent",)}

    @pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
    def test_every_process_sees_a_send_at_once(self, server, people, conversation_id, path, flat):
        alice, bob, *_ = people
        path = "/messages/" if flat else path
        sent = []
        for n in range(5):
            sent.insert(0, f"{n}")
            assert bob.send(conversation_id, f"{n}").status_code == 201
            pages = server.everywhere(lambda: alice.get(path))
            assert {tuple(bodies(page["results"])) for page in pages} == {tuple(sent)}

    def test_every_process_refuses_one_who_has_left_at_once(
        self, server, people, conversation_id, path
    ):
        alice, bob, *_ = people
        alice.send(conversation_id, "Hello")
        for url in (path, "/messages/"):
            assert all(page["results"] for page in server.everywhere(lambda url=url: bob.get(url)))
        assert bob.call("POST", f"/conversations/{conversation_id}/leave/").status_code == 204
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

    def test_a_follower_misses_nothing_and_gets_nothing_twice(self, people, conversation_id, path):
        done, seen = Event(), []

        def follow(person):
            finished = False
            while not finished:
                # Whatever was sent before this is in what comes after it.
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


def post(url, body):
    response = requests.post(url, json=body, timeout=RESPONSE_SECONDS)
    return response.status_code, response.text


def race(server, tokens, threads=6):
    """Status and refresh token of each response, while a process for each token refreshes it."""
    calls = [(f"{server.url}/token/refresh/", {"refresh": token}) for token in tokens]
    responses = in_processes(post, calls, threads)
    assert {status for status, _ in responses} <= {200, 401}
    return [(status, json.loads(text).get("refresh")) for status, text in responses]


def get_accepted(server, tokens):
    responses = [post(f"{server.url}/token/verify/", {"token": token}) for token in tokens]
    return [token for token, (status, _) in zip(tokens, responses, strict=True) if status == 200]


class TestAccounts:
    def test_of_24_racing_registrations_one_succeeds(self, server):
        body = {"password": PASSWORD, "first_name": "Eve", "last_name": "Test"}
        calls = [
            (f"{server.url}/users/", body | {"email": email})
            for email in (
                "eve@example.com",
                "EVE@example.com",
                "Eve@Example.com",
                "eVe@example.COM",
            )
        ]
        responses = in_processes(post, calls, threads=6)
        assert sorted(status for status, _ in responses) == [201] + [400] * 23
        refusals = {text for status, text in responses if status == 400}
        assert refusals == {'{"email":["A user with this e-mail address already exists."]}'}

    def test_24_racing_uses_of_a_refresh_token_get_the_same_successor(self, server, people):
        for person in people:
            [successor] = {refresh for _, refresh in race(server, [person.refresh] * 4)}
            [after] = {refresh for _, refresh in race(server, [successor] * 4)}
            assert get_accepted(server, [person.refresh, successor, after]) == [successor, after]

    def test_racing_uses_of_a_token_and_its_successor_leave_one_session_or_none(
        self, server, people
    ):
        for person in people:
            [(_, successor)] = race(server, [person.refresh], threads=1)
            responses = race(server, [person.refresh, successor] * 2)
            # The first token came back before the successor was used, or after it.
            is_ended = any(status == 401 for status, _ in responses)
            [after] = {refresh for _, refresh in responses} - {successor, None}
            accepted = [] if is_ended else [successor, after]
            assert get_accepted(server, [person.refresh, successor, after]) == accepted

    def test_racing_sign_ins_do_not_pass_uncounted(self, server):
        """Across processes where they share a Redis; local memory counts for one process."""
        processes = (2, 4) if settings.CACHE_URL else (1, 8)
        server.restart(*processes, THROTTLE_SIGN_IN="10/hour")
        call = (f"{server.url}/token/", {"email": "nobody@example.com", "password": "wrong"})
        responses = in_processes(post, [call] * 4, threads=6)
        assert sorted(status for status, _ in responses) == [401] * 10 + [429] * 14


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
def test_what_django_cannot_decode_in_a_content_type_is_passed_over(server, content_type):
    """Before any middleware it would be a 500. JSON is UTF-8 whatever it says (RFC 8259)."""
    headers = {"Content-Type": content_type}
    for body, status in [
        ('{"token": "ä"}'.encode(), 401),
        ('{"token": "ä"}'.encode("utf-16"), 400),
    ]:
        response = server.request("POST", "/api/token/verify/?a=%41", data=body, headers=headers)
        assert response.status_code == status


def add(person, conversation_id, user_id):
    path = f"/conversations/{conversation_id}/add_participant/"
    return person.call("POST", path, json={"user_id": user_id}).status_code


def leave(person, conversation_id):
    return person.call("POST", f"/conversations/{conversation_id}/leave/").status_code


def test_adding_somebody_while_one_leaves_is_done_or_not_found(people, conversation_id):
    alice, bob, _, dora = people
    seen = set()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(25):
            adding = [pool.submit(add, bob, conversation_id, dora.user_id) for _ in range(3)]
            assert leave(bob, conversation_id) == 204
            seen |= {each.result() for each in adding}
            assert add(alice, conversation_id, bob.user_id) == 200
    assert seen <= {200, 404}
    assert 404 in seen


def test_staff_delete_conversations_and_people_while_others_write(server, people):
    """From a process of their own, as the admin does; nobody gets an error."""
    alice, bob, carol, _ = people
    ids = [alice.start(bob, carol).json()["conversation_id"] for _ in range(12)]
    silent = [server.sign_up(f"silent{n}") for n in range(6)]
    stop = Event()

    def send_to_all(person):
        seen = set()
        while not stop.is_set():
            seen |= {person.send(conversation_id, "Hello").status_code for conversation_id in ids}
        return seen

    def add_the_silent():
        seen = set()
        while not stop.is_set():
            seen |= {add(alice, ids[n % 12], person.user_id) for n, person in enumerate(silent)}
            seen |= {alice.start(person).status_code for person in silent}
        return seen

    delete = f"""
from chats.models import Conversation, User
for pk in {ids[:5]}:
    Conversation.objects.get(pk=pk).delete()
Conversation.objects.filter(pk__in={ids[5:8]}).delete()
for person in User.objects.filter(pk__in={[person.user_id for person in silent[:3]]}):
    person.delete()
User.objects.filter(pk__in={[person.user_id for person in silent[3:]]}).delete()
"""
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(send_to_all, person) for person in (alice, bob, carol)]
        writing.append(pool.submit(add_the_silent))
        try:
            manage("shell", "-v0", "-c", delete, DATABASE_URL=server.database.url)
        finally:
            stop.set()
    assert set().union(*(each.result() for each in writing[:3])) <= {201, 404}
    assert writing[3].result() <= {200, 201, 400, 404}
    left = {row["conversation_id"] for row in alice.everything("/conversations/", page_size=100)}
    assert left & set(ids) == set(ids[8:])


class Staff:
    """A member of staff with the admin's forms."""

    def __init__(self, server):
        self.site, self.session = server.site, requests.Session()
        self.session.get(f"{self.site}/admin/login/", timeout=RESPONSE_SECONDS)
        self.post("login/?next=/admin/", username=server.make_superuser(), password=PASSWORD)

    def post(self, path, **form):
        """Its page after the form was taken."""
        form["csrfmiddlewaretoken"] = self.session.cookies["csrftoken"]
        url = f"{self.site}/admin/{path}"
        response = self.session.post(url, form, timeout=RESPONSE_SECONDS)
        assert response.status_code == 200, response.text
        assert [each.status_code for each in response.history] == [302], response.text
        return response.text


class TestEverythingAtOnce:
    """In two conversations. Each method goes on until `done`, or does its part once."""

    def send(self, done, person, ids):
        sent = {}
        while not done.is_set():
            body = f"{person.email} {len(sent)}"
            response = person.send(ids[len(sent) % 2], body)
            assert response.status_code == 201, response.text
            sent[response.json()["message_id"]] = body
        return sent

    def follow(self, done, person, ids):
        clocks = dict.fromkeys(ids, "")
        while not done.is_set():
            for pk in ids:
                clock = person.get(f"/conversations/{pk}/")["updated_at"]
                assert clock >= clocks[pk]
                clocks[pk] = clock

    def come_and_go(self, done, by, goers, ids):
        while not done.is_set():
            for pk in ids:
                for person in goers:
                    assert add(by, pk, person.user_id) == 200
                    # The staff's form, opened before they came, may have taken them out.
                    assert leave(person, pk) in {204, 404}

    def seat(self, done, staff, people, comers, ids):
        while not done.is_set():
            for pk in ids:
                for seated in (people + comers, people):
                    users = [person.user_id for person in seated]
                    staff.post(f"chats/conversation/{pk}/change/", participants=users)

    def delete_messages(self, staff, message_ids):
        for n in range(0, len(message_ids), 2):
            form = {"action": "delete_selected", "_selected_action": message_ids[n : n + 2]}
            staff.post("chats/message/", **form, post="yes")

    def delete_people(self, server, deleted, erased):
        first, *others = (person.user_id for person in deleted)
        code = f"""
from chats.models import User
User.objects.get(pk={first!r}).delete()
User.objects.filter(pk__in={others}).delete()
"""
        manage("shell", "-v0", "-c", code, DATABASE_URL=server.database.url)
        for person in erased:
            body = {"current_password": PASSWORD}
            assert person.call("DELETE", "/users/me/", json=body).status_code == 204

    def test_nobody_gets_an_error_and_nothing_is_lost(self, server, people):
        """No deadlock, no lost send, no clock that goes back."""
        alice, bob, carol, dora = people
        ids = [alice.start(bob, carol, dora).json()["conversation_id"] for _ in range(2)]
        old = [alice.send(ids[n % 2], "Old").json()["message_id"] for n in range(120)]
        silent = [server.sign_up(f"silent{n}") for n in range(12)]
        goers, comers, deleted, erased = silent[:3], silent[3:6], silent[6:9], silent[9:]
        for person in deleted + erased:
            assert [add(alice, pk, person.user_id) for pk in ids] == [200, 200]
        staff, *deleting = [Staff(server) for _ in range(4)]
        begin = len(server.error_log.read_text())
        done = Event()
        with ThreadPoolExecutor(10) as pool:
            senders = [pool.submit(self.send, done, each, ids) for each in (alice, bob, carol)]
            others = [
                pool.submit(self.follow, done, dora, ids),
                pool.submit(self.come_and_go, done, dora, goers, ids),
                pool.submit(self.seat, done, staff, people, comers, ids),
            ]
            ending = [
                pool.submit(self.delete_messages, each, old[40 * n : 40 * n + 40])
                for n, each in enumerate(deleting)
            ]
            ending.append(pool.submit(self.delete_people, server, deleted, erased))
            wait(ending)
            done.set()
        for each in others + ending:
            each.result()
        expected = dict(item for each in senders for item in each.result().items())
        expected |= dict.fromkeys(old)
        rows = [row for pk in ids for row in alice.everything(f"/conversations/{pk}/messages/")]
        assert len(rows) == len(expected) > len(old) + 20
        assert {row["message_id"]: row["message_body"] for row in rows} == expected
        assert server.error_log.read_text()[begin:] == ""


class TestOnce:
    def test_of_24_racing_sends_one_is_new(self, server, people, conversation_id, path):
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

    def test_of_24_racing_conversations_one_is_new(self, server, people):
        alice, bob, *_ = people
        responses = in_processes(start_once, [(alice, bob, "key")] * 4, threads=6)
        assert sorted(status for status, _, _ in responses) == [200] * 23 + [201]
        assert len({text for _, text, _ in responses}) == 1
        server.restart()
        again = start_once(alice, bob, "key")
        assert again == (200, responses[0][1], "true")
        assert len(alice.everything("/conversations/")) == 1


def send_until_told(person, conversation_id, name, stop):
    """Sends with a key each, as fast as it can: the ids that were acknowledged by body, and the
    body that got no response."""
    acknowledged, n = {}, 0
    while not stop.is_set():
        body = f"{name} {n}"
        try:
            response = person.send(conversation_id, body, key=body)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return acknowledged, body
        assert response.status_code == 201, response.text
        acknowledged[body] = response.json()["message_id"]
        n += 1
    return acknowledged, None


def test_an_acknowledged_message_survives_kill_9_and_is_there_once(
    server, people, conversation_id, path
):
    expected = {}
    for round_ in range(3):
        before = len(expected)
        with ThreadPoolExecutor(len(people)) as pool:
            # They are not told to stop: each ends with the request that gets no response.
            senders = [
                pool.submit(send_until_told, person, conversation_id, f"{round_} {n}", Event())
                for n, person in enumerate(people)
            ]
            try:
                while len(people[0].everything(path, page_size=100)) < before + 30:
                    pass
            finally:
                server.kill()
        results = [sender.result() for sender in senders]
        assert all(unacknowledged for _, unacknowledged in results)
        server.start()
        for person, (acknowledged, unacknowledged) in zip(people, results, strict=True):
            response = person.send(conversation_id, unacknowledged, key=unacknowledged)
            # The server may have written it before it was killed.
            assert response.status_code in {200, 201}, response.text
            expected |= acknowledged | {unacknowledged: response.json()["message_id"]}
        rows = people[0].everything(path, page_size=100)
        assert len(rows) == len(expected)
        assert {row["message_body"]: row["message_id"] for row in rows} == expected


def test_nobody_slips_a_message_in_after_they_left(people, conversation_id, path):
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
            assert bob.call("POST", f"/conversations/{conversation_id}/leave/").status_code == 204
        assert [sender.result() for sender in senders] == [404] * 6
        detail = alice.get(f"/conversations/{conversation_id}/")
        assert detail["last_message"]["sent_at"] < detail["updated_at"]
        body = {"user_id": bob.user_id}
        added = alice.call("POST", f"/conversations/{conversation_id}/add_participant/", json=body)
        assert added.status_code == 200


@pytest.mark.parametrize("ordering", ["sent_at", "-sent_at"])
@pytest.mark.parametrize("page_size", [1, 7, 100])
@pytest.mark.parametrize("flat", [False, True], ids=["nested", "flat"])
def test_paging_while_others_write_shows_every_old_message_once(
    people, conversation_id, path, page_size, ordering, flat
):
    alice, *others = people
    old = {alice.send(conversation_id, f"Old {n}").json()["message_id"] for n in range(40)}
    stop = Event()
    with ThreadPoolExecutor(len(others)) as pool:
        senders = [
            pool.submit(send_until_told, person, conversation_id, f"{n}", stop)
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
    assert sum(len(sender.result()[0]) for sender in senders) > 0
    assert len(seen) == len(set(seen))
    assert old <= set(seen)
