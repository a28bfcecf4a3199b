"""What holds for every call: bodies, errors, slashes, hosts, other origins."""

import json

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404
from rest_framework.test import APIRequestFactory

from chats.exceptions import exception_handler
from chats.models import Conversation, Message, User
from chats.permissions import IsParticipantOfConversation
from chats.tests.expected import NOT_FOUND
from chats.views import ProfileView

CONVERSATIONS = "/api/conversations/"
CALLS = [
    "/api/users/",
    "/api/token/",
    "/api/token/refresh/",
    "/api/token/verify/",
    "/api/token/blacklist/",
    CONVERSATIONS,
    "{conversation}add_participant/",
    "{conversation}messages/",
]
FIELDS = [
    "email",
    "password",
    "first_name",
    "phone_number",
    "refresh",
    "token",
    "participants",
    "user_id",
    "message_body",
]


@pytest.fixture(params=CALLS)
def post(request, api, alice, conversation):
    """`post(body, …)` sends bytes to each call that takes a body."""
    path = request.param.format(conversation=f"{CONVERSATIONS}{conversation.pk}/")
    client = api(alice)

    def post(body, content_type="application/json", **headers):
        before = [list(model.objects.values_list()) for model in (User, Conversation, Message)]
        answer = client.post(path, body, content_type=content_type, **headers)
        after = [list(model.objects.values_list()) for model in (User, Conversation, Message)]
        assert before == after
        assert answer.headers["Content-Type"] == "application/json"
        for errors in answer.json().values():
            texts = errors if isinstance(errors, list) else [errors]
            assert texts
            assert all(isinstance(text, str) and text for text in texts)
        return answer

    return post


class TestHostileBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"nonsense",
            b"{",
            b'{"a": NaN}',
            b'{"a": 1e400}',
            b'{"email": "\xff"}',
            b'"\\ud800"',
            b'{"message_body": "\\ud800"}',
            b"[" * 10_000 + b"]" * 10_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b"[" * 1_000_000,
            "{}".encode("utf-16"),
        ],
        ids=lambda body: f"{len(body)} {body[:12]!r}",
    )
    def test_what_is_no_json_is_refused(self, post, body):
        answer = post(body)
        assert answer.status_code == 400
        assert list(answer.json()) == ["detail"]

    @pytest.mark.parametrize("body", [b"null", b"[]", b"5", b'"text"', b"true", b"[{}]"])
    def test_what_is_no_object_is_refused(self, post, body):
        answer = post(body)
        assert answer.status_code == 400
        assert list(answer.json()) == ["non_field_errors"]

    @pytest.mark.parametrize("field", FIELDS)
    @pytest.mark.parametrize(
        "value",
        [
            None,
            True,
            0,
            10**30,
            1.5,
            [],
            {},
            "",
            "a\0b",
            [None],
            [{"a": ["b"]}],
            json.loads("[" * 900 + "]" * 900),
        ],
        ids=lambda value: None if isinstance(value, list) else repr(value),
    )
    def test_wrong_types_are_refused(self, post, field, value):
        answer = post(json.dumps({field: value}))
        assert answer.status_code == 400

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "nonsense",
        ],
    )
    def test_another_content_type_is_a_415(self, post, content_type):
        answer = post(b"{}", content_type)
        assert (answer.status_code, answer.json()) == (
            415,
            {"detail": "Send JSON, with the Content-Type application/json."},
        )

    def test_a_body_over_1_mib_is_a_413(self, post):
        answer = post(b" " * (1024 * 1024 + 1))
        assert (answer.status_code, answer.json()) == (
            413,
            {"detail": "A body has at most 1048576 bytes."},
        )
        assert post(b" " * (1024 * 1024)).status_code == 400

    def test_a_chunked_body_is_a_411(self, post):
        answer = post(b"{}", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
        assert (answer.status_code, answer.json()) == (
            411,
            {"detail": "Send the body with a Content-Length."},
        )

    @pytest.mark.parametrize(("length", "status"), [("-1", 400), ("x", 400), ("9" * 9_000, 413)])
    def test_a_nonsense_content_length_is_refused(self, post, length, status):
        assert post(b"{}", CONTENT_LENGTH=length).status_code == status


class TestQueryStrings:
    @pytest.mark.parametrize(
        "query",
        [
            "&".join(f"a{n}=1" for n in range(1_100)),
            "&".join(["participants=00000000-0000-4000-8000-000000000000"] * 70),
            "%00=%00",
            "a" * 5_000 + "=1",
            "\udc80=1".encode("utf-8", "surrogateescape").decode("latin-1"),
            "format=xml",
        ],
        ids=lambda query: query[:12],
    )
    def test_hostile_ones_are_a_400(self, api, alice, query):
        answer = api(alice).get(f"{CONVERSATIONS}?{query}")
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("debug", [False, True])
class TestFinalSlash:
    @pytest.fixture(autouse=True)
    def _debug(self, settings, debug):
        settings.DEBUG = debug

    def test_get_is_redirected(self, api, db):
        for method in ("GET", "HEAD"):
            answer = api().generic(method, "/api/conversations?page_size=1")
            assert answer.status_code == 301
            assert answer.headers["Location"] == "/api/conversations/?page_size=1"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_any_other_verb_is_told_the_path(self, api, db, method):
        answer = api().generic(method, "/api/users", "{}", content_type="application/json")
        assert (answer.status_code, answer.json()) == (
            404,
            {"detail": "Not found: the path ends with a slash, /api/users/."},
        )

    def test_the_root_has_one_too(self, api, db):
        answer = api().get("/api")
        assert (answer.status_code, answer.headers["Location"]) == (301, "/api/")
        answer = api().post("/api", {})
        assert (answer.status_code, answer.json()) == (
            404,
            {"detail": "Not found: the path ends with a slash, /api/."},
        )

    @pytest.mark.parametrize("path", ["/api/nothing", "/api/nothing/", "/api/users/me/x"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_an_unknown_path_is_not_found(self, api, db, method, path):
        answer = api().generic(method, path)
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)

    def test_an_unknown_host_is_a_400_in_json(self, api, db):
        answer = api().get("/api/", HTTP_HOST="evil.example")
        assert (answer.status_code, answer.json()) == (400, {"detail": "Bad Request"})


@pytest.mark.usefixtures("breaks_on_purpose")
def test_an_unhandled_error_is_json_and_logged_once(client, monkeypatch, capfd, caplog):
    def fail(self, request):
        raise ImproperlyConfigured("on purpose")

    monkeypatch.setattr("chats.views.RootView.get", fail)
    client.raise_request_exception = False
    answer = client.get("/api/")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})
    assert answer.headers["Content-Length"] == str(len(answer.content))
    logged = [r for r in caplog.records if "Internal Server Error" in r.getMessage()]
    assert [(r.getMessage(), r.levelname, bool(r.exc_info)) for r in logged] == [
        ("Internal Server Error: /api/", "ERROR", True)
    ]


def test_head_answers_as_get_does(api, alice, message):
    client = api(alice)
    for path in (
        "/api/messages/",
        f"{CONVERSATIONS}{message.conversation_id}/messages/",
        f"{CONVERSATIONS}{message.conversation_id}/",
        "/api/users/me/",
        "/api/nothing/",
    ):
        get, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        del head.headers["X-Request-ID"], get.headers["X-Request-ID"]
        assert head.headers == get.headers
        if get.status_code == 200:
            etag = get.headers["ETag"]
            assert client.head(path, HTTP_IF_NONE_MATCH=etag).status_code == 304


