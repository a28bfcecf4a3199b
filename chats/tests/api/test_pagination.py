"""Pages and cursors."""

from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection

from chats.models import Message, User
from chats.services import send, start
from chats.tests.support.expected import listed_bodies
from chats.tests.support.paths import CONVERSATIONS, MESSAGES
from chats.tests.support.rows import START, import_conversations, import_messages


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
    def test_of_a_conversation_are_complete_and_in_order(
        self, api, alice, conversation, path, page_size, ordering
    ):
        messages = import_messages(conversation, alice, 25)
        expected = [str(message.pk) for message in messages]
        if ordering == "-sent_at":
            expected.reverse()
        pages = walk(api(alice), path, "message_id", page_size=page_size, ordering=ordering)
        assert flat(pages) == expected
        assert {len(page) for page in pages[:-1]} <= {page_size}

    def test_of_all_messages_with_equal_times_are_complete_and_in_order(
        self, api, alice, bob, mallory, page_size, ordering
    ):
        """Imported data: the same moments in many conversations."""
        messages = []
        for n in range(30):
            conversation, _ = start({bob.pk}, actor=alice)
            messages += import_messages(conversation, alice, n % 4, START)
        hidden, _ = start({bob.pk}, actor=mallory)
        import_messages(hidden, mallory, 1, START)
        messages.sort(key=lambda m: (m.sent_at, m.pk), reverse=ordering == "-sent_at")
        pages = walk(api(alice), MESSAGES, "message_id", page_size=page_size, ordering=ordering)
        assert flat(pages) == [str(message.pk) for message in messages]


def test_previous_leads_back_to_the_start(api, alice, conversation, path):
    import_messages(conversation, alice, 10)
    client = api(alice)
    forth = walk(client, path, "message_id", page_size=3)
    last = client.get(path, {"page_size": 3}).json()
    while last["next"]:
        last = client.get(last["next"]).json()
    back = walk(client, last["previous"], "message_id", link="previous")
    assert back == forth[-2::-1]


def test_page_beyond_deleted_rows_leads_back(api, alice, conversation, path):
    """Where nothing is left beyond a cursor, the way back begins at that end of the list."""
    rows = import_messages(conversation, alice, 4)
    client = api(alice)
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


def test_messages_sent_while_paging_do_not_shift_the_pages(api, alice, conversation, path):
    sent = [str(send(conversation, f"{n}", actor=alice)[0].pk) for n in range(9)]
    client = api(alice)
    response = client.get(path, {"page_size": 2}).json()
    seen = [row["message_id"] for row in response["results"]]
    while response["next"]:
        send(conversation, "In between", actor=alice)
        response = client.get(response["next"]).json()
        seen += [row["message_id"] for row in response["results"]]
    assert seen == sent[::-1]


def test_1100_conversations_with_the_same_time_are_paged_through(api, alice, bob):
    """DRF's cursor goes round for ever from 1,000 equal values on."""
    conversations = import_conversations(1_100, alice, bob)
    pages = walk(api(alice), CONVERSATIONS, "conversation_id", page_size=100)
    assert flat(pages) == sorted((str(c.pk) for c in conversations), reverse=True)


def test_contacts_are_paged_by_user_id(api, alice, make_user):
    others = [make_user(f"User{n}") for n in range(7)]
    start({user.pk for user in others}, actor=alice)
    pages = walk(api(alice), "/api/users/", "user_id", page_size=3)
    assert flat(pages) == sorted(str(user.pk) for user in others)


class TestPageSize:
    @pytest.mark.parametrize(
        ("page_size", "count"),
        [(None, 20), ("1", 1), ("100", 100), ("101", 100), ("9" * 5000, 100), ("007", 7)],
    )
    def test_is_between_1_and_100(self, api, alice, conversation, path, page_size, count):
        import_messages(conversation, alice, 120)
        parameters = {} if page_size is None else {"page_size": page_size}
        for url in (path, MESSAGES):
            assert len(api(alice).get(url, parameters).json()["results"]) == count

    @pytest.mark.parametrize("page_size", ["0", "-1", "x", "1.5", "1e3", "", "1_0", "5.0", "٣"])
    @pytest.mark.parametrize("path", [CONVERSATIONS, MESSAGES, "/api/users/"])
    def test_of_another_form_is_a_400(self, api, alice, path, page_size):
        response = api(alice).get(path, {"page_size": page_size})
        assert response.status_code == 400
        assert list(response.json()) == ["page_size"]


