"""The status code of each route for anonymous callers, outsiders and participants."""

import json

import pytest
from django.urls import get_resolver

from chats.models import Conversation, Message
from chats.services import start
from chats.tests.support.expected import NOT_AUTHENTICATED, NOT_FOUND
from chats.tests.support.paths import messages_path
from chats.views import MessageViewSet

C = "/api/conversations/{conversation}/"
M = "{message}/"
U = "/api/users/{user}/"

# method, path, route, anonymous, outsider, participant
ACCESS = [
    ("GET", "/api/", "root", 200, 200, 200),
    ("POST", "/api/", "root", 405, 405, 405),
    ("POST", "/api/token/", "token-obtain", 400, 400, 400),
    ("GET", "/api/token/", "token-obtain", 405, 405, 405),
    ("POST", "/api/token/refresh/", "token-refresh", 400, 400, 400),
    ("POST", "/api/token/verify/", "token-verify", 400, 400, 400),
    ("POST", "/api/token/blacklist/", "token-blacklist", 400, 400, 400),
    ("POST", "/api/users/", "user-list", 400, 400, 400),
    ("GET", "/api/users/", "user-list", 401, 200, 200),
    ("PUT", "/api/users/", "user-list", 401, 405, 405),
    ("POST", "/api/users/set_password/", "user-set-password", 401, 400, 400),
    ("POST", "/api/users/reset_password/", "user-reset-password", 400, 400, 400),
    ("GET", "/api/users/reset_password/", "user-reset-password", 405, 405, 405),
    ("POST", "/api/users/reset_password_confirm/", "user-reset-password-confirm", 400, 400, 400),
    ("PUT", "/api/users/reset_password_confirm/", "user-reset-password-confirm", 405, 405, 405),
    ("GET", "/api/users/set_password/", "user-set-password", 401, 405, 405),
    ("POST", "/api/users/verify_email/", "user-verify-email", 400, 400, 400),
    ("GET", "/api/users/verify_email/", "user-verify-email", 405, 405, 405),
    ("POST", "/api/users/resend_verification/", "user-resend-verification", 400, 400, 400),
    ("GET", "/api/users/resend_verification/", "user-resend-verification", 405, 405, 405),
    ("POST", "/api/users/set_email/", "user-set-email", 401, 400, 400),
    ("GET", "/api/users/set_email/", "user-set-email", 401, 405, 405),
    ("POST", "/api/users/set_email_confirm/", "user-set-email-confirm", 400, 400, 400),
    ("GET", "/api/users/set_email_confirm/", "user-set-email-confirm", 405, 405, 405),
    ("GET", "/api/users/me/", "user-me", 401, 200, 200),
    ("DELETE", "/api/users/me/", "user-me", 401, 400, 400),
    ("PATCH", "/api/users/me/", "user-me", 401, 200, 200),
    ("PUT", "/api/users/me/", "user-me", 401, 405, 405),
    ("POST", "/api/users/me/", "user-me", 401, 405, 405),
    ("HEAD", "/api/users/me/export/", "export", 401, 200, 200),
    ("POST", "/api/users/me/export/", "export", 401, 405, 405),
    ("POST", U + "block/", "user-block", 401, 204, 204),
    ("DELETE", U + "block/", "user-block", 401, 204, 204),
    ("GET", U + "block/", "user-block", 401, 405, 405),
    ("GET", "/api/users/blocked/", "blocked-user-list", 401, 200, 200),
    ("HEAD", "/api/users/blocked/", "blocked-user-list", 401, 200, 200),
    ("POST", "/api/users/blocked/", "blocked-user-list", 401, 405, 405),
    ("GET", U, "user-detail", 401, 404, 200),
    ("HEAD", U, "user-detail", 401, 404, 200),
    ("OPTIONS", U, "user-detail", 401, 200, 200),
    ("PATCH", U, "user-detail", 401, 405, 405),
    ("DELETE", U, "user-detail", 401, 405, 405),
    ("GET", "/api/conversations/", "conversation-list", 401, 200, 200),
    ("HEAD", "/api/conversations/", "conversation-list", 401, 200, 200),
    ("OPTIONS", "/api/conversations/", "conversation-list", 401, 200, 200),
    ("POST", "/api/conversations/", "conversation-list", 401, 400, 400),
    ("PUT", "/api/conversations/", "conversation-list", 401, 405, 405),
    ("GET", C, "conversation-detail", 401, 404, 200),
    ("HEAD", C, "conversation-detail", 401, 404, 200),
    ("PATCH", C, "conversation-detail", 401, 404, 400),
    ("PUT", C, "conversation-detail", 401, 405, 405),
    ("DELETE", C, "conversation-detail", 401, 405, 405),
    ("POST", C + "add_participant/", "conversation-add-participant", 401, 404, 400),
    ("GET", C + "add_participant/", "conversation-add-participant", 401, 405, 405),
    ("POST", C + "remove_participant/", "conversation-remove-participant", 401, 404, 403),
    ("GET", C + "remove_participant/", "conversation-remove-participant", 401, 405, 405),
    ("POST", C + "leave/", "conversation-leave", 401, 404, 204),
    ("GET", C + "leave/", "conversation-leave", 401, 405, 405),
    ("POST", C + "read/", "conversation-read", 401, 404, 400),
    ("GET", C + "read/", "conversation-read", 401, 405, 405),
    ("GET", C + "messages/", "conversation-message-list", 401, 404, 200),
    ("HEAD", C + "messages/", "conversation-message-list", 401, 404, 200),
    ("OPTIONS", C + "messages/", "conversation-message-list", 401, 404, 200),
    ("POST", C + "messages/", "conversation-message-list", 401, 404, 400),
    ("PUT", C + "messages/", "conversation-message-list", 401, 404, 405),
    ("GET", C + "messages/" + M, "conversation-message-detail", 401, 404, 200),
    ("PATCH", C + "messages/" + M, "conversation-message-detail", 401, 404, 400),
    ("PUT", C + "messages/" + M, "conversation-message-detail", 401, 404, 405),
    ("DELETE", C + "messages/" + M, "conversation-message-detail", 401, 404, 204),
    # Alice is the sender.
    ("POST", C + "messages/" + M + "report/", "conversation-message-report", 401, 404, 403),
    ("GET", C + "messages/" + M + "report/", "conversation-message-report", 401, 404, 405),
    ("POST", "/api/messages/" + M + "report/", "message-report", 401, 404, 403),
    ("GET", "/api/messages/" + M + "report/", "message-report", 401, 405, 405),
    ("GET", "/api/messages/", "message-list", 401, 200, 200),
    ("HEAD", "/api/messages/", "message-list", 401, 200, 200),
    ("POST", "/api/messages/", "message-list", 401, 400, 400),
    ("PUT", "/api/messages/", "message-list", 401, 405, 405),
    ("GET", "/api/messages/" + M, "message-detail", 401, 404, 200),
    ("PUT", "/api/messages/" + M, "message-detail", 401, 405, 405),
    ("PATCH", "/api/messages/" + M, "message-detail", 401, 404, 400),
    ("DELETE", "/api/messages/" + M, "message-detail", 401, 404, 204),
    # The API's tests run without a server that can stream.
    ("GET", "/api/events/", "events", 401, 404, 404),
    ("POST", "/api/events/", "events", 401, 405, 405),
    ("OPTIONS", "/api/events/", "events", 401, 200, 200),
    ("GET", "/api/schema/", "schema", 200, 200, 200),
    ("POST", "/api/schema/", "schema", 405, 405, 405),
    ("GET", "/api/docs/", "docs", 200, 200, 200),
    ("POST", "/api/docs/", "docs", 405, 405, 405),
    ("GET", "/api/nothing/", "unknown-path", 404, 404, 404),
    ("POST", "/api/nothing/", "unknown-path", 404, 404, 404),
]


