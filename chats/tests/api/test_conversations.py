from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats import services
from chats.models import MAX_PARTICIPANTS, Conversation, Message
from chats.services import (
    DISTINCT_EXAMINED,
    delete,
    edit,
    leave,
    rename,
    send,
    start,
    start_distinct,
)
from chats.tests.support.expected import (
    NOT_FOUND,
    full_conversation,
    light_conversation,
    message_json,
    page,
    public_profile,
    timestamp,
)
from chats.tests.support.paths import CONVERSATIONS, conversation_path, messages_path
from chats.tests.support.rows import change, import_messages

REQUIRED = "This field is required: GET /api/users/?email= finds a user_id, ?search= by name"
NOT_A_STRING = "A user_id is a UUID as a string."


def not_an_id(value):
    return f"“{value}” is not a user_id: GET /api/users/?email= finds a user_id, ?search= by name."


def not_active(user_id):
    return f"“{user_id}” is not the user_id of an active user."


class TestList:
    def test_latest_activity_comes_first(self, api, alice, bob, carol, mallory):
        first, _ = start({bob.pk}, actor=alice)
        second, _ = start({bob.pk, carol.pk}, actor=alice)
        start({bob.pk}, actor=mallory)
        response = api(alice).get(CONVERSATIONS)
        assert (response.status_code, response.json()) == (
            200,
            page(light_conversation(second, alice), light_conversation(first, alice)),
        )
        assert response.json()["results"][0]["last_message"] is None
        send(first, "One", actor=bob)
        send(first, "Two", actor=alice)
        response = api(alice).get(CONVERSATIONS)
        assert response.json() == page(
            light_conversation(first, alice), light_conversation(second, alice)
        )
        assert response.json()["results"][0]["last_message"]["message_body"] == "Two"

    def test_participants_are_ordered_by_user_id(self, api, alice, make_user):
        others = [make_user(f"User{n}") for n in range(5)]
        start({user.pk for user in others}, actor=alice)
        [conversation] = api(alice).get(CONVERSATIONS).json()["results"]
        ids = [participant["user_id"] for participant in conversation["participants"]]
        assert ids == sorted(str(user.user_id) for user in [alice, *others])


class TestStart:
    def test_returns_the_full_conversation(self, api, alice, bob):
        response = api(alice).post(CONVERSATIONS, {"participants": [str(bob.pk)]})
        assert response.status_code == 201
        conversation = Conversation.objects.get()
        assert response.json() == full_conversation(conversation, alice)
        assert response.json()["messages"] == []
        assert response.json()["participants"] == [
            public_profile(user) for user in sorted([alice, bob], key=lambda user: user.pk)
        ]

    def test_ignores_duplicate_ids_and_adds_the_caller(self, api, alice, bob):
        named = [str(bob.pk), str(bob.pk).upper(), str(alice.pk), str(bob.pk)]
        response = api(alice).post(CONVERSATIONS, {"participants": named})
        assert response.status_code == 201
        assert set(Conversation.objects.get().participants.all()) == {alice, bob}

    def test_error_names_every_bad_user_id(self, api, alice, bob, make_user):
        inactive = make_user("Gone", is_active=False)
        unknown = uuid4()
        named = ["nonsense", str(inactive.pk), str(bob.pk), str(unknown), 5, {}]
        response = api(alice).post(CONVERSATIONS, {"participants": named})
        assert (response.status_code, response.json()) == (
            400,
            {
                "participants": [
                    not_an_id("nonsense"),
                    NOT_A_STRING,
                    *map(not_active, sorted([inactive.pk, unknown])),
                ]
            },
        )
        named = [str(inactive.pk), str(bob.pk), str(unknown)]
        response = api(alice).post(CONVERSATIONS, {"participants": named})
        assert (response.status_code, response.json()) == (
            400,
            {"participants": [*map(not_active, sorted([inactive.pk, unknown]))]},
        )
        assert not Conversation.objects.exists()

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({"participants": None}, "This field may not be null."),
            ({"participants": []}, "Name at least one person other than yourself."),
            ({"participants": "abc"}, "Send a list of user_ids."),
            ({"participants": [None]}, "This field may not be null."),
            ({"participants": [[["a"]]]}, NOT_A_STRING),
            ({"participants": [1, 2]}, NOT_A_STRING),
            ({"participants": [{"user_id": "x"}, {"user_id": "y"}]}, NOT_A_STRING),
            ({"participants": ["bob@example.com"]}, not_an_id("bob@example.com")),
        ],
        ids=str,
    )
    def test_refuses_bad_participants(self, api, alice, body, error):
        response = api(alice).post(CONVERSATIONS, body)
        assert (response.status_code, response.json()) == (400, {"participants": [error]})

    def test_refuses_a_conversation_with_oneself(self, api, alice):
        response = api(alice).post(CONVERSATIONS, {"participants": [str(alice.pk)]})
        error = "Name at least one person other than yourself."
        assert (response.status_code, response.json()) == (400, {"participants": [error]})

    def test_takes_256_participants_and_no_more(self, api, alice, make_user):
        others = [str(make_user(f"User{n}").pk) for n in range(MAX_PARTICIPANTS)]
        response = api(alice).post(CONVERSATIONS, {"participants": others})
        assert (response.status_code, response.json()) == (
            400,
            {"participants": ["A conversation has at most 256 participants, you included."]},
        )
        response = api(alice).post(CONVERSATIONS, {"participants": [*others[1:], str(alice.pk)]})
        assert response.status_code == 201
        assert len(response.json()["participants"]) == MAX_PARTICIPANTS


