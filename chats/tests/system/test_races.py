"""Several processes read, send, edit, mark as read and leave at the same time."""

import random
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from itertools import pairwise
from threading import Event
from uuid import uuid4

import pytest

from chats.tests.support.servers import Server, in_processes

BEGINNING, END = "2000-01-01T00:00:00Z", "9999-12-31T00:00:00Z"
SET_BACK = """
from datetime import timedelta
from django.utils import timezone

now = timezone.now
timezone.now = lambda: now() - timedelta(hours=1)
"""


@pytest.fixture
def late_server(server, tmp_path):
    """A server on the same database whose clock is an hour behind."""
    folder = tmp_path / "late"
    folder.mkdir()
    # Python imports it when it starts.
    (folder / "sitecustomize.py").write_text(SET_BACK)
    late = Server(server.database, tmp_path, server.session_class, PYTHONPATH=str(folder))
    late.start()
    yield late
    late.kill()


def at(server, person):
    """The same person as a client of another server."""
    person = copy(person)
    person.url = server.url
    return person


def write(person, path, name, rounds):
    """Send, edit and delete: the last text of each message by its id, None of a deleted one."""
    texts = {}

    def done(status, *arguments, **json):
        response = person.call(*arguments, json=json)
        assert response.status_code == status, response.text
        return response

    for n in range(rounds):
        sent = done(201, "POST", path, message_body=f"{name} {n}").json()
        texts[sent["message_id"]] = sent["message_body"]
        # One of those sent up to now, so that changes come in another order than the messages.
        pk = random.choice([message_id for message_id in texts if texts[message_id]])  # noqa: S311
        texts[pk] = f"{name} {n}, edited"
        edited = done(200, "PATCH", f"{path}{pk}/", message_body=texts[pk]).json()
        assert (edited["message_body"], edited["updated_at"] > sent["sent_at"]) == (texts[pk], True)
        if n % 3 == 2:
            pk = random.choice([message_id for message_id in texts if texts[message_id]])  # noqa: S311
            done(204, "DELETE", f"{path}{pk}/")
            texts[pk] = None
    return texts


def follow(person, path, done):
    """All changes, as they come, until `done`."""
    seen, finished = [], False
    while not finished:
        # The last list is requested after the last change.
        finished = done.is_set()
        after = seen[-1]["updated_at"] if seen else BEGINNING
        parameters = {"ordering": "updated_at", "updated_at_after": after, "page_size": 7}
        seen += person.everything(path, **parameters)
    return seen


@pytest.mark.parametrize("is_set_back", [False, True], ids=["same clock", "one clock set back"])
def test_follower_of_changes_misses_nothing(request, people, path, is_set_back):
    """And with every message where its last change was."""
    writers = people
    if is_set_back:
        late = request.getfixturevalue("late_server")
        started = [caller.start(people[1]).json() for caller in (people[0], at(late, people[0]))]
        assert started[0]["created_at"] > started[1]["created_at"]
        writers = [person if n % 2 else at(late, person) for n, person in enumerate(people)]
    done = Event()
    with ThreadPoolExecutor(1) as pool:
        follower = pool.submit(follow, people[0], path, done)
        try:
            calls = [(person, path, f"{n}", 9) for n, person in enumerate(writers)]
            written = in_processes(write, calls, threads=3)
        finally:
            done.set()
        seen = follower.result()
    assert all(earlier["updated_at"] < later["updated_at"] for earlier, later in pairwise(seen))
    rows = {}
    for row in seen:
        rows.pop(row["message_id"], None)
        rows[row["message_id"]] = row
    expected = {pk: text for texts in written for pk, text in texts.items()}
    assert len(expected) == 4 * 3 * 9
    assert {pk: row["message_body"] for pk, row in rows.items()} == expected
    parameters = {"ordering": "updated_at", "updated_at_after": BEGINNING, "page_size": 100}
    assert list(rows.values()) == people[0].everything(path, **parameters)


def start_distinct(person, other):
    body = {"participants": [other.user_id], "distinct": True}
    response = person.call("POST", "/conversations/", json=body)
    assert response.status_code in {200, 201}, response.text
    return response.status_code, response.json()["conversation_id"]


def race_for_distinct(alice, bob):
    """The status codes of 12 requests from both sides, sorted, and the ids that they got."""
    responses = in_processes(start_distinct, [(alice, bob), (bob, alice)] * 2, threads=3)
    return sorted(status for status, _ in responses), {pk for _, pk in responses}


def test_12_racing_distinct_starts_get_the_same_conversation(people):
    alice, bob, carol, _ = people
    earlier = set()
    changes = {"leave": None, "add_participant": {"user_id": carol.user_id}, "": None}
    for change, body in changes.items():
        statuses, ids = race_for_distinct(alice, bob)
        assert statuses == [200] * 11 + [201]
        assert len(ids) == 1
        assert not ids & earlier
        [pk] = ids
        assert [start_distinct(alice, bob), start_distinct(bob, alice)] == [(200, pk)] * 2
        earlier |= ids
        if change:
            response = bob.call("POST", f"/conversations/{pk}/{change}/", json=body)
            assert response.status_code in {200, 204}
    assert race_for_distinct(bob, alice) == ([200] * 12, ids)
    assert {row["conversation_id"] for row in alice.everything("/conversations/")} == earlier


