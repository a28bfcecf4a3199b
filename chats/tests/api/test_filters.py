"""Filters, and the names of query parameters."""

from uuid import uuid4

import pytest

from chats.services import delete, edit, send, start
from chats.tests.support.expected import listed_bodies
from chats.tests.support.paths import CONVERSATIONS, MESSAGES, conversation_path, messages_path


class TestMessageFilters:
    @pytest.fixture
    def get_bodies(self, api, alice, list_path):
        return lambda **parameters: listed_bodies(api(alice).get(list_path, parameters))

    def test_by_sender(self, get_bodies, alice, bob, conversation):
        send(conversation, "From Alice", actor=alice)
        send(conversation, "From Bob", actor=bob)
        assert get_bodies(sender=bob.pk) == ["From Bob"]
        assert get_bodies(sender=uuid4()) == []

    def test_by_conversation(self, get_bodies, alice, bob, mallory, conversation):
        send(conversation, "Here", actor=alice)
        hidden, _ = start({bob.pk}, actor=mallory)
        send(hidden, "Hidden", actor=mallory)
        assert get_bodies(conversation=conversation.pk) == ["Here"]
        assert get_bodies(conversation=hidden.pk) == []
        assert get_bodies(conversation=uuid4()) == []

    def test_by_time_both_ends_exclusive(self, get_bodies, alice, conversation):
        one, two, three = (send(conversation, body, actor=alice)[0] for body in ["1", "2", "3"])
        assert get_bodies(sent_at_after=one.sent_at.isoformat()) == ["3", "2"]
        assert get_bodies(sent_at_before=three.sent_at.isoformat()) == ["2", "1"]
        between = {"sent_at_after": one.sent_at, "sent_at_before": three.sent_at}
        assert get_bodies(**{name: at.isoformat() for name, at in between.items()}) == ["2"]
        elsewhere = two.sent_at.astimezone().replace(tzinfo=None).isoformat()
        assert get_bodies(sent_at_after=f"{two.sent_at:%Y-%m-%dT%H:%M:%S.%fZ}") == ["3"]
        assert get_bodies(sent_at_after=elsewhere) == ["3"]

    def test_ordering_by_sent_at_in_both_directions(self, get_bodies, alice, conversation):
        for body in ["1", "2"]:
            send(conversation, body, actor=alice)
        assert get_bodies(ordering="sent_at") == ["1", "2"]
        assert get_bodies(ordering="-sent_at") == get_bodies() == ["2", "1"]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("conversation", "nonsense"),
            ("conversation", ""),
            ("sender", "nonsense"),
            ("sender", ""),
            ("sender", " "),
            ("sent_at_after", "\u00a0"),
            ("sent_at_after", "yesterday"),
            ("sent_at_after", "10/25/2026"),
            ("sent_at_after", ""),
            ("sent_at_after", "2026-02-30T00:00:00Z"),
            ("sent_at_after", "2026-01-01T00:00:00 00:00"),
            ("sent_at_after", "0001-01-01T00:00:00+14:00"),
            ("sent_at_before", "9999-12-31T23:59:59-14:00"),
            ("sent_at_before", "9" * 400),
            ("search", "a\0b"),
            ("ordering", "message_body"),
            ("ordering", "sent_at,-sent_at"),
            ("ordering", ""),
            ("cursor", "nonsense"),
            ("cursor", ""),
            ("cursor", "\0"),
        ],
        ids=lambda value: value[:30],
    )
    def test_bad_value_is_a_400(self, api, alice, list_path, name, value):
        response = api(alice).get(list_path, {name: value})
        assert response.status_code == 400
        assert list(response.json()) == [name]
        assert all(isinstance(text, str) for text in response.json()[name])

    @pytest.mark.parametrize(
        "moment",
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01", "2026-01-01T10:00"],
    )
    def test_any_date_of_the_calendar_is_accepted(self, get_bodies, moment):
        assert get_bodies(sent_at_after=moment) == []
        assert get_bodies(sent_at_before=moment) == []

    def test_repeated_parameter_is_a_400(self, api, alice, bob, list_path):
        response = api(alice).get(list_path, {"sender": [str(alice.pk)] * 70})
        assert (response.status_code, response.json()) == (
            400,
            {"sender": ["Too many values: 70. The maximum is 1."]},
        )