class TestDetail:
    def test_has_the_first_page_of_messages(self, api, alice, bob, conversation):
        for n in range(21):
            send(conversation, f"Message {n}", actor=[alice, bob][n % 2])
        client = api(bob)
        response = client.get(conversation_path(conversation))
        assert (response.status_code, response.json()) == (
            200,
            full_conversation(conversation, bob),
        )
        messages = response.json()["messages"]
        listed = client.get(messages_path(conversation)).json()
        assert messages == listed["results"]
        assert response.json()["last_message"] == messages[0]
        going_on = client.get(
            messages_path(conversation), {"sent_at_before": messages[-1]["sent_at"]}
        )
        assert [m["message_body"] for m in going_on.json()["results"]] == ["Message 0"]

    def test_has_no_last_message_without_messages(self, api, alice, conversation):
        response = api(alice).get(conversation_path(conversation))
        assert (response.status_code, response.json()) == (
            200,
            full_conversation(conversation, alice),
        )
        assert (response.json()["last_message"], response.json()["messages"]) == (None, [])


class TestAddParticipant:
    def test_new_participant_sees_the_whole_history(self, api, alice, carol, message):
        conversation = message.conversation
        path = conversation_path(conversation)
        before = conversation.updated_at
        assert api(carol).get(path).status_code == 404
        response = api(alice).post(f"{path}add_participant/", {"user_id": str(carol.pk)})
        assert (response.status_code, response.json()) == (
            200,
            full_conversation(conversation, alice),
        )
        assert conversation.updated_at > before
        assert api(carol).get(path).json() == full_conversation(conversation, carol)
        assert response.json()["messages"][0]["message_body"] == "Hello, Bob"

    def test_existing_participant_changes_nothing(self, api, alice, bob, conversation):
        path = conversation_path(conversation)
        before = api(alice).get(path).json()
        response = api(alice).post(f"{path}add_participant/", {"user_id": str(bob.pk)})
        assert (response.status_code, response.json()) == (200, before)

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({"user_id": None}, "This field may not be null."),
            ({"user_id": "bob@example.com"}, not_an_id("bob@example.com")),
            ({"user_id": 5}, NOT_A_STRING),
            ({"user_id": ["x"]}, NOT_A_STRING),
            ({"address": "bob@example.com"}, f"{REQUIRED}; “address” is not a field here."),
            (
                {"user_id": "00000000-0000-4000-8000-000000000000"},
                not_active("00000000-0000-4000-8000-000000000000"),
            ),
        ],
        ids=str,
    )
    def test_refuses_a_bad_user_id(self, api, alice, conversation, body, error):
        response = api(alice).post(f"{conversation_path(conversation)}add_participant/", body)
        assert (response.status_code, response.json()) == (400, {"user_id": [error]})

    def test_refuses_an_inactive_user(self, api, alice, conversation, make_user):
        gone = make_user("Gone", is_active=False)
        response = api(alice).post(
            f"{conversation_path(conversation)}add_participant/", {"user_id": str(gone.pk)}
        )
        assert (response.status_code, response.json()) == (400, {"user_id": [not_active(gone.pk)]})

    def test_refuses_a_257th_participant(self, api, alice, make_user):
        others = [make_user(f"User{n}").pk for n in range(MAX_PARTICIPANTS)]
        conversation, _ = start(others[1:], actor=alice)
        before = conversation.updated_at
        response = api(alice).post(
            f"{conversation_path(conversation)}add_participant/", {"user_id": str(others[0])}
        )
        assert (response.status_code, response.json()) == (
            400,
            {"user_id": ["The conversation has 256 participants; it is full."]},
        )
        conversation.refresh_from_db()
        assert (conversation.updated_at, conversation.participants.count()) == (before, 256)


