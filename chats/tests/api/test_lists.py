"""Filters, pages and cursors."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.db import connection

from chats.models import Conversation, Message, Participation
from chats.rest.filters import MEANINGS, simplify
from chats.services import delete, edit, send, start
from chats.tests.support.conformance import get_document

CONVERSATIONS = "/api/conversations/"
MESSAGES = "/api/messages/"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def import_messages():
    """`import_messages(conversation, sender, moments)`: as an import tool does."""

    def import_messages(conversation, sender, moments):
        return Message.objects.bulk_create(
            Message(
                conversation=conversation,
                sender=sender,
                message_body=f"No. {n}",
                sent_at=moment,
                updated_at=moment,
            )
            for n, moment in enumerate(moments)
        )

    return import_messages


def walk(client, path, key, link="next", **parameters):
    """The pages from the first one, or from the one at `path`, each a list of ids."""
    pages, url = [], path
    while url:
        response = client.get(url, parameters if url == path else None)
        assert response.status_code == 200, response.json()
        pages.append([row[key] for row in response.json()["results"]])
        url = response.json()[link]
    return pages


def flat(pages):
    return [row for page in pages for row in page]


@pytest.mark.parametrize("page_size", [1, 7, 100])
@pytest.mark.parametrize("ordering", ["sent_at", "-sent_at"])
class TestPages:
    def test_of_a_conversation(
        self, api, alice, conversation, import_messages, page_size, ordering
    ):
        messages = import_messages(
            conversation, alice, [START + timedelta(seconds=n) for n in range(25)]
        )
        expected = [str(message.pk) for message in messages]
        if ordering == "-sent_at":
            expected.reverse()
        path = f"{CONVERSATIONS}{conversation.pk}/messages/"
        pages = walk(api(alice), path, "message_id", page_size=page_size, ordering=ordering)
        assert flat(pages) == expected
        assert {len(page) for page in pages[:-1]} <= {page_size}

    def test_of_everything_with_equal_times(
        self, api, alice, bob, mallory, import_messages, page_size, ordering
    ):
        """Imported data: the same moments in many conversations."""
        messages = []
        for n in range(30):
            conversation, _ = start({bob.pk}, actor=alice)
            moments = [START + timedelta(seconds=s) for s in range(n % 4)]
            messages += import_messages(conversation, alice, moments)
        hidden, _ = start({bob.pk}, actor=mallory)
        import_messages(hidden, mallory, [START + timedelta(seconds=1)])
        messages.sort(key=lambda m: (m.sent_at, m.pk), reverse=ordering == "-sent_at")
        pages = walk(api(alice), MESSAGES, "message_id", page_size=page_size, ordering=ordering)
        assert flat(pages) == [str(message.pk) for message in messages]


def test_previous_leads_back_to_the_start(api, alice, conversation, import_messages):
    import_messages(conversation, alice, [START + timedelta(seconds=n) for n in range(10)])
    client = api(alice)
    path = f"{CONVERSATIONS}{conversation.pk}/messages/"
    forth = walk(client, path, "message_id", page_size=3)
    last = client.get(path, {"page_size": 3}).json()
    while last["next"]:
        last = client.get(last["next"]).json()
    back = walk(client, last["previous"], "message_id", link="previous")
    assert back == forth[-2::-1]


def test_a_page_that_was_deleted_leads_on(api, alice, conversation, import_messages):
    """Where nothing is left beyond a cursor, the way back begins at that end of the list."""
    rows = import_messages(conversation, alice, [START + timedelta(seconds=n) for n in range(4)])
    client = api(alice)
    path = f"{CONVERSATIONS}{conversation.pk}/messages/"
    first = client.get(path, {"page_size": 2}).json()
    second = client.get(first["next"]).json()
    Message.objects.filter(pk__in=[rows[0].pk, rows[1].pk]).delete()
    beyond = client.get(first["next"]).json()
    assert (beyond["results"], beyond["next"]) == ([], None)
    assert client.get(beyond["previous"]).json()["results"] == first["results"]
    Message.objects.all().delete()
    before = client.get(second["previous"]).json()
    assert (before["results"], before["previous"]) == ([], None)
    assert "cursor" not in parse_qs(urlsplit(before["next"]).query)


def test_messages_sent_while_paging_do_not_shift_the_pages(api, alice, conversation):
    sent = [str(send(conversation, f"{n}", actor=alice)[0].pk) for n in range(9)]
    client = api(alice)
    path = f"{CONVERSATIONS}{conversation.pk}/messages/"
    response = client.get(path, {"page_size": 2}).json()
    seen = [row["message_id"] for row in response["results"]]
    while response["next"]:
        send(conversation, "In between", actor=alice)
        response = client.get(response["next"]).json()
        seen += [row["message_id"] for row in response["results"]]
    assert seen == sent[::-1]


def test_a_conversation_with_many_at_one_moment_ends(api, alice, bob):
    """DRF's cursor goes round for ever from 1,000 equal values on."""
    conversations = Conversation.objects.bulk_create(
        Conversation(created_at=START, updated_at=START) for _ in range(1_100)
    )
    Participation.objects.bulk_create(
        Participation(conversation=conversation, user=user)
        for conversation in conversations
        for user in (alice, bob)
    )
    pages = walk(api(alice), CONVERSATIONS, "conversation_id", page_size=100)
    assert flat(pages) == sorted((str(c.pk) for c in conversations), reverse=True)