def test_the_root_names_the_collections(api, db):
    answer = api().get("/api/")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "users": "http://testserver/api/users/",
            "token": "http://testserver/api/token/",
            "conversations": "http://testserver/api/conversations/",
            "messages": "http://testserver/api/messages/",
            "schema": "http://testserver/api/schema/",
            "docs": "http://testserver/api/docs/",
        },
    )


def test_only_json_is_offered(api, alice):
    answer = api(alice).get(CONVERSATIONS, HTTP_ACCEPT="text/html")
    assert (answer.status_code, answer.json()) == (
        406,
        {"detail": "The answer is JSON: accept application/json, or anything."},
    )
    for accept in ("text/html,*/*;q=0.8", "application/json; charset=utf-7; indent=3"):
        answer = api(alice).get(CONVERSATIONS, HTTP_ACCEPT=accept)
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"HTTP_IF_MATCH": '"x"'}, 412),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        ({"CONTENT_LENGTH": "2000000"}, 413),
    ],
)
def test_a_get_is_refused_too(api, alice, message, headers, status):
    for path in ("/api/", "/api/users/me/", CONVERSATIONS, f"/api/messages/{message.pk}/"):
        assert api(alice).get(path, **headers).status_code == status


def test_another_verb_is_told_which_there_are(api, alice):
    answer = api(alice).delete(CONVERSATIONS)
    assert (answer.status_code, answer.json()) == (
        405,
        {"detail": 'Method "DELETE" not allowed. Allowed: GET, POST, HEAD, OPTIONS.'},
    )


def test_options_describes_the_call(api, alice):
    answer = api(alice).options(CONVERSATIONS)
    assert answer.status_code == 200
    assert answer.json()["parses"] == ["application/json"]


class TestOtherOrigins:
    ORIGIN = "https://chat.example.com"

    @pytest.fixture(autouse=True)
    def _allow(self, settings):
        settings.CORS_ALLOWED_ORIGINS = [self.ORIGIN]

    def test_may_send_and_read_what_they_need(self, api, alice):
        preflight = api().options(
            CONVERSATIONS,
            HTTP_ORIGIN=self.ORIGIN,
            HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
            HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,idempotency-key",
        )
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == self.ORIGIN
        assert preflight.headers["Access-Control-Allow-Headers"] == (
            "authorization, content-type, idempotency-key, if-none-match"
        )
        for user in (alice, None):
            answer = api(user).get(CONVERSATIONS, HTTP_ORIGIN=self.ORIGIN)
            assert answer.headers["Access-Control-Allow-Origin"] == self.ORIGIN
            assert answer.headers["Access-Control-Expose-Headers"] == (
                "ETag, Retry-After, Idempotent-Replayed"
            )

    def test_others_may_not(self, api, alice):
        answer = api(alice).get(CONVERSATIONS, HTTP_ORIGIN="https://evil.example")
        assert "Access-Control-Allow-Origin" not in answer.headers

    def test_refusals_can_be_read_too(self, api, db):
        answer = api().post(
            CONVERSATIONS,
            b"x" * 1024 * 1025,
            content_type="application/json",
            HTTP_ORIGIN=self.ORIGIN,
        )
        assert answer.status_code == 413
        assert answer.headers["Access-Control-Allow-Origin"] == self.ORIGIN


def test_a_caller_who_was_deleted_meanwhile_is_told_so():
    context = {"view": ProfileView(), "request": APIRequestFactory().get("/")}
    answer = exception_handler(User.DoesNotExist(), context)
    assert (answer.status_code, answer.data) == (
        401,
        {"detail": "User not found", "code": "user_not_found"},
    )
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_permission_hides_what_a_queryset_would_let_through(alice, mallory, message):
    permission, request = IsParticipantOfConversation(), APIRequestFactory().get("/")
    request.user = alice
    for found in (message, message.conversation):
        assert permission.has_object_permission(request, None, found)
    request.user = mallory
    for found in (message, message.conversation):
        with pytest.raises(Http404):
            permission.has_object_permission(request, None, found)
