"""Query budgets: the same at 1 and at 100 rows. Transaction statements are not counted."""

import pytest
from django.core.cache import caches
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework_simplejwt.tokens import RefreshToken

from chats.auth import TokenRefreshSerializer
from chats.models import Message, Participation
from chats.safety.models import Report
from chats.services import send, start
from chats.tests.support.paths import CONVERSATIONS, MESSAGES, conversation_path, messages_path
from chats.tests.support.rows import import_conversations, import_messages

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def count_queries(call):
    with CaptureQueriesContext(connection) as context:
        response = call()
    assert response.status_code in range(200, 300), response.content
    queries = [query["sql"] for query in context.captured_queries]
    return len([sql for sql in queries if not sql.startswith(TRANSACTION)])


@pytest.fixture(params=[1, 100])
def rows(request):
    return request.param


@pytest.fixture
def grown(rows, alice, bob, make_user):
    """A conversation with this many messages and, beside Alice, participants."""
    others = [make_user(f"User{n}").pk for n in range(rows - 1)]
    conversation, _ = start({bob.pk, *others}, actor=alice)
    import_messages(conversation, alice, rows - 1)
    send(conversation, "The last one", actor=bob)
    return conversation


@pytest.fixture
def many(grown, rows, alice, bob):
    """Alice has this many conversations, with a message each."""
    import_conversations(rows - 1, alice, bob, message_body="Hello")
    return grown


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="about prepared statements")
def test_prepared_statements_survive_a_new_column(api, alice, bob, conversation):
    """By another process, which migrates."""
    send(conversation, "Hello", actor=bob)
    detail = conversation_path(conversation)
    paths = [CONVERSATIONS, detail, f"{detail}messages/", MESSAGES]
    tables = ["user", "conversation", "conversation_participants", "message"]
    migrating = connection.copy()
    try:
        for change in ("ADD COLUMN later integer", "DROP COLUMN later"):
            assert [api(alice).get(path).status_code for path in paths * 3] == [200] * 12
            with migrating.cursor() as cursor:
                for table in tables:
                    cursor.execute(f"ALTER TABLE chats_{table} {change}")
            caches["default"].clear()
            assert [api(alice).get(path).status_code for path in paths] == [200] * 4
    finally:
        migrating.close()


def test_queries_of_the_nested_message_list(api, alice, grown):
    client = api(alice)
    path = f"{messages_path(grown)}?page_size=100"
    # Caller, conversation, messages with their senders.
    assert count_queries(lambda: client.get(path)) == 3
    # Caller, conversation.
    assert count_queries(lambda: client.get(path)) == 2


def test_queries_of_the_flat_message_list(api, alice, many):
    client = api(alice)
    path = f"{MESSAGES}?page_size=100"
    # Caller, clocks, where the first messages lie, messages with their senders.
    assert count_queries(lambda: client.get(path)) == 4
    # Caller, clocks.
    assert count_queries(lambda: client.get(path)) == 2


def test_queries_of_the_conversation_list(api, alice, bob, many):
    client = api(alice)
    path = f"{CONVERSATIONS}?page_size=100"
    # Caller, conversations, participants, last messages with their senders, unread messages.
    assert count_queries(lambda: client.get(path)) == 5
    many.participants.remove(*many.participants.exclude(pk__in=[alice.pk, bob.pk]))
    client.get(path)
    # 100 conversations are too large a page for the cache.
    path = f"{CONVERSATIONS}?page_size=50"
    client.get(path)
    # Caller, conversations.
    assert count_queries(lambda: client.get(path)) == 2
    other_page = f"{path}&created_at_after=2000-01-01T00:00:00Z"
    # Caller, conversations, unread messages.
    assert count_queries(lambda: client.get(other_page)) == 3
    Participation.objects.update(read_at=timezone.now())
    # Caller, conversations.
    assert count_queries(lambda: client.get(other_page)) == 2


def test_queries_of_the_conversation_list_after_one_change(api, alice, bob, many):
    client = api(alice)
    path = f"{CONVERSATIONS}?page_size=100"
    client.get(path)
    send(many, "News", actor=bob)
    # Caller, conversations, participants, last message with its sender, unread messages.
    with CaptureQueriesContext(connection) as context:
        client.get(path)
    assert len(context) == 5
    for query in context.captured_queries[2:4]:
        named = {
            pk
            for pk in alice.conversations.values_list("pk", flat=True)
            if str(pk) in query["sql"] or pk.hex in query["sql"]
        }
        assert named == {many.pk}


def test_queries_of_the_conversation_detail(api, alice, grown):
    client = api(alice)
    path = conversation_path(grown)
    # Caller, conversation, participants, messages with their senders, unread messages.
    assert count_queries(lambda: client.get(path)) == 5
    # Caller, conversation, unread messages.
    assert count_queries(lambda: client.get(path)) == 3
    path += "?updated_at_after=2000-01-01"
    # Caller, conversation, participants, last message, changed messages, unread messages.
    assert count_queries(lambda: client.get(path)) == 6
    assert count_queries(lambda: client.get(path)) == 3


