"""The links `next` and `previous` lead through every list, in either order and both ways."""

import pytest
from django.db import connection

from chats.models import Message
from chats.services import send, start

CONVERSATIONS = "/api/conversations/"
MESSAGES = "/api/messages/"
USERS = "/api/users/"


def walk(client, url, link, key):
    """The pages from this one, each a list of ids, and the last page."""
    pages, page = [], {link: url}
    while page[link]:
        page = client.get(page[link]).json()
        pages.append([row[key] for row in page["results"]])
    return pages, page


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (f"{CONVERSATIONS}{{conversation.pk}}/messages/?ordering=sent_at", "message_id"),
        (f"{CONVERSATIONS}{{conversation.pk}}/messages/?ordering=-sent_at", "message_id"),
        (f"{MESSAGES}?ordering=sent_at", "message_id"),
        (f"{MESSAGES}?ordering=-sent_at", "message_id"),
        (f"{MESSAGES}?conversation={{conversation.pk}}", "message_id"),
        (f"{CONVERSATIONS}?", "conversation_id"),
        (f"{USERS}?", "user_id"),
    ],
)
def test_the_way_back_shows_the_same_pages(
    api, alice, bob, carol, mallory, conversation, path, key
):
    conversations = [conversation]
    conversations += [start({other.pk}, actor=alice)[0] for other in (bob, carol, mallory, carol)]
    for n in range(7):
        send(conversations[0 if n < 5 else n - 4], f"{n}", actor=alice)
    first = f"{path.format(conversation=conversation)}&page_size=2"
    forth, last = walk(api(alice), first, "next", key)
    assert len(forth) > 1
    back, _ = walk(api(alice), last["previous"], "previous", key)
    assert back == forth[-2::-1]


def test_a_page_of_many_conversations_is_not_taken_for_the_last(api, alice, bob):
    """The newest message of the newest conversation is deleted during the request."""
    for n in range(3):
        conversation, _ = start({bob.pk}, actor=alice)
        send(conversation, f"{n}", actor=alice)
    deleted = []

    def delete_newest(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if '"last_at"' in sql and not deleted:
            deleted.append(Message.objects.newest_first().first())
            Message.objects.filter(pk=deleted[0].pk)._raw_delete("default")
        return result

    with connection.execute_wrapper(delete_newest):
        response = api(alice).get(MESSAGES, {"page_size": 1}).json()
    assert deleted[0].message_body == "2"
    assert [row["message_body"] for row in response["results"]] == ["1"]
    assert response["next"]