@pytest.mark.parametrize(
    ("method", "path", "route", "anonymous", "outsider", "participant"),
    ACCESS,
    ids=[f"{method} {path}" for method, path, *_ in ACCESS],
)
def test_status_code_by_caller(
    api, alice, bob, mallory, message, method, path, route, anonymous, outsider, participant
):
    path = path.format(conversation=message.conversation_id, message=message.pk, user=bob.pk)
    responses = [api(user).generic(method, path) for user in (None, mallory, alice)]
    assert [response.status_code for response in responses] == [anonymous, outsider, participant]
    assert responses[0].resolver_match.view_name == route
    if anonymous == 401 and method != "HEAD":
        assert responses[0].json() == NOT_AUTHENTICATED
        assert responses[0].headers["WWW-Authenticate"] == 'Bearer realm="api"'
    if outsider == 404 and method != "HEAD" and route not in {"unknown-path", "events"}:
        assert responses[1].json() == NOT_FOUND
    for response in responses:
        assert response.headers["Cache-Control"] in {"private, no-cache", "no-store"}
        if response.status_code >= 400:
            assert response.headers["Content-Type"] == "application/json"


def test_every_route_has_a_row():
    included = [url for url in get_resolver().url_patterns if "admin" not in str(url.pattern)]
    routes = {url.name for urls in included for url in getattr(urls, "url_patterns", [urls])}
    assert routes == {route for _, _, route, *_ in ACCESS}