def test_queries_of_one_message(api, alice, grown):
    client = api(alice)
    message = Message.objects.first()
    for path in (f"{MESSAGES}{message.pk}/", f"{messages_path(grown)}{message.pk}/"):
        # Caller, message with sender and conversation, participants.
        assert count_queries(lambda path=path: client.get(path)) == 3


def test_queries_of_a_send(api, alice, many):
    client = api(alice)
    path = messages_path(many)
    body = {"message_body": "Hello"}
    # Caller, lock, clock, message.
    assert count_queries(lambda: client.post(path, body)) == 4
    # The same, and the look for the key's message.
    assert count_queries(lambda: client.post(path, body, HTTP_IDEMPOTENCY_KEY="k")) == 5
    # Caller, lock, the key's message.
    assert count_queries(lambda: client.post(path, body, HTTP_IDEMPOTENCY_KEY="k")) == 3


def test_queries_of_a_change(api, alice, grown):
    client = api(alice)
    message = send(grown, "Hello", actor=alice)[0]
    path = f"{MESSAGES}{message.pk}/"
    # Caller, message with sender and conversation, participants, lock, message, clock, change.
    assert count_queries(lambda: client.patch(path, {"message_body": "A"})) == 7
    etag = client.get(path).headers["ETag"]
    # The same, and the lock, the message and its participants for the comparison.
    change = {"path": path, "data": {"message_body": "B"}, "HTTP_IF_MATCH": etag}
    assert count_queries(lambda: client.patch(**change)) == 10
    path = conversation_path(grown)
    # Caller, conversation, lock, clock, title, and the conversation with participants, messages
    # and unread messages.
    assert count_queries(lambda: client.patch(path, {"title": "A"})) == 9
    etag = client.get(path).headers["ETag"]
    # The same, and the lock, the conversation and unread messages for the comparison.
    change = {"path": path, "data": {"title": "B"}, "HTTP_IF_MATCH": etag}
    assert count_queries(lambda: client.patch(**change)) == 12


def test_queries_of_a_report(api, alice, grown):
    client = api(alice)
    message = send(grown, "Hello", actor=grown.participants.exclude(pk=alice.pk)[0])[0]
    for path in (f"{MESSAGES}{message.pk}/report/", f"{messages_path(grown)}{message.pk}/report/"):
        Report.objects.all().delete()
        # Caller, message with sender and conversation, participants, lock, text, the first report,
        # the new one.
        assert count_queries(lambda path=path: client.post(path)) == 7
        # The same without the new one.
        assert count_queries(lambda path=path: client.post(path)) == 6


def test_queries_of_a_start(api, alice, many):
    client = api(alice)
    ids = many.participants.exclude(pk=alice.pk).values_list("pk", flat=True)
    body = {"participants": [str(pk) for pk in ids]}
    # Caller, conversation, people, blocks, participants, participants to show.
    assert count_queries(lambda: client.post(CONVERSATIONS, body)) == 6
    # The same, and the look for the key's conversation.
    assert count_queries(lambda: client.post(CONVERSATIONS, body, HTTP_IDEMPOTENCY_KEY="k")) == 7
    # Caller, the key's conversation, the same for the caller, participants, messages, unread ones.
    assert count_queries(lambda: client.post(CONVERSATIONS, body, HTTP_IDEMPOTENCY_KEY="k")) == 6
    body["distinct"] = True
    # Caller, candidates, conversation, people, blocks, participants, participants to show.
    assert count_queries(lambda: client.post(CONVERSATIONS, body)) == 7
    # Caller, candidates, the conversation for the caller, participants, messages, unread ones.
    assert count_queries(lambda: client.post(CONVERSATIONS, body)) == 6


def test_queries_of_users(api, alice, bob, many):
    client = api(alice)
    # Caller, whether they are in many conversations, people.
    assert count_queries(lambda: client.get("/api/users/?page_size=100")) == 3
    # Caller, people.
    assert count_queries(lambda: client.get("/api/users/?email=bob@example.com")) == 2
    # Caller, one of them.
    assert count_queries(lambda: client.get(f"/api/users/{bob.pk}/")) == 2
    assert count_queries(lambda: client.get(f"/api/users/{alice.pk}/")) == 2
    # Caller.
    assert count_queries(lambda: client.get("/api/users/me/")) == 1


def test_queries_of_a_refresh(api, alice, rows):
    """Of a session that was refreshed this many times before."""
    token = str(RefreshToken.for_user(alice))
    for _ in range(rows):
        token = TokenRefreshSerializer().validate({"refresh": token})["refresh"]
    body = {"refresh": token}
    # Blacklist, user, lock, session, new token.
    assert count_queries(lambda: api().post("/api/token/refresh/", body)) == 5
    # The same without the new token.
    assert count_queries(lambda: api().post("/api/token/refresh/", body)) == 4
