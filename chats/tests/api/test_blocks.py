"""Blocking. Alice blocks Bob; what he sees is compared with what an inactive id gives."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import MAX_PARTICIPANTS, Conversation, User
from chats.safety import services
from chats.safety.models import Block
from chats.safety.services import block
from chats.services import add_participant, erase, leave, send, start, start_distinct
from chats.tests.support.expected import NOT_FOUND, full_conversation, page, public_profile
from chats.tests.support.paths import CONVERSATIONS, conversation_path
from chats.tests.support.rows import change, deactivate, import_conversations

BLOCKED = "/api/users/blocked/"
NO_SUCH = "00000000-0000-4000-8000-000000000000"


def block_path(user):
    return f"/api/users/{user.pk}/block/"


@pytest.fixture
def gone(make_user):
    return make_user("Gone", is_active=False)


@pytest.fixture
def blocked(alice, bob):
    """Alice has blocked Bob."""
    block(bob.pk, actor=alice)


class TestBlock:
    def test_and_unblock_are_204_again_and_again(self, api, alice, bob):
        client = api(alice)
        for method, rows in [(client.post, [(alice.pk, bob.pk)]), (client.delete, [])]:
            for _ in range(2):
                response = method(block_path(bob))
                assert (response.status_code, response.content) == (204, b"")
                assert list(Block.objects.values_list("blocker", "blocked")) == rows

    def test_is_of_one_direction(self, api, alice, bob, blocked):
        assert api(alice).post(CONVERSATIONS, {"participants": [str(bob.pk)]}).status_code == 201
        response = api(alice).get("/api/users/", {"email": bob.email})
        assert response.json() == page(public_profile(bob))

    def test_of_oneself_is_a_400(self, api, alice):
        response = api(alice).post(block_path(alice))
        assert (response.status_code, response.json()) == (
            400,
            {"non_field_errors": ["You cannot block yourself."]},
        )
        assert api(alice).delete(block_path(alice)).status_code == 204

    def test_of_an_inactive_user_tells_nothing(self, api, alice, gone):
        assert api(alice).post(block_path(gone)).status_code == 204
        assert api(alice).get(BLOCKED).json() == page(public_profile(gone))

    def test_of_an_unknown_or_erased_user_is_a_404(self, api, alice, bob):
        erase(bob)
        for user_id in (bob.pk, NO_SUCH):
            path = f"/api/users/{user_id}/block/"
            response = api(alice).post(path)
            assert (response.status_code, response.json()) == (404, NOT_FOUND)
            assert api(alice).delete(path).status_code == 204
        assert not Block.objects.exists()

    def test_is_not_made_by_somebody_who_was_erased_meanwhile(self, api, before_each, alice, bob):
        before_each(services, "block", lambda: erase(User.objects.get(pk=alice.pk)))
        response = api(alice).post(block_path(bob))
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert not Block.objects.exists()

    def test_conditions_of_an_unblocking(self, api, alice, bob, blocked):
        """There is nothing to GET, so no tag is current."""
        client = api(alice)
        assert client.delete(block_path(bob), HTTP_IF_MATCH='"x"').status_code == 412
        assert client.delete(block_path(bob), HTTP_IF_NONE_MATCH="*").status_code == 412
        assert Block.objects.exists()
        assert client.delete(block_path(bob), HTTP_IF_MATCH="*").status_code == 204
        assert not Block.objects.exists()


class TestConversations:
    def test_of_these_two_are_left(self, api, alice, bob, carol, conversation):
        distinct, _ = start_distinct({bob.pk}, actor=alice)
        larger, _ = start({bob.pk, carol.pk}, actor=alice)
        with_carol, _ = start({carol.pk}, actor=alice)
        alone, _ = start({bob.pk}, actor=alice)
        leave(alone, actor=bob)
        clocks = dict(Conversation.objects.values_list("pk", "updated_at"))
        assert api(alice).post(block_path(bob)).status_code == 204
        assert set(Conversation.objects.for_user(alice)) == {larger, with_carol, alone}
        assert set(Conversation.objects.for_user(bob)) == {conversation, distinct, larger}
        moved = {row.pk for row in Conversation.objects.all() if row.updated_at > clocks[row.pk]}
        assert moved == {conversation.pk, distinct.pk}

    def test_are_left_a_chunk_at_a_time_by_a_repeated_call_too(
        self, monkeypatch, alice, bob, blocked
    ):
        """The first call was interrupted."""
        import_conversations(5, alice, bob)
        monkeypatch.setattr(services, "CONVERSATIONS_PER_TRANSACTION", 2)
        with CaptureQueriesContext(connection) as queries:
            block(bob.pk, actor=alice)
        assert not Conversation.objects.for_user(alice).exists()
        left = [q for q in queries if q["sql"].startswith("DELETE")]
        assert len(left) == 3

    def test_that_somebody_has_joined_meanwhile_stays(
        self, before_each, alice, bob, carol, conversation
    ):
        """Between the search and the lock."""
        joined = []

        def join():
            # The first lock is that of the people.
            joined.append(None)
            if len(joined) == 2:
                conversation.participants.add(carol)

        before_each(services, "lock", join)
        block(bob.pk, actor=alice)
        assert set(conversation.participants.all()) == {alice, bob, carol}


@pytest.fixture
def compare(api, alice, bob, gone):
    """`compare(call)`: `call(client, user)` as Bob. That with Alice, who has blocked him, is the
    same as that with Gone: in its bytes, headers and number of queries."""

    def compare(call):
        seen = []
        for user in (alice, gone):
            with CaptureQueriesContext(connection) as queries:
                response = call(api(bob), user)
            headers = dict(response.headers)
            headers.pop("X-Request-ID")
            # Ids have the same length, and addresses are made to.
            content = response.content.replace(str(user.pk).encode(), b"id")
            seen.append((response.status_code, content, headers, len(queries)))
        assert seen[0] == seen[1]
        return response

    return compare


@pytest.mark.usefixtures("blocked")
class TestBlockedUser:
    @pytest.mark.parametrize("fields", [{}, {"distinct": True}, {"title": "x"}], ids=str)
    @pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "k"}], ids=["", "key"])
    @pytest.mark.parametrize("others", [[], ["carol"], ["nonsense"]], ids=str)
    def test_cannot_start(self, compare, carol, fields, headers, others):
        ids = [str(carol.pk) if name == "carol" else name for name in others]

        def call(client, user):
            body = {"participants": [*ids, str(user.pk)], **fields}
            return client.post(CONVERSATIONS, body, **headers)

        response = compare(call)
        assert response.status_code == 400
        assert "is not the user_id of an active user." in response.json()["participants"][-1]
        assert not Conversation.objects.exists()

    @pytest.mark.parametrize("is_full", [False, True])
    def test_cannot_add(self, compare, make_user, bob, carol, is_full):
        others = [make_user(f"User{n}").pk for n in range(MAX_PARTICIPANTS - 2)] if is_full else []
        mine, _ = start({carol.pk, *others}, actor=bob)
        path = f"{conversation_path(mine)}add_participant/"
        response = compare(lambda client, user: client.post(path, {"user_id": str(user.pk)}))
        assert response.status_code == 400
        assert response.json()["user_id"][0].endswith(" is not the user_id of an active user.")

    def test_finds_nobody_by_the_address(self, compare, alice, gone):
        change(gone, email="glice@example.com")
        gone.refresh_from_db()
        response = compare(lambda client, user: client.get("/api/users/", {"email": user.email}))
        assert (response.status_code, response.json()) == (200, page())

    def test_does_not_learn_it_by_adding_a_participant_again(self, api, alice, bob, carol):
        larger, _ = start({bob.pk, carol.pk}, actor=alice)
        path = conversation_path(larger)
        before = api(bob).get(path).json()
        response = api(bob).post(f"{path}add_participant/", {"user_id": str(alice.pk)})
        assert (response.status_code, response.json()) == (200, before)
        deactivate(alice)
        response = api(bob).post(f"{path}add_participant/", {"user_id": str(alice.pk)})
        assert response.status_code == 400

    def test_can_again_when_unblocked(self, api, alice, bob):
        assert api(alice).delete(block_path(bob)).status_code == 204
        assert api(bob).post(CONVERSATIONS, {"participants": [str(alice.pk)]}).status_code == 201
        response = api(bob).get("/api/users/", {"email": alice.email})
        assert response.json() == page(public_profile(alice))

    def test_others_can_add_both_and_both_can_write(self, api, alice, bob, carol):
        larger, _ = start({alice.pk, bob.pk}, actor=carol)
        add_participant(start({alice.pk}, actor=carol)[0], bob.pk, actor=carol)
        for user in (alice, bob):
            send(larger, "Hello", actor=user)
        assert api(bob).get(conversation_path(larger)).json() == full_conversation(larger, bob)
        assert api(bob).get(f"/api/users/{alice.pk}/").json() == public_profile(alice)

    def test_repeats_an_earlier_start(self, api, alice, bob, carol):
        """With the same key: it is what they have started. An inactive participant's is, too."""
        body, key = {"participants": [str(carol.pk)]}, {"HTTP_IDEMPOTENCY_KEY": "k"}
        first = api(bob).post(CONVERSATIONS, body, **key)
        block(bob.pk, actor=carol)
        again = api(bob).post(CONVERSATIONS, body, **key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["participants"] == [public_profile(bob)]


class TestList:
    def test_is_of_own_blocks_by_user_id(self, api, make_user, alice, bob):
        users = [make_user(f"User{n}") for n in range(5)]
        for user in users:
            block(user.pk, actor=alice)
        block(alice.pk, actor=bob)
        users.sort(key=lambda user: user.pk)
        client = api(alice)
        assert client.get(BLOCKED).json() == page(*map(public_profile, users))
        first = client.get(BLOCKED, {"page_size": 2}).json()
        second = client.get(first["next"]).json()
        third = client.get(second["next"]).json()
        rows = first["results"] + second["results"] + third["results"]
        assert rows == [public_profile(user) for user in users]
        assert (first["previous"], third["next"]) == (None, None)
        assert client.get(second["previous"]).json()["results"] == first["results"]
        assert api(bob).get(BLOCKED).json() == page(public_profile(alice))

    @pytest.mark.parametrize(
        ("parameter", "hint"),
        [
            ("offset", "follow the “next” link of the response"),
            ("limit", "use “page_size”"),
            ("ordering", "leave it out, users are ordered by `user_id`"),
            ("search", "this list has “cursor”, “page_size”"),
        ],
    )
    def test_refuses_unknown_parameters(self, api, alice, parameter, hint):
        response = api(alice).get(BLOCKED, {parameter: "x"})
        error = f"There is no such parameter here; {hint}."
        assert (response.status_code, response.json()) == (400, {parameter: [error]})

    @pytest.mark.parametrize("query", ["page_size=0", "page_size=x", "cursor=x", "cursor="])
    def test_refuses_bad_values(self, api, alice, query):
        response = api(alice).get(f"{BLOCKED}?{query}")
        assert (response.status_code, list(response.json())) == (400, [query.partition("=")[0]])

    @pytest.mark.parametrize("number", [1, 100])
    def test_queries_do_not_grow(self, api, make_user, django_assert_num_queries, alice, number):
        users = [make_user(f"User{n}") for n in range(number)]
        Block.objects.bulk_create(Block(blocker=alice, blocked=user) for user in users)
        # Caller, users.
        with django_assert_num_queries(2):
            assert len(api(alice).get(f"{BLOCKED}?page_size=100").json()["results"]) == number


@pytest.mark.parametrize("number", [1, 5])
def test_erasure_clears_the_blocks_in_parts(monkeypatch, make_user, alice, bob, carol, number):
    monkeypatch.setattr("chats.safety.models.BLOCKS_PER_TRANSACTION", 2)
    for user in [make_user(f"User{n}") for n in range(number)]:
        block(user.pk, actor=alice)
        block(alice.pk, actor=user)
    block(carol.pk, actor=bob)
    with CaptureQueriesContext(connection) as queries:
        erase(alice)
    assert list(Block.objects.values_list("blocker", "blocked")) == [(bob.pk, carol.pk)]
    deletions = [q for q in queries if q["sql"].startswith('DELETE FROM "chats_block"')]
    # The last one is for those that were made since.
    assert len(deletions) == 2 * ((number + 1) // 2) + 1


def test_deleted_user_leaves_no_block(alice, bob):
    block(bob.pk, actor=alice)
    bob.delete()
    assert not Block.objects.exists()