class TestFollowingChanges:
    """`?ordering=updated_at&updated_at_after=`"""

    @pytest.fixture
    def follow(self, api, bob, path):
        """`follow(after)`: the bodies that changed since, and the last `updated_at`."""

        def follow(after):
            query = {"ordering": "updated_at", "updated_at_after": after, "page_size": 2}
            rows, url = [], path
            while url:
                page = api(bob).get(url, query if url == path else None).json()
                rows, url = rows + page["results"], page["next"]
            texts = [row["message_body"] for row in rows]
            return texts, rows[-1]["updated_at"] if rows else after

        return follow

    def test_returns_changes_in_their_order(self, follow, alice, bob, conversation):
        first, second, third = (send(conversation, f"{n}", actor=alice)[0] for n in range(3))
        texts, seen = follow("2020-01-01T00:00:00Z")
        assert texts == ["0", "1", "2"]
        edit(second, "1, edited", actor=alice)
        delete(first, actor=alice)
        send(conversation, "3", actor=bob)
        edit(third, "2, edited", actor=alice)
        edit(second, "1, edited twice", actor=alice)
        texts, seen = follow(seen)
        assert texts == [None, "3", "2, edited", "1, edited twice"]
        assert follow(seen) == ([], seen)

    @pytest.mark.parametrize(
        ("query", "field", "error"),
        [
            ({"ordering": "updated_at"}, "ordering", "updated_at requires updated_at_after."),
            (
                {"updated_at_after": "2020-01-01T00:00:00Z"},
                "updated_at_after",
                "updated_at_after requires ordering=updated_at.",
            ),
            (
                {"updated_at_after": "2020-01-01T00:00:00Z", "ordering": "sent_at"},
                "updated_at_after",
                "updated_at_after requires ordering=updated_at.",
            ),
            ({"ordering": "-updated_at"}, "ordering", "Use sent_at, -sent_at or updated_at."),
        ],
        ids=str,
    )
    def test_requires_both_parameters(self, api, bob, path, query, field, error):
        response = api(bob).get(path, query)
        assert (response.status_code, response.json()) == (400, {field: [error]})

    def test_is_for_the_nested_list_only(self, api, bob, conversation):
        query = {"ordering": "updated_at", "updated_at_after": "2020-01-01T00:00:00Z"}
        response = api(bob).get(MESSAGES, query | {"conversation": str(conversation.pk)})
        only_there = "only the list of one conversation has it, /api/conversations/{id}/messages/"
        assert (response.status_code, response.json()) == (
            400,
            {"updated_at_after": [f"There is no such parameter here; {only_there}."]},
        )
        del query["updated_at_after"]
        response = api(bob).get(MESSAGES, query)
        assert (response.status_code, response.json()) == (
            400,
            {
                "ordering": [
                    "Use sent_at or -sent_at; updated_at is for the list of one conversation."
                ]
            },
        )


class TestConversationFilters:
    def ids(self, client, **parameters):
        response = client.get(CONVERSATIONS, parameters)
        assert response.status_code == 200, response.json()
        return {row["conversation_id"] for row in response.json()["results"]}

    def test_by_all_of_several_participants(self, api, alice, bob, carol, mallory):
        two, three = (start(ids, actor=alice)[0] for ids in ({bob.pk}, {bob.pk, carol.pk}))
        start({carol.pk}, actor=bob)
        client = api(alice)
        assert self.ids(client, participants=bob.pk) == {str(two.pk), str(three.pk)}
        assert self.ids(client, participants=[bob.pk, carol.pk]) == {str(three.pk)}
        assert self.ids(client, participants=[bob.pk, bob.pk]) == {str(two.pk), str(three.pk)}
        assert self.ids(client, participants=mallory.pk) == set()

    def test_by_time_both_ends_exclusive(self, api, alice, bob):
        one, two = (start({bob.pk}, actor=alice)[0] for _ in range(2))
        client = api(alice)
        assert self.ids(client, created_at_after=one.created_at.isoformat()) == {str(two.pk)}
        assert self.ids(client, created_at_before=two.created_at.isoformat()) == {str(one.pk)}

    def test_at_most_16_participants_are_accepted(self, api, alice):
        client = api(alice)
        assert self.ids(client, participants=[uuid4() for _ in range(16)]) == set()
        response = client.get(CONVERSATIONS, {"participants": [uuid4() for _ in range(17)]})
        assert (response.status_code, response.json()) == (
            400,
            {"participants": ["Too many values: 17. The maximum is 16."]},
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("participants", "nonsense"),
            ("participants", ""),
            ("participants", ["00000000-0000-4000-8000-000000000000", "nonsense"]),
            ("created_at_after", "0001-01-01T00:00:00+14:00"),
            ("ordering", "created_at"),
            ("cursor", "W10=:x"),
        ],
    )
    def test_bad_value_is_a_400(self, api, alice, name, value):
        response = api(alice).get(CONVERSATIONS, {name: value})
        assert response.status_code == 400
        assert list(response.json()) == [name]


@pytest.mark.parametrize("query", ["?sender={mallory}", "?cursor=bad", "?x=1"])
def test_query_parameters_do_not_filter_details(api, alice, mallory, message, query):
    query = query.format(mallory=mallory.pk)
    for path in (
        conversation_path(message.conversation),
        f"{MESSAGES}{message.pk}/",
        f"{messages_path(message.conversation)}{message.pk}/",
    ):
        assert api(alice).get(f"{path}{query}").status_code == 200
