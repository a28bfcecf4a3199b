"""Search: its results, and the limits of its time and number."""

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from rest_framework.throttling import SimpleRateThrottle

from chats.models import Message, User
from chats.rest.search import SEARCHES_AT_ONCE, limited_concurrency, limited_search_time
from chats.services import send, start
from chats.tests.support.expected import listed_bodies, page, public_profile
from chats.tests.support.paths import CONVERSATIONS, MESSAGES, messages_path
from chats.tests.support.rows import import_messages

USERS = "/api/users/"
TOO_LONG = "This takes too long: narrow it by a further filter."


@pytest.fixture
def long_history(conversation, alice):
    """Messages whose search for `a…ab` takes SQLite and PostgreSQL half a second."""
    import_messages(conversation, alice, 300, message_body="a" * 10_000)


def test_search_is_literal_and_ignores_ascii_case(api, alice, conversation, list_path):
    def search(text):
        return listed_bodies(api(alice).get(list_path, {"search": text}))

    for body in ["100% sure", "100 percent", "under_score", "back\\slash", "a  b ", "ÄRGER"]:
        send(conversation, body, actor=alice)
    assert search("% SURE") == ["100% sure"]
    assert search("r_s") == ["under_score"]
    assert search("k\\s") == ["back\\slash"]
    assert search("  B ") == ["a  b "]
    assert search("  ") == ["a  b "]
    assert search("Ärger") == ["ÄRGER"]
    assert search("100") == ["100 percent", "100% sure"]
    assert search("nothing of the kind") == []
    assert search("%" * 100) == []


@pytest.mark.usefixtures("conversation")
def test_search_finds_contacts_by_name(api, alice, bob):
    client = api(alice)
    for text in ["bob", "OB TES", "Bob Test"]:
        assert client.get(USERS, {"search": text}).json() == page(public_profile(bob))
    for text in ["alice", "mallory", "bob@example.com"]:
        assert client.get(USERS, {"search": text}).json() == page()


@pytest.mark.parametrize(
    "url", [CONVERSATIONS, f"{CONVERSATIONS}{{pk}}/messages/", MESSAGES, USERS]
)
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "Give it a value, or leave it out."),
        ("x" * 101, "Ensure this value has at most 100 characters (it has 101)."),
    ],
    ids=["empty", "too long"],
)
def test_search_has_1_to_100_characters(api, alice, conversation, url, text, error):
    response = api(alice).get(url.format(pk=conversation.pk), {"search": text})
    assert (response.status_code, response.json()) == (400, {"search": [error]})


@pytest.mark.usefixtures("long_history")
def test_search_that_takes_too_long_is_a_400(api, alice, list_path, monkeypatch):
    client = api(alice)
    text = {"search": "a" * 99 + "b"}
    monkeypatch.setattr("chats.rest.search.SEARCH_MAX_SECONDS", 0.01)
    response = client.get(list_path, text)
    assert (response.status_code, response.json()) == (400, {"search": [TOO_LONG]})
    # The same connection goes on, without the limit.
    assert client.get(list_path).status_code == 200
    assert Message.objects.filter(message_body__icontains=text["search"]).first() is None