class TestRemoveParticipant:
    @pytest.fixture(params=["host", "admin"])
    def host(self, request, alice):
        change(alice, role=request.param)
        alice.refresh_from_db()
        return alice

    @pytest.fixture
    def remove(self, api, conversation):
        """`remove(caller, user_id)`: the response."""

        def remove(caller, user_id):
            path = f"{conversation_path(conversation)}remove_participant/"
            return api(caller).post(path, {"user_id": user_id})

        return remove

    def test_removed_user_becomes_an_outsider(self, api, remove, host, bob, message):
        conversation, path = message.conversation, conversation_path(message.conversation)
        before = conversation.updated_at
        response = remove(host, str(bob.pk))
        assert (response.status_code, response.json()) == (
            200,
            full_conversation(conversation, host),
        )
        assert response.json()["participants"] == [public_profile(host)]
        assert conversation.updated_at > before
        for url in (path, f"{path}messages/", f"/api/messages/{message.pk}/"):
            response = api(bob).get(url)
            assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert api(bob).get(CONVERSATIONS).json() == page()

    def test_user_who_does_not_take_part_changes_nothing(
        self, api, remove, host, carol, conversation
    ):
        before = api(host).get(conversation_path(conversation)).json()
        for user_id in (str(carol.pk), "00000000-0000-4000-8000-000000000000"):
            response = remove(host, user_id)
            assert (response.status_code, response.json()) == (200, before)

    def test_guest_gets_a_403_whatever_the_body(self, api, remove, alice, bob, conversation):
        before = api(bob).get(conversation_path(conversation)).json()
        for user_id in (str(alice.pk), str(bob.pk), "nonsense"):
            response = remove(bob, user_id)
            assert (response.status_code, response.json()) == (
                403,
                {
                    "detail": "Only participants with the role host or admin can remove others. "
                    "To leave the conversation, use POST /api/conversations/{id}/leave/."
                },
            )
        assert api(bob).get(conversation_path(conversation)).json() == before

    def test_role_does_not_let_an_outsider_in(self, remove, make_user, bob):
        for role in ("host", "admin"):
            response = remove(make_user(role, role=role), str(bob.pk))
            assert (response.status_code, response.json()) == (404, NOT_FOUND)

    @pytest.mark.parametrize(
        ("user_id", "error"),
        [
            ("{self}", "This is yourself: use POST /api/conversations/{id}/leave/."),
            (None, "This field may not be null."),
            ("bob@example.com", not_an_id("bob@example.com")),
            (5, NOT_A_STRING),
        ],
    )
    def test_refuses_oneself_and_a_bad_user_id(self, remove, host, conversation, user_id, error):
        if user_id == "{self}":
            user_id = str(host.pk).upper()
        response = remove(host, user_id)
        assert (response.status_code, response.json()) == (400, {"user_id": [error]})
        assert conversation.participants.count() == 2

    def test_membership_is_checked_again_under_the_lock(
        self, remove, before_each, alice, bob, conversation
    ):
        """The caller is removed after the view has found the conversation."""
        change(alice, role="host")
        before_each(services, "remove_participant", lambda: conversation.participants.remove(alice))
        response = remove(alice, str(bob.pk))
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert list(conversation.participants.all()) == [bob]


class TestLeave:
    def test_participant_becomes_an_outsider(self, api, alice, bob, message):
        path = conversation_path(message.conversation)
        client = api(alice)
        response = client.post(f"{path}leave/")
        assert (response.status_code, response.content) == (204, b"")
        for method, url in [
            ("GET", path),
            ("GET", f"{path}messages/"),
            ("POST", f"{path}messages/"),
            ("GET", f"{path}messages/{message.pk}/"),
            ("GET", f"/api/messages/{message.pk}/"),
            ("POST", f"{path}leave/"),
        ]:
            response = client.generic(method, url)
            assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert client.get("/api/messages/").json() == page()
        assert client.get(CONVERSATIONS).json() == page()
        remaining = api(bob).get(path).json()
        assert remaining["participants"] == [public_profile(bob)]
        assert remaining["messages"][0]["sender"] == public_profile(alice)

    def test_messages_stay_when_the_last_participant_leaves(self, api, alice, bob, message):
        for user in (alice, bob):
            api(user).post(f"{conversation_path(message.conversation)}leave/")
        message.refresh_from_db()
        assert not message.conversation.participants.exists()


