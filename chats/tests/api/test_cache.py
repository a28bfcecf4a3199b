"""The cached lists: served from the cache, never stale, never to an outsider."""

import runpy
import time

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from rest_framework_simplejwt.tokens import AccessToken

from chats import caching
from chats.caching import INBOX_CACHE_SECONDS
from chats.models import Conversation, Message, User
from chats.serializers import ConversationSerializer, MessageSerializer, PublicProfileSerializer
from chats.services import send, start
from chats.statements import get_clocks
from chats.tests.support.expected import NOT_FOUND, listed_bodies
from chats.tests.support.paths import MESSAGES
from chats.tests.support.rows import import_messages
from messaging_app.backends.cache import RedisCache

local_memory = pytest.mark.skipif(bool(settings.CACHE_URL), reason="looks into local memory")


def test_second_page_comes_from_the_cache(api, alice, list_path, message):
    first = api(alice).get(list_path)
    Message.objects.update(message_body="changed")
    second = api(alice).get(list_path)
    assert listed_bodies(second) == ["Hello, Bob"]
    assert second.content == first.content
    del first.headers["X-Request-ID"], second.headers["X-Request-ID"]
    assert second.headers == first.headers
    cache.clear()
    assert listed_bodies(api(alice).get(list_path)) == ["changed"]


@pytest.mark.usefixtures("message")
def test_nested_page_is_shared_by_participants(api, alice, bob, path):
    api(alice).get(path)
    Message.objects.update(message_body="changed")
    assert listed_bodies(api(bob).get(path)) == ["Hello, Bob"]


@pytest.mark.usefixtures("message")
def test_flat_page_is_not_shared(api, alice, bob):
    api(alice).get(MESSAGES)
    Message.objects.update(message_body="changed")
    assert listed_bodies(api(bob).get(MESSAGES)) == ["changed"]


@pytest.mark.usefixtures("message")
def test_outsider_never_gets_a_cached_page(api, alice, mallory, conversation, path):
    for _ in ("cold", "warm"):
        response = api(mallory).get(path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert listed_bodies(api(mallory).get(MESSAGES)) == []
        assert listed_bodies(api(mallory).get(MESSAGES, {"conversation": conversation.pk})) == []
        api(alice).get(path)
        api(alice).get(MESSAGES)
        api(alice).get(MESSAGES, {"conversation": conversation.pk})
    assert api().get(path).status_code == 401


@pytest.mark.usefixtures("message")
def test_removed_participant_gets_a_404_on_the_next_request(api, bob, conversation, path):
    client = api(bob)
    assert listed_bodies(client.get(path)) == ["Hello, Bob"]
    assert listed_bodies(client.get(MESSAGES)) == ["Hello, Bob"]
    etag = client.get(path).headers["ETag"]
    conversation.participants.remove(bob)
    for headers in ({}, {"HTTP_IF_NONE_MATCH": etag}):
        response = client.get(path, **headers)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
    assert listed_bodies(client.get(MESSAGES)) == []


def test_sent_message_is_in_the_next_response(api, alice, bob, path, list_path, message):
    assert listed_bodies(api(alice).get(list_path)) == ["Hello, Bob"]
    response = api(bob).post(path, {"message_body": "Hello, Alice"})
    assert response.status_code == 201
    for user in (alice, bob):
        assert listed_bodies(api(user).get(list_path)) == ["Hello, Alice", "Hello, Bob"]


def test_deleted_rows_are_not_in_the_next_response(api, alice, list_path, message):
    for delete in (message.delete, lambda: Message.objects.all().delete()):
        send(message.conversation, "Another one", actor=alice)
        before = listed_bodies(api(alice).get(list_path))
        delete()
        assert len(listed_bodies(api(alice).get(list_path))) < len(before)


def test_flat_list_shows_messages_of_a_host_whose_clock_is_behind(api, alice, bob, conversation):
    """The newest clock stands still while another one moves behind it."""
    ahead, _ = start({bob.pk}, actor=alice)
    send(ahead, "Ahead", actor=alice)
    assert listed_bodies(api(alice).get(MESSAGES)) == ["Ahead"]
    import_messages(conversation, bob, 1, conversation.created_at, "Behind")
    Conversation.objects.filter(pk=conversation.pk).update(
        updated_at=ahead.created_at - (ahead.created_at - conversation.created_at) / 2
    )
    assert listed_bodies(api(alice).get(MESSAGES)) == ["Ahead", "Behind"]


def test_cache_key_contains_the_query_string(api, alice, list_path, conversation):
    for body in ("1", "2"):
        send(conversation, body, actor=alice)
    for _ in ("cold", "warm"):
        assert listed_bodies(api(alice).get(list_path)) == ["2", "1"]
        assert listed_bodies(api(alice).get(list_path, {"ordering": "sent_at"})) == ["1", "2"]
        assert listed_bodies(api(alice).get(list_path, {"search": "1"})) == ["1"]
        assert listed_bodies(api(alice).get(list_path, {"page_size": 1})) == ["2"]


class TestCacheHeaders:
    def test_are_private_no_cache_without_max_age(self, api, alice, list_path, message):
        for _ in ("cold", "warm"):
            response = api(alice).get(list_path)
            assert response.headers["Cache-Control"] == "private, no-cache"
            assert "Expires" not in response.headers
            assert "Age" not in response.headers
            assert response.headers["ETag"]

    def test_poll_without_news_is_a_304_without_a_body(self, api, alice, bob, list_path, message):
        for _ in ("cold", "warm"):
            etag = api(alice).get(list_path).headers["ETag"]
            response = api(alice).get(list_path, HTTP_IF_NONE_MATCH=etag)
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["ETag"] == etag
            assert response.headers["Cache-Control"] == "private, no-cache"
        send(message.conversation, "News", actor=bob)
        response = api(alice).get(list_path, HTTP_IF_NONE_MATCH=etag)
        assert listed_bodies(response) == ["News", "Hello, Bob"]

    def test_etag_survives_a_new_access_token(self, api, alice, list_path, message):
        client = api()
        tokens = [AccessToken.for_user(alice) for _ in range(2)]
        assert str(tokens[0]) != str(tokens[1])
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens[0]}")
        etag = client.get(list_path).headers["ETag"]
        Message.objects.update(message_body="changed")
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens[1]}")
        assert client.get(list_path, HTTP_IF_NONE_MATCH=etag).status_code == 304


