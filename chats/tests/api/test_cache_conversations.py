"""Cached summaries and details of conversations: never stale, never for an outsider."""

import pytest
from django.conf import settings
from django.core.cache import caches

from chats.caching import get_detail
from chats.models import Conversation, Participation
from chats.services import add_participant, delete, edit, remove_participant, rename, send
from chats.statements import get_conversation
from chats.tests.support.expected import NOT_FOUND
from chats.tests.support.paths import CONVERSATIONS, conversation_path

local_memory = pytest.mark.skipif(bool(settings.CACHE_URL), reason="looks into local memory")


@pytest.fixture(params=["list", "", "?updated_at_after=2000-01-01"])
def show(request, api, conversation):
    """`show(alice)` is the conversation as the list, or its own endpoint, shows it to Alice."""

    def show(user):
        if request.param != "list":
            return api(user).get(f"{conversation_path(conversation)}{request.param}").json()
        [row] = api(user).get(CONVERSATIONS).json()["results"]
        return row

    return show


def test_summary_and_detail_are_shared_by_participants(show, alice, bob, message):
    before = show(alice)
    Conversation.objects.update(title="changed")
    assert show(alice) == before
    assert show(bob)["title"] == ""
    for cache in caches.all():
        cache.clear()
    assert show(bob)["title"] == "changed"


@pytest.mark.parametrize(
    "change",
    [
        lambda message, bob, carol: send(message.conversation, "News", actor=bob),
        lambda message, bob, carol: edit(message, "Edited", actor=message.sender),
        lambda message, bob, carol: delete(message, actor=message.sender),
        lambda message, bob, carol: rename(message.conversation, "Renamed", actor=bob),
        lambda message, bob, carol: add_participant(message.conversation, carol.pk, actor=bob),
        lambda message, bob, carol: message.conversation.participants.remove(bob),
        lambda message, bob, carol: remove_participant(
            message.conversation, bob.pk, actor=message.sender
        ),
    ],
    ids=["send", "edit", "delete", "rename", "join", "leave", "remove"],
)
def test_change_is_in_the_next_response(show, alice, bob, carol, message, change):
    before = show(alice)
    change(message, bob, carol)
    after = show(alice)
    assert after["updated_at"] > before["updated_at"]
    shown = ("title", "participants", "last_message")
    assert [before[name] for name in shown] != [after[name] for name in shown]
    for cache in caches.all():
        cache.clear()
    assert show(alice) == after


def test_read_state_is_not_shared(show, alice, bob, message):
    for _ in ("cold", "warm"):
        assert show(bob)["unread_count"] == 1
        assert show(alice)["unread_count"] == 0
    Participation.objects.filter(user=bob).update(read_at=message.sent_at)
    assert show(bob)["unread_count"] == 0
    assert show(bob)["read_at"] != show(alice)["read_at"]


def test_outsider_never_gets_a_cached_conversation(show, api, alice, bob, mallory, conversation):
    show(alice), show(bob)
    path = conversation_path(conversation)
    conversation.participants.remove(bob)
    show(alice)
    for outsider in (mallory, bob):
        assert api(outsider).get(CONVERSATIONS).json()["results"] == []
        response = api(outsider).get(path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)


def test_participant_who_leaves_during_the_request_gets_no_detail(bob, conversation):
    found = get_conversation(bob, conversation.pk)
    conversation.participants.remove(bob)
    with pytest.raises(Conversation.DoesNotExist):
        get_detail(bob, found)


def test_poll_without_news_is_a_304(api, alice, bob, conversation, message):
    for path in (CONVERSATIONS, conversation_path(conversation)):
        etag = api(bob).get(path).headers["ETag"]
        response = api(bob).get(path, HTTP_IF_NONE_MATCH=etag)
        assert (response.status_code, response.content) == (304, b"")
        api(bob).post(f"{conversation_path(conversation)}read/", {"read_at": message.sent_at})
        response = api(bob).get(path, HTTP_IF_NONE_MATCH=etag)
        assert (response.status_code, "ETag" in response.headers) == (200, True)
        Participation.objects.update(read_at=conversation.created_at)