def test_contacts_come_by_user_id_in_pages(api, alice, make_user):
    others = [make_user(f"User{n}") for n in range(7)]
    start({user.pk for user in others}, actor=alice)
    pages = walk(api(alice), "/api/users/", "user_id", page_size=3)
    assert flat(pages) == sorted(str(user.pk) for user in others)


class TestPageSize:
    @pytest.mark.parametrize(
        ("page_size", "count"),
        [(None, 20), ("1", 1), ("100", 100), ("101", 100), ("9" * 5000, 100), ("007", 7)],
    )
    def test_is_kept(self, api, alice, conversation, import_messages, page_size, count):
        import_messages(conversation, alice, [START + timedelta(seconds=n) for n in range(120)])
        parameters = {} if page_size is None else {"page_size": page_size}
        for path in (f"{CONVERSATIONS}{conversation.pk}/messages/", MESSAGES):
            assert len(api(alice).get(path, parameters).json()["results"]) == count

    @pytest.mark.parametrize("page_size", ["0", "-1", "x", "1.5", "1e3", "", "1_0", "5.0", "٣"])
    @pytest.mark.parametrize("path", [CONVERSATIONS, MESSAGES, "/api/users/"])
    def test_is_refused(self, api, alice, path, page_size):
        response = api(alice).get(path, {"page_size": page_size})
        assert response.status_code == 400
        assert list(response.json()) == ["page_size"]


class TestMessageFilters:
    @pytest.fixture(params=["nested", "flat"])
    def path(self, request, conversation):
        return {"nested": f"{CONVERSATIONS}{conversation.pk}/messages/", "flat": MESSAGES}[
            request.param
        ]

    @pytest.fixture
    def bodies(self, api, alice, path):
        def bodies(**parameters):
            response = api(alice).get(path, parameters)
            assert response.status_code == 200, response.json()
            return [row["message_body"] for row in response.json()["results"]]

        return bodies

    def test_by_sender(self, bodies, alice, bob, conversation):
        send(conversation, "From Alice", actor=alice)
        send(conversation, "From Bob", actor=bob)
        assert bodies(sender=bob.pk) == ["From Bob"]
        assert bodies(sender=uuid4()) == []

    def test_by_conversation(self, bodies, alice, bob, mallory, conversation):
        send(conversation, "Here", actor=alice)
        hidden, _ = start({bob.pk}, actor=mallory)
        send(hidden, "Hidden", actor=mallory)
        assert bodies(conversation=conversation.pk) == ["Here"]
        assert bodies(conversation=hidden.pk) == []
        assert bodies(conversation=uuid4()) == []

    def test_by_time_both_ends_exclusive(self, bodies, alice, conversation):
        one, two, three = (send(conversation, body, actor=alice)[0] for body in ["1", "2", "3"])
        assert bodies(sent_at_after=one.sent_at.isoformat()) == ["3", "2"]
        assert bodies(sent_at_before=three.sent_at.isoformat()) == ["2", "1"]
        between = {"sent_at_after": one.sent_at, "sent_at_before": three.sent_at}
        assert bodies(**{name: at.isoformat() for name, at in between.items()}) == ["2"]
        elsewhere = two.sent_at.astimezone().replace(tzinfo=None).isoformat()
        assert bodies(sent_at_after=f"{two.sent_at:%Y-%m-%dT%H:%M:%S.%fZ}") == ["3"]
        assert bodies(sent_at_after=elsewhere) == ["3"]

    def test_in_either_order(self, bodies, alice, conversation):
        for body in ["1", "2"]:
            send(conversation, body, actor=alice)
        assert bodies(ordering="sent_at") == ["1", "2"]
        assert bodies(ordering="-sent_at") == bodies() == ["2", "1"]

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
    def test_refuses_a_value_that_cannot_be_read(self, api, alice, path, name, value):
        response = api(alice).get(path, {name: value})
        assert response.status_code == 400
        assert list(response.json()) == [name]
        assert all(isinstance(text, str) for text in response.json()[name])

    @pytest.mark.parametrize(
        "moment",
        ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01", "2026-01-01T10:00"],
    )
    def test_takes_any_date_in_the_calendar(self, bodies, moment):
        assert bodies(sent_at_after=moment) == []
        assert bodies(sent_at_before=moment) == []

    def test_names_an_unknown_parameter_and_the_nearest_one(self, api, alice, path):
        response = api(alice).get(path, {"converstion": "x", "page_sise": "2"})
        assert (response.status_code, response.json()) == (
            400,
            {
                "converstion": ["There is no such parameter here; the nearest is “conversation”."],
                "page_sise": ["There is no such parameter here; the nearest is “page_size”."],
            },
        )

    def test_refuses_a_value_given_twice(self, api, alice, bob, path):
        response = api(alice).get(path, {"sender": [str(alice.pk)] * 70})
        assert (response.status_code, response.json()) == (
            400,
            {"sender": ["Too many values: 70. The maximum is 1."]},
        )