class TestDistinct:
    @pytest.fixture
    def open_with(self, api):
        """`open_with(alice, bob)`: the response to Alice asking for the one with Bob."""

        def open_with(caller, *others, **fields):
            body = {"participants": [str(user.pk) for user in others], "distinct": True}
            return api(caller).post(CONVERSATIONS, body | fields)

        return open_with

    def test_is_the_same_for_both_participants(self, open_with, alice, bob):
        first = open_with(alice, bob, title="Us")
        again = open_with(bob, alice, title="Something else")
        conversation = Conversation.objects.get()
        assert (first.status_code, first.json()) == (201, full_conversation(conversation, alice))
        assert (again.status_code, again.json()) == (200, full_conversation(conversation, bob))
        assert conversation.title == "Us"
        assert "Idempotent-Replayed" not in again.headers

    def test_has_exactly_these_participants(self, open_with, alice, bob, carol):
        responses = [open_with(alice, bob), open_with(alice, carol), open_with(alice, bob, carol)]
        assert [response.status_code for response in responses] == [201, 201, 201]
        assert len({response.json()["conversation_id"] for response in responses}) == 3

    def test_is_never_a_conversation_that_is_not_distinct(self, api, open_with, alice, bob):
        start({bob.pk}, actor=alice)
        assert open_with(alice, bob).status_code == 201
        response = api(alice).post(CONVERSATIONS, {"participants": [str(bob.pk)]})
        assert response.status_code == 201
        body = {"participants": [str(bob.pk)], "distinct": False}
        assert api(alice).post(CONVERSATIONS, body).status_code == 201
        assert Conversation.objects.count() == 4

    def test_is_another_one_after_participants_changed(self, open_with, alice, bob, carol):
        left, _ = start_distinct({bob.pk}, actor=alice)
        leave(left, actor=bob)
        joined, created = start_distinct({bob.pk}, actor=alice)
        assert created
        joined.participants.add(carol)
        response = open_with(bob, alice)
        assert response.status_code == 201
        assert response.json()["conversation_id"] not in {str(left.pk), str(joined.pk)}
        assert open_with(alice, bob).json()["conversation_id"] == response.json()["conversation_id"]
        # The people of the first one are the same again.
        left.participants.add(bob)
        assert open_with(alice, bob).json()["conversation_id"] == str(left.pk)

    def test_has_constant_queries_after_many_were_left(self, open_with, alice, bob):
        def leave_and_start_again():
            leave(start_distinct({bob.pk}, actor=alice)[0], actor=alice)
            with CaptureQueriesContext(connection) as queries:
                _, created = start_distinct({bob.pk}, actor=alice)
            assert created
            return len(queries)

        assert len({leave_and_start_again() for _ in range(DISTINCT_EXAMINED + 5)}) == 1
        assert open_with(alice, bob).status_code == 200

    def test_is_the_same_with_an_idempotency_key(self, api, alice, bob):
        body = {"participants": [str(bob.pk)], "distinct": True}
        responses = [api(alice).post(CONVERSATIONS, body, HTTP_IDEMPOTENCY_KEY="a") for _ in "12"]
        assert [response.status_code for response in responses] == [201, 200]
        assert responses[1].headers["Idempotent-Replayed"] == "true"
        assert Conversation.objects.count() == 1

    @pytest.mark.parametrize("distinct", [None, "true", 1, "", []])
    def test_must_be_true_or_false(self, open_with, alice, bob, distinct):
        response = open_with(alice, bob, distinct=distinct)
        assert (response.status_code, list(response.json())) == (400, ["distinct"])


