"""Blocks that race with what they forbid, and with erasures, in several processes."""

from chats.tests.support.servers import PASSWORD, in_processes

ROUNDS = 6
BLOCKS = "SELECT count(*) FROM chats_block JOIN chats_user ON user_id IN (blocker_id, blocked_id)"


def block(person, other):
    return person.call("POST", f"/users/{other.user_id}/block/").status_code


def start(person, other, **fields):
    body = {"participants": [other.user_id], **fields}
    return person.call("POST", "/conversations/", json=body).status_code


def start_alone_and_add(person, third, other):
    """In a conversation that the third has left."""
    conversation_id = person.start(third).json()["conversation_id"]
    third.leave(conversation_id)
    return person.add(conversation_id, other).status_code


def erase(person):
    body = {"current_password": PASSWORD}
    return person.call("DELETE", "/users/me/", json=body).status_code


def act(name, *arguments):
    """So that each process can do something else at the same time."""
    functions = {
        "block": block,
        "start": start,
        "distinct": lambda person, other: start(person, other, distinct=True),
        "add": start_alone_and_add,
        "erase": erase,
    }
    return name, functions[name](*arguments)


def get_shared(alice, bob):
    """The conversations of Alice in which nobody takes part but these two."""
    rows = alice.everything("/conversations/", page_size=100)
    ids = [{user["user_id"] for user in row["participants"]} for row in rows]
    return ids.count({alice.user_id, bob.user_id})


def test_block_that_races_with_starts_and_additions_ends_blocked(server):
    for _ in range(ROUNDS):
        alice, bob, carol = (server.sign_up(name) for name in ("alice", "bob", "carol"))
        calls = [
            ("start", bob, alice),
            ("distinct", bob, alice),
            ("add", bob, carol, alice),
            ("block", alice, bob),
        ]
        results = in_processes(act, calls, threads=2)
        allowed = {"start": {201, 400}, "distinct": {200, 201, 400}, "add": {200, 400}}
        for name, status in results:
            assert status in allowed.get(name, {204})
        assert get_shared(alice, bob) == 0
        for name, *arguments in calls[:3]:
            assert act(name, *arguments) == (name, 400)


def test_distinct_from_both_sides_ends_blocked_unless_the_blocker_started_it(server):
    for _ in range(ROUNDS):
        alice, bob = server.sign_up("alice"), server.sign_up("bob")
        calls = [("distinct", bob, alice), ("distinct", alice, bob), ("block", alice, bob)]
        results = in_processes(act, calls, threads=2)
        assert {status for name, status in results if name == "block"} == {204}
        # A 404: she was given a conversation that the block has left meanwhile.
        assert {status for _, status in results} <= {200, 201, 204, 400, 404}
        assert get_shared(alice, bob) <= 1
        # What she started after the block is left by the next one.
        assert block(alice, bob) == 204
        assert get_shared(alice, bob) == 0


def test_block_that_races_with_an_erasure_leaves_no_row(server):
    begin = len(server.error_log.read_text())
    for who in ("blocker", "blocked"):
        for _ in range(ROUNDS):
            alice, bob = server.sign_up("alice"), server.sign_up("bob")
            erased = alice if who == "blocker" else bob
            calls = [("block", alice, bob), ("block", alice, bob), ("erase", erased)]
            results = in_processes(act, calls, threads=2)
            assert {status for name, status in results if name == "block"} <= {204, 401, 404}
            assert 204 in {status for name, status in results if name == "erase"}
            where = f"{BLOCKS} WHERE email = %s OR email LIKE %s"
            assert server.database.execute(where, [bob.email, "%@erased.invalid"]) == [(0,)]
    assert server.error_log.read_text()[begin:] == ""