OUTSIDE = [row[:2] for row in ACCESS if "{" in row[1] and row[4] == 404]


@pytest.mark.parametrize(("method", "path"), OUTSIDE)
@pytest.mark.parametrize("body", [{}, {"message_body": "Let me in", "user_id": "nonsense"}])
def test_outsider_gets_the_same_404_for_foreign_and_unknown_ids(
    api, bob, mallory, message, method, path, body
):
    """The responses have the same bytes and headers."""
    no_such = "00000000-0000-4000-8000-000000000000"
    responses = [
        api(mallory).generic(
            method, path.format(**ids), json.dumps(body), content_type="application/json"
        )
        for ids in (
            {"conversation": message.conversation_id, "message": message.pk, "user": bob.pk},
            {"conversation": no_such, "message": no_such, "user": no_such},
        )
    ]
    assert [response.status_code for response in responses] == [404, 404]
    assert responses[0].content == responses[1].content
    first, second = (dict(response.headers) for response in responses)
    assert first.pop("X-Request-ID") != second.pop("X-Request-ID")
    assert first == second


@pytest.fixture
def _all_rows(monkeypatch):
    """Views find every row, as if no query checked who takes part."""
    monkeypatch.setattr(MessageViewSet, "get_messages", lambda view: Message.objects.all())
    monkeypatch.setattr(
        "chats.views.get_conversation", lambda user, pk: Conversation.objects.get(pk=pk)
    )


@pytest.mark.usefixtures("_all_rows")
@pytest.mark.parametrize(
    ("method", "path", "participant"),
    [
        (method, path, participant)
        for method, path, _, _, outsider, participant in ACCESS
        if outsider == 404 and participant not in {404, 405} and "{user}" not in path
        # These two have no object. `get_conversation()` alone checks the membership.
        if not path.endswith("messages/")
    ],
)
def test_permission_classes_hide_what_queries_would_find(
    api, alice, mallory, message, method, path, participant
):
    path = path.format(conversation=message.conversation_id, message=message.pk)
    response = api(mallory).generic(method, path)
    assert response.status_code == 404
    assert method == "HEAD" or response.json() == NOT_FOUND
    assert api(alice).generic(method, path).status_code == participant


@pytest.mark.parametrize(
    "path",
    [
        "/api/conversations/nonsense/",
        "/api/conversations/123/messages/",
        "/api/conversations/%00/leave/",
        "/api/messages/nonsense/",
        "/api/messages/00000000-0000-4000-8000-00000000000g/",
        "/api/users/nonsense/",
        "/api/users/00000000-0000-4000-8000-00000000000G/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_malformed_id_is_a_404(api, alice, method, path):
    response = api(alice).generic(method, path)
    assert (response.status_code, response.json()) == (404, NOT_FOUND)


def test_message_in_another_conversation_is_a_404(api, alice, carol, message):
    elsewhere, _ = start({carol.pk}, actor=alice)
    response = api(alice).get(f"{messages_path(elsewhere)}{message.pk}/")
    assert (response.status_code, response.json()) == (404, NOT_FOUND)


def test_no_response_shows_email_or_phone_number_of_another_user(api, alice, bob, message):
    """Every GET route, as Bob, who talks to Alice."""
    for method, path, *_ in ACCESS:
        if method == "GET":
            ids = {"conversation": message.conversation_id, "message": message.pk}
            url = path.format(user=alice.pk, **ids)
            for query in ("", "?email=alice@example.com"):
                content = api(bob).get(f"{url}{query}").content.decode().lower()
                assert alice.email not in content
                assert alice.phone_number not in content