class TestFollowing:
    """`?ordering=updated_at&updated_at_after=`"""

    @pytest.fixture
    def path(self, conversation):
        return f"{CONVERSATIONS}{conversation.pk}/messages/"

    @pytest.fixture
    def follow(self, api, bob, path):
        """`follow(after)`: the bodies that changed since, and the last `updated_at`."""

        def follow(after):
            query = {"ordering": "updated_at", "updated_at_after": after, "page_size": 2}
            rows, response = [], api(bob).get(path, query).json()
            rows += response["results"]
            while response["next"]:
                response = api(bob).get(response["next"]).json()
                rows += response["results"]
            return [row["message_body"] for row in rows], rows[-1]["updated_at"] if rows else after

        return follow

    def test_shows_each_change_in_its_order(self, follow, alice, bob, conversation):
        first, second, third = (send(conversation, f"{n}", actor=alice)[0] for n in range(3))
        bodies, seen = follow("2020-01-01T00:00:00Z")
        assert bodies == ["0", "1", "2"]
        edit(second, "1, edited", actor=alice)
        delete(first, actor=alice)
        send(conversation, "3", actor=bob)
        edit(third, "2, edited", actor=alice)
        edit(second, "1, edited twice", actor=alice)
        bodies, seen = follow(seen)
        assert bodies == [None, "3", "2, edited", "1, edited twice"]
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
    def test_takes_both_or_neither(self, api, bob, path, query, field, error):
        response = api(bob).get(path, query)
        assert (response.status_code, response.json()) == (400, {field: [error]})

    def test_is_for_one_conversation(self, api, bob, conversation):
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

    def test_by_participants_all_of_them(self, api, alice, bob, carol, mallory):
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

    def test_takes_sixteen_participants_and_no_more(self, api, alice):
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
    def test_refuses(self, api, alice, name, value):
        response = api(alice).get(CONVERSATIONS, {name: value})
        assert response.status_code == 400
        assert list(response.json()) == [name]


class TestNamesOfOtherApis:
    NEXT = "follow the “next” link of the response"
    PATHS = [CONVERSATIONS, MESSAGES, f"{CONVERSATIONS}{{conversation}}/messages/", "/api/users/"]

    @pytest.fixture
    def hints(self, api, alice, conversation):
        """`hints(path, names)`: what the list says to use instead of each of them."""

        def hints(path, names):
            url = path.format(conversation=conversation.pk)
            response = api(alice).get(url, dict.fromkeys(names, "x"))
            assert response.status_code == 400
            return {
                name: message.removeprefix("There is no such parameter here; ").removesuffix(".")
                for name, [message] in response.json().items()
            }

        return hints

    @pytest.mark.parametrize("path", PATHS)
    def test_for_pages(self, hints, path):
        names = {"page", "offset", "skip", "pageToken", "page[number]"}
        assert hints(path, names) == dict.fromkeys(names, self.NEXT)
        names = {"limit", "per_page", "per-page", "perPage", "count", "size"}
        assert hints(path, names) == dict.fromkeys(names, "use “page_size”")

    @pytest.mark.parametrize("path", PATHS[1:3])
    def test_of_messages(self, hints, path):
        meanings = {
            "search": ["q", "body", "content", "text", "message_body", "query", "keyword"],
            "sent_at_after": ["since", "after", "start_date", "oldest", "sent_at__gt", "since_id"],
            "sent_at_before": ["until", "before", "end_date", "latest", "max_id", "to"],
            "sender": ["sender_id", "from", "author", "user", "user_id", "username", "name"],
            "ordering": ["order", "order_by", "sort", "sort_by", "dir"],
            "conversation": ["conversation_id", "chat", "room", "channel", "thread", "title"],
        }
        expected = {name: f"use “{use}”" for use, names in meanings.items() for name in names}
        assert hints(path, expected) == expected

    def test_of_conversations(self, hints):
        meanings = {
            "participants": [
                "participant",
                "participant_ids",
                "user",
                "user_id",
                "members",
                "sender",
            ],
            "created_at_after": ["since", "after", "start_date", "from", "sent_at_after"],
            "created_at_before": ["until", "before", "end_date", "to"],
        }
        expected = {name: f"use “{use}”" for use, names in meanings.items() for name in names}
        assert hints(CONVERSATIONS, expected) == expected

    def test_of_users(self, hints):
        names = ["name", "q", "query", "first_name", "displayName", "user"]
        expected = dict.fromkeys(names, "use “search”") | {"mail": "use “email”"}
        expected |= {"username": "use “email”"}
        assert hints("/api/users/", expected) == expected

    @pytest.mark.parametrize("path", PATHS)
    def test_a_hint_names_what_the_list_has(self, hints, path):
        """The first parameter of the same meaning, or else the nearest by its spelling."""
        described = path.replace("{conversation}", "{conversation_id}")
        operation = get_document()["paths"][described]["get"]
        known = {each["name"] for each in operation["parameters"] if each.get("in") == "query"}
        table = {name: uses for uses, names in MEANINGS.items() for name in names.split()}
        given = hints(path, table.keys() - known)
        assert given.keys() == table.keys() - known
        for name, hint in given.items():
            [first, *_] = [*(use for use in table[name] if use in known), None]
            if first == "cursor":
                assert hint == self.NEXT
            elif first:
                assert hint == f"use “{first}”"
            else:
                [nearest] = re.fullmatch("the nearest is “(.*)”", hint).groups()
                assert nearest in known

    def test_no_name_has_two_meanings(self):
        names = [simplify(name) for names in MEANINGS.values() for name in names.split()]
        assert len(names) == len(set(names))