def test_accept_header_of_one_caller_is_not_served_to_another(api, alice, bob, list_path, message):
    for user in (alice, bob):
        response = api(user).get(list_path, HTTP_ACCEPT="application/json; charset=utf-7; indent=3")
        assert response.headers["Content-Type"] == "application/json"
        assert listed_bodies(response) == ["Hello, Bob"]


def test_query_string_that_is_not_percent_encoded_is_a_400(api, alice, list_path):
    """Bytes that are not percent-encoded: the cache key holds them in another way than the
    filters."""
    response = api(alice).get(list_path, QUERY_STRING="search=é".encode().decode("latin-1"))
    assert (response.status_code, response.json()) == (
        400,
        {"detail": "Percent-encode the query string."},
    )


@local_memory
def test_entry_holds_the_bytes_once(api, alice, list_path, conversation):
    for _ in range(6):
        send(conversation, "x" * 10_000, actor=alice)
    size = len(api(alice).get(list_path).content)
    entries = [len(entry) for entry in cache._cache.values()]
    assert size < max(entries) < size + 2_000


@local_memory
def test_error_is_not_cached(api, alice, list_path, message):
    assert api(alice).get(list_path, {"page_size": "0"}).status_code == 400
    assert not cache._cache


@pytest.mark.skipif(bool(settings.CACHE_URL), reason="sets the clock of local memory")
@pytest.mark.parametrize(
    "path",
    [
        "/api/conversations/",
        "/api/conversations/{conversation}/",
        "/api/conversations/{conversation}/messages/",
        "/api/messages/",
    ],
)
def test_a_changed_name_is_shown_after_a_minute(api, alice, bob, message, monkeypatch, path):
    client, path = api(bob), path.format(conversation=message.conversation_id)
    before = client.get(path).json()
    User.objects.filter(pk=alice.pk).update(first_name="Alicia")
    now = time.time()

    def get_at(seconds, **parameters):
        monkeypatch.setattr(time, "time", lambda: now + seconds)
        return client.get(path, parameters)

    assert get_at(INBOX_CACHE_SECONDS - 5).json() == before
    if path == CONVERSATIONS:
        # Another page of the inbox is put together from the same summaries.
        get_at(INBOX_CACHE_SECONDS - 1, page_size=9)
        assert "Alicia" in get_at(61, page_size=9).content.decode()
    assert "Alicia" in get_at(61).content.decode()


CONVERSATIONS = "/api/conversations/"


def get_keys(user, conversation):
    """As a process computes them that starts now."""
    started = runpy.run_path(caching.__file__)
    return {
        started["get_conversation_key"](conversation),
        started["get_user_key"](user, get_clocks(user).digest),
    }


@pytest.mark.parametrize(
    "serializer", [PublicProfileSerializer, MessageSerializer, ConversationSerializer]
)
def test_a_serializer_with_another_field_changes_every_key(alice, conversation, serializer):
    before = get_keys(alice, conversation)
    assert before == get_keys(alice, conversation)
    fields = serializer.Meta.fields
    fields.append("a_later_field")
    try:
        after = get_keys(alice, conversation)
    finally:
        fields.remove("a_later_field")
    assert len(before | after) == 4


@pytest.mark.parametrize("path", ["", "{conversation}/", "{conversation}/messages/", "/messages/"])
def test_a_page_of_another_version_is_not_shown(api, alice, bob, message, monkeypatch, path):
    path = path.format(conversation=message.conversation_id)
    path = f"/api{path}" if path.startswith("/") else f"{CONVERSATIONS}{path}"
    before = api(alice).get(path).json()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chats_message SET message_body = 'changed'")
    assert api(alice).get(path).json() == before
    monkeypatch.setattr(caching, "JSON_VERSION", "later")
    assert "changed" in api(alice).get(path).content.decode()


def test_client_of_redis_is_made_once():
    """Nothing connects to this address."""
    client = RedisCache("redis://127.0.0.1:1", {"LOCAL": "default"})._cache
    assert client.get_client() is client.get_client(write=True)