class TestMessageDeletedBetweenTwoQueries:
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

    def test_page_is_not_taken_for_the_last(self, api, alice, conversation, delete_newest_after):
        for n in range(30):
            send(conversation, f"{n}", actor=alice)
        client = api(alice)
        with delete_newest_after('"last_at"'):
            response = client.get(MESSAGES, {"page_size": 10})
        assert listed_bodies(response) == [f"{n}" for n in range(28, 18, -1)]
        assert response.json()["next"]

    def test_conversation_still_has_a_last_message(
        self, api, alice, conversation, delete_newest_after
    ):
        for body in ("1", "2"):
            send(conversation, body, actor=alice)
        client = api(alice)
        with delete_newest_after('"updated_at" DESC'):
            response = client.get(CONVERSATIONS)
        assert response.json()["results"][0]["last_message"]["message_body"] == "1"


class TestCursor:
    @pytest.fixture
    def cursor(self, api, alice, bob):
        """Of Alice's conversations."""
        import_conversations(2, alice, bob)
        following = api(alice).get(CONVERSATIONS, {"page_size": 1}).json()["next"]
        [cursor] = parse_qs(urlsplit(following).query)["cursor"]
        return cursor

    def test_of_another_list_is_a_400(self, api, alice, cursor):
        response = api(alice).get(MESSAGES, {"cursor": cursor})
        assert (response.status_code, list(response.json())) == (400, ["cursor"])

    def test_that_was_changed_is_a_400(self, api, alice, cursor):
        for place in range(0, len(cursor), 5):
            changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
            response = api(alice).get(CONVERSATIONS, {"cursor": changed})
            assert (response.status_code, list(response.json())) == (400, ["cursor"])


class TestPageBytes:
    """A page ends after the row with which it has more than 512 KiB."""

    # Each of these characters is six bytes in JSON, or four.
    @pytest.mark.parametrize(("character", "rows"), [("\x01", 9), ("😀", 14)])
    def test_messages(self, api, alice, conversation, path, character, rows):
        import_messages(conversation, alice, 30, message_body=character * 10_000)
        for url in (path, MESSAGES):
            for ordering in ("sent_at", "-sent_at"):
                pages = walk(api(alice), url, "message_id", page_size=100, ordering=ordering)
                assert [len(page) for page in pages[:-1]] == [rows] * (30 // rows)
                assert len(set(flat(pages))) == 30
        detail = api(alice).get(f"{CONVERSATIONS}{conversation.pk}/").json()
        assert detail["messages"] == api(alice).get(path).json()["results"]
        assert len(detail["messages"]) == rows

    def test_of_the_way_back(self, api, alice, conversation, path):
        messages = import_messages(conversation, alice, 30, message_body="\x01" * 10_000)
        client = api(alice)
        last = client.get(path, {"page_size": 29}).json()
        while last["next"]:
            last = client.get(last["next"]).json()
        pages = walk(client, last["previous"], "message_id", link="previous")
        there = [str(message.pk) for message in messages[len(last["results"]) :]]
        assert flat([page[::-1] for page in pages]) == there
        assert {len(page) for page in pages[:-1]} == {9}

    def test_conversations_with_long_names(self, api, alice):
        name = "😀" * 150
        people = User.objects.bulk_create(
            User(email=f"{n}@example.com", first_name=name, last_name=name) for n in range(255)
        )
        import_conversations(5, alice, *people)
        # A conversation has 340 kB.
        pages = walk(api(alice), CONVERSATIONS, "conversation_id", page_size=100)
        assert [len(page) for page in pages] == [2, 2, 1]
        response = api(alice).get(CONVERSATIONS)
        assert len(response.content) < (512 + 340) * 1024
        assert len(api(alice).get("/api/users/", {"page_size": 100}).json()["results"]) == 100

    @pytest.mark.parametrize("parameters", [{}, {"created_at_after": "2000-01-01T00:00:00Z"}])
    def test_participants_of_a_page_are_bounded(self, api, alice, bob, monkeypatch, parameters):
        monkeypatch.setattr("chats.pagination.PAGE_MAX_PARTICIPANTS", 3)
        import_conversations(5, alice, bob)
        pages = walk(api(alice), CONVERSATIONS, "conversation_id", **parameters)
        assert [len(page) for page in pages] == [2, 2, 1]
        assert len(set(flat(pages))) == 5