class TestDeletedMeanwhile:
    """A message is deleted between two queries of one request."""

    @pytest.fixture
    def delete_newest_after(self):
        """`with delete_newest_after(sql):` once a query has this in it."""

        @contextmanager
        def delete_newest_after(sql):
            deleted = []

            def wrapper(execute, query, params, many, context):
                result = execute(query, params, many, context)
                if sql in query and not deleted:
                    deleted.append(Message.objects.newest_first().first().pk)
                    Message.objects.filter(pk=deleted[0])._raw_delete("default")
                return result

            with connection.execute_wrapper(wrapper):
                yield
            assert deleted

        return delete_newest_after

    def test_a_page_is_not_taken_for_the_last(self, api, alice, conversation, delete_newest_after):
        for n in range(30):
            send(conversation, f"{n}", actor=alice)
        client = api(alice)
        with delete_newest_after('"last_at"'):
            response = client.get(MESSAGES, {"page_size": 10})
        assert [row["message_body"] for row in response.json()["results"]] == [
            f"{n}" for n in range(28, 18, -1)
        ]
        assert response.json()["next"]

    def test_there_is_still_a_last_message(self, api, alice, conversation, delete_newest_after):
        for body in ("1", "2"):
            send(conversation, body, actor=alice)
        client = api(alice)
        with delete_newest_after('"updated_at" DESC'):
            response = client.get(CONVERSATIONS)
        assert response.json()["results"][0]["last_message"]["message_body"] == "1"


@pytest.mark.parametrize("query", ["?sender={mallory}", "?cursor=bad", "?x=1"])
def test_what_narrows_a_list_does_not_narrow_one_object(api, alice, mallory, message, query):
    query = query.format(mallory=mallory.pk)
    for path in (
        f"{CONVERSATIONS}{message.conversation_id}/",
        f"{MESSAGES}{message.pk}/",
        f"{CONVERSATIONS}{message.conversation_id}/messages/{message.pk}/",
    ):
        assert api(alice).get(f"{path}{query}").status_code == 200


class TestCursor:
    def test_of_another_list_is_refused(self, api, alice, bob):
        for _ in range(2):
            start({bob.pk}, actor=alice)
        client = api(alice)
        following = client.get(CONVERSATIONS, {"page_size": 1}).json()["next"]
        [cursor] = parse_qs(urlsplit(following).query)["cursor"]
        response = client.get(MESSAGES, {"cursor": cursor})
        assert (response.status_code, list(response.json())) == (400, ["cursor"])

    def test_that_was_tampered_with_is_refused(self, api, alice, bob):
        for _ in range(2):
            start({bob.pk}, actor=alice)
        client = api(alice)
        following = client.get(CONVERSATIONS, {"page_size": 1}).json()["next"]
        [cursor] = parse_qs(urlsplit(following).query)["cursor"]
        for place in range(0, len(cursor), 5):
            changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
            response = client.get(CONVERSATIONS, {"cursor": changed})
            assert (response.status_code, list(response.json())) == (400, ["cursor"])