class TestTitle:
    def test_is_set_when_the_conversation_starts(self, api, alice, bob):
        body = {"participants": [str(bob.pk)], "title": " Holiday in May "}
        response = api(alice).post(CONVERSATIONS, body)
        assert (response.status_code, response.json()["title"]) == (201, "Holiday in May")

    def test_is_changed_by_any_participant(self, api, alice, bob, conversation):
        path = conversation_path(conversation)
        for user, title in [(alice, "x" * 100), (bob, "👩\u200d🚀"), (alice, "")]:
            before = Conversation.objects.get().updated_at
            response = api(user).patch(path, {"title": title})
            assert (response.status_code, response.json()["title"]) == (200, title)
            assert response.json() == full_conversation(conversation, user)
            assert conversation.updated_at > before

    @pytest.mark.parametrize("title", ["two\nlines", "a\u2028b", "\u200b", "x" * 101, 5, None])
    def test_bad_title_is_a_400(self, api, alice, bob, conversation, title):
        body = {"participants": [str(bob.pk)], "title": title}
        for response in (
            api(alice).patch(conversation_path(conversation), {"title": title}),
            api(alice).post(CONVERSATIONS, body),
        ):
            assert (response.status_code, list(response.json())) == (400, ["title"])
        conversation.refresh_from_db()
        assert (conversation.title, Conversation.objects.count()) == ("", 1)


class TestSearch:
    @pytest.fixture
    def found(self, api, alice):
        """`found(text)`: the titles of Alice's conversations with this text."""

        def found(text, **parameters):
            response = api(alice).get(CONVERSATIONS, {"search": text, **parameters})
            assert response.status_code == 200
            return sorted(row["title"] for row in response.json()["results"])

        return found

    def test_in_the_title_or_the_name_of_another_participant(
        self, found, alice, bob, carol, mallory
    ):
        start({bob.pk}, actor=alice, title="Holiday 100%")
        start({carol.pk}, actor=alice, title="Work")
        start({bob.pk, carol.pk}, actor=alice, title="Bob's birthday")
        start({bob.pk}, actor=mallory, title="Holiday of others")
        assert found("holiday") == ["Holiday 100%"]
        assert found("0%") == ["Holiday 100%"]
        assert found("bob") == ["Bob's birthday", "Holiday 100%"]
        assert found("CAROL TEST") == ["Bob's birthday", "Work"]
        assert found("carol", participants=str(bob.pk)) == ["Bob's birthday"]
        # The caller's own name.
        assert found("alice") == []
        assert found("mallory") == []


class TestChanges:
    """`GET /api/conversations/{id}/?updated_at_after=`"""

    def get(self, client, conversation, after):
        return client.get(conversation_path(conversation), {"updated_at_after": after})

    def test_messages_are_those_that_changed_since_in_the_order_of_the_changes(
        self, api, alice, bob, conversation
    ):
        edited, deleted, *_ = (send(conversation, f"No. {n}", actor=alice)[0] for n in range(4))
        after = timestamp(conversation.messages.latest("sent_at").sent_at)
        nothing = self.get(api(bob), conversation, after)
        assert nothing.json() == light_conversation(conversation, bob) | {"messages": []}
        delete(deleted, actor=alice)
        new, _ = send(conversation, "New", actor=bob)
        edit(edited, "Edited", actor=alice)
        rename(conversation, "Renamed", actor=bob)
        changes = [Message.objects.get(pk=row.pk) for row in (deleted, new, edited)]
        expected = light_conversation(conversation, bob)
        assert self.get(api(bob), conversation, after).json() == expected | {
            "messages": [message_json(message) for message in changes]
        }
        # From the same moment of the clock, but a later one of the client.
        after = timestamp(changes[0].updated_at)
        assert self.get(api(bob), conversation, after).json() == expected | {
            "messages": [message_json(message) for message in changes[1:]]
        }

    @pytest.mark.parametrize("size", [1, 10_000])
    def test_client_that_goes_on_from_the_last_change_gets_all(
        self, api, alice, conversation, size
    ):
        import_messages(conversation, alice, 205, message_body="😀" * size)
        after, received = "2000-01-01T00:00:00Z", []
        while after != api(alice).get(conversation_path(conversation)).json()["updated_at"]:
            response = self.get(api(alice), conversation, after)
            assert len(response.content) < 600 * 1024
            messages = response.json()["messages"]
            assert 0 < len(messages) <= 100
            received += [message["message_id"] for message in messages]
            after = messages[-1]["updated_at"]
        in_order = conversation.messages.order_by("sent_at").values_list("pk", flat=True)
        assert received == [str(pk) for pk in in_order]

    @pytest.mark.parametrize("after", ["", "yesterday", "0001-01-01T00:00:00+14:00", "\0"])
    def test_what_is_no_date_and_time_is_refused(self, api, alice, conversation, after):
        response = self.get(api(alice), conversation, after)
        assert response.status_code == 400
        assert list(response.json()) == ["updated_at_after"]

    def test_outsider_gets_404(self, api, mallory, conversation):
        response = self.get(api(mallory), conversation, "2000-01-01T00:00:00Z")
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