def change_if_unchanged(person, path, field, etag):
    return person.call("PATCH", path, etag=etag, json={field: str(uuid4())}).status_code


def test_of_12_racing_changes_with_one_etag_one_succeeds(people, conversation_id, path):
    alice = people[0]
    message_id = alice.send(conversation_id, "Hello").json()["message_id"]
    for url, field in (
        (f"/conversations/{conversation_id}/", "title"),
        (f"{path}{message_id}/", "message_body"),
        ("/users/me/", "first_name"),
    ):
        for _ in range(3):
            etag = alice.call("GET", url).headers["ETag"]
            calls = [(alice, url, field, etag)] * 4
            statuses = in_processes(change_if_unchanged, calls, threads=3)
            assert sorted(statuses) == [200] + [412] * 11


def mark(person, conversation_id, read_at):
    path = f"/conversations/{conversation_id}/read/"
    return person.call("POST", path, json={"read_at": read_at})


def mark_all(person, conversation_id, moments):
    """In random order: the `read_at` of each response."""
    reached = []
    for moment in random.sample(moments, len(moments)):
        response = mark(person, conversation_id, moment)
        assert response.status_code == 200, response.text
        reached.append(response.json()["read_at"])
        assert reached[-1] >= moment
    return reached


def test_racing_marks_as_read_end_at_the_latest(people, conversation_id):
    alice, bob, *_ = people
    for _ in range(2):
        sent = [alice.send(conversation_id, f"{n}").json()["sent_at"] for n in range(12)]
        responses = in_processes(mark_all, [(bob, conversation_id, sent)] * 4, threads=3)
        for reached in responses:
            assert reached == sorted(reached)
            assert reached[-1] == sent[-1]
        detail = bob.get(f"/conversations/{conversation_id}/")
        assert (detail["read_at"], detail["unread_count"]) == (sent[-1], 0)
    assert alice.get(f"/conversations/{conversation_id}/")["updated_at"] == sent[-1]


PARTICIPATIONS = """
SELECT count(*) FROM chats_conversation_participants participation
JOIN chats_user USING (user_id) WHERE email = %s
"""


def mark_until_left(person, conversation_id, marked, left):
    """The responses, the last of them to a request that began after `left`."""
    responses, has_left = [], False
    while not has_left:
        has_left = left.is_set()
        # The end of time counts as the clock.
        responses.append(mark(person, conversation_id, END))
        marked.set()
    return responses


def test_participant_who_left_marks_nothing_as_read(server, people, conversation_id):
    """And none brings somebody back."""
    alice, bob, *_ = people
    for _ in range(20):
        marked, left = Event(), Event()
        with ThreadPoolExecutor(6) as pool:
            marking = [
                pool.submit(mark_until_left, bob, conversation_id, marked, left) for _ in range(6)
            ]
            try:
                marked.wait(60)
                # So that there is something to mark.
                assert alice.send(conversation_id, "Read this").status_code == 201
                assert bob.leave(conversation_id).status_code == 204
            finally:
                left.set()
        clock = alice.get(f"/conversations/{conversation_id}/")["updated_at"]
        for *_, last in (call.result() for call in marking):
            assert last.status_code == 404
        for response in (response for call in marking for response in call.result()):
            assert response.status_code == 404 or response.json()["read_at"] < clock
        assert server.database.execute(PARTICIPATIONS, [bob.email]) == [(0,)]
        assert alice.add(conversation_id, bob).status_code == 200


def change_until_refused(person, path, method, changed):
    """Send a message and change it, again and again. Return the first other status code."""
    while True:
        response = person.call("POST", path, json={"message_body": "As sent"})
        if response.status_code == 201:
            url = f"{path}{response.json()['message_id']}/"
            response = person.call(method, url, json={"message_body": "Edited"})
        if response.status_code not in {200, 204}:
            return response.status_code
        changed.set()


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_participant_who_left_changes_no_message(people, conversation_id, path, method):
    """Bob's leaving is the last thing that moved the clock, however many changes of his wait."""
    alice, bob, *_ = people
    last = BEGINNING
    for _ in range(10):
        changed = Event()
        with ThreadPoolExecutor(6) as pool:
            changing = [
                pool.submit(change_until_refused, bob, path, method, changed) for _ in range(6)
            ]
            changed.wait(60)
            assert bob.leave(conversation_id).status_code == 204
        assert [call.result() for call in changing] == [404] * 6
        parameters = {"ordering": "updated_at", "updated_at_after": last, "page_size": 100}
        last = alice.everything(path, **parameters)[-1]["updated_at"]
        assert last < alice.get(f"/conversations/{conversation_id}/")["updated_at"]
        assert alice.add(conversation_id, bob).status_code == 200