@pytest.mark.django_db
def test_other_database_errors_are_not_a_search_timeout():
    with (
        pytest.raises(DatabaseError, match="nothing"),
        limited_search_time(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM nothing")


def test_two_searches_run_at_once_for_a_user(api, alice, bob, list_path):
    clients = api(alice), api(bob)
    text = {"search": "Hello"}
    with limited_concurrency(alice.pk):
        assert clients[0].get(list_path, text).status_code == 200
        with limited_concurrency(alice.pk):
            response = clients[0].get(list_path, {"search": "hello"})
            assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
            assert clients[0].get(list_path).status_code == 200
            assert clients[1].get(list_path, {"search": "hello"}).status_code == 200
    assert SEARCHES_AT_ONCE == 2
    assert clients[0].get(list_path, {"search": "hello"}).status_code == 200


def test_failed_search_is_no_longer_running(api, alice):
    for _ in range(SEARCHES_AT_ONCE + 1):
        assert api(alice).get(MESSAGES, {"search": "x", "cursor": "nonsense"}).status_code == 400
    assert api(alice).get(MESSAGES, {"search": "x"}).status_code == 200


def test_searches_are_throttled_by_user(api, alice, bob, path, monkeypatch):
    rates = dict.fromkeys(["sign_in", "register", "reset", "refresh", "write"])
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", rates | {"search": "3/min"})
    client = api(alice)
    searches = [(USERS, "bob"), (MESSAGES, "hello"), (path, "hello"), (path, "other")]
    statuses = [client.get(url, {"search": text}).status_code for url, text in searches]
    assert statuses == [200, 200, 200, 429]
    response = client.get(MESSAGES, {"search": "hello"})
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    for url in (USERS, MESSAGES, path, CONVERSATIONS):
        assert client.get(url).status_code == 200
    assert client.get("/api/users/me/", {"search": "x"}).status_code == 200
    assert api(bob).get(MESSAGES, {"search": "hello"}).status_code == 200


class TestAdmin:
    TOO_LONG = b"This search takes too long. Search for an id, or narrow it."

    @pytest.fixture
    def root(self, client, db):
        client.force_login(User.objects.create_superuser("root@example.com"))
        return client

    @pytest.mark.usefixtures("long_history")
    @pytest.mark.parametrize("method", ["get", "head", "options"])
    def test_search_that_takes_too_long_is_a_400(self, root, monkeypatch, method):
        monkeypatch.setattr("chats.rest.search.SEARCH_MAX_SECONDS", 0.01)
        path = "/admin/chats/message/"
        response = getattr(root, method)(f"{path}?q={'a' * 99}b")
        assert response.status_code == 400
        assert response.content == (b"" if method == "head" else self.TOO_LONG)
        # The list itself is limited too, and takes longer on a busy machine.
        monkeypatch.setattr("chats.rest.search.SEARCH_MAX_SECONDS", 60)
        assert root.get(path).status_code == 200

    def test_autocomplete_that_takes_too_long_is_a_400(self, root, monkeypatch):
        names = {"first_name": "a" * 150, "last_name": "b" * 150}
        User.objects.bulk_create(User(email=f"{n}@example.com", **names) for n in range(5_000))
        monkeypatch.setattr("chats.rest.search.SEARCH_MAX_SECONDS", 0.001)
        query = "app_label=chats&model_name=conversation&field_name=participants&term=nobody"
        assert root.get(f"/admin/autocomplete/?{query}").content == self.TOO_LONG

    @pytest.mark.parametrize("across", ["0", "1"])
    def test_action_deletes_the_selected_rows_without_a_search(self, root, message, across):
        kept, _ = send(message.conversation, "Hello again", actor=message.sender)
        body = {"action": "delete_selected", "_selected_action": message.pk, "post": "yes"}
        with CaptureQueriesContext(connection) as queries:
            root.post("/admin/chats/message/?q=hello", body | {"select_across": across})
        assert [query["sql"] for query in queries if "LIKE" in query["sql"]] == []
        assert list(Message.objects.exclude(message_body="")) == [kept]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        (CONVERSATIONS, "participants"),
        (MESSAGES, "sender"),
        ("/api/conversations/{pk}/messages/", "sender"),
    ],
)
class TestOtherExpensiveFilters:
    def test_two_run_at_once_for_a_user(self, api, alice, conversation, path, parameter):
        path = path.format(pk=conversation.pk)
        with limited_concurrency(alice.pk):
            assert api(alice).get(path, {parameter: alice.pk}).status_code == 200
            with limited_concurrency(alice.pk):
                response = api(alice).get(path, {parameter: alice.pk, "page_size": 2})
                assert (response.status_code, response.headers["Retry-After"]) == (429, "1")

    @pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's limit is 1 ms or more")
    def test_time_is_limited(self, api, alice, conversation, path, parameter, monkeypatch):
        monkeypatch.setattr("chats.rest.search.SEARCH_MAX_SECONDS", 0)
        monkeypatch.setattr("chats.rest.search.SQLITE_INSTRUCTIONS", 1)
        response = api(alice).get(path.format(pk=conversation.pk), {parameter: alice.pk})
        assert (response.status_code, response.json()) == (400, {parameter: [TOO_LONG]})


@pytest.mark.parametrize("path", [MESSAGES, USERS])
def test_two_lists_over_many_conversations_load_at_once(
    api, alice, bob, message, path, monkeypatch
):
    start({bob.pk}, actor=alice)
    with limited_concurrency(alice.pk), limited_concurrency(alice.pk):
        assert api(alice).get(path).status_code == 200
        monkeypatch.setattr("chats.rest.search.MANY_CONVERSATIONS", 1)
        assert api(alice).get(path, {"page_size": 2}).status_code == 429
        assert api(alice).get(USERS, {"email": "bob@example.com"}).status_code == 200
        assert api(alice).get(messages_path(message.conversation)).status_code == 200
