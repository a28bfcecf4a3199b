"""What holds for every call: bodies, errors, slashes, hosts, other origins."""

import json

import pytest
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404
from django.utils.http import urlsafe_base64_encode
from rest_framework.test import APIRequestFactory
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from chats.models import Conversation, Message, Participation, User
from chats.permissions import IsParticipantOfConversation
from chats.services import erase
from chats.services import send as send_message
from chats.tests.conftest import PASSWORD
from chats.tests.support.expected import NOT_FOUND

CONVERSATIONS = "/api/conversations/"
CONVERSATION = "/api/conversations/{conversation}/"
MESSAGES = f"{CONVERSATION}messages/"
NEW_PASSWORD = "moor under the tide"

# For each endpoint that takes a body: one that is complete and valid.
BODIES = {
    "POST /api/users/": {
        "email": "dora@example.com",
        "password": NEW_PASSWORD,
        "first_name": "Dora",
        "last_name": "Diaz",
        "phone_number": "",
    },
    "PATCH /api/users/me/": {"first_name": "Alicia", "last_name": "Archer", "phone_number": ""},
    "DELETE /api/users/me/": {"current_password": PASSWORD},
    "POST /api/users/set_password/": {
        "current_password": PASSWORD,
        "new_password": NEW_PASSWORD,
    },
    "POST /api/users/reset_password/": {"email": "alice@example.com"},
    "POST /api/users/reset_password_confirm/": {
        "uid": "{uid}",
        "token": "{reset_token}",
        "new_password": NEW_PASSWORD,
    },
    "POST /api/token/": {"email": "alice@example.com", "password": PASSWORD},
    "POST /api/token/refresh/": {"refresh": "{refresh}"},
    "POST /api/token/verify/": {"token": "{refresh}"},
    "POST /api/token/blacklist/": {"refresh": "{refresh}"},
    f"POST {CONVERSATIONS}": {"participants": ["{bob}"]},
    f"POST {CONVERSATION}add_participant/": {"user_id": "{carol}"},
    f"POST {CONVERSATION}read/": {"read_at": "2026-01-01T00:00:00Z"},
    f"PATCH {CONVERSATION}": {"title": "Holiday"},
    f"POST {MESSAGES}": {"message_body": "Hello"},
    f"PATCH {MESSAGES}{{message}}/": {"message_body": "Hi"},
    "POST /api/messages/": {"conversation": "{conversation}", "message_body": "Hello"},
}
# The profile's and the registration's fields are the same classes.
FIELDS = [
    (endpoint, field)
    for endpoint, body in BODIES.items()
    for field in body
    if endpoint != "PATCH /api/users/me/"
]
WRONG_TEXTS = [None, True, 10**30, ["a"], "", "a\0b"]
WRONG_LISTS = [None, True, 10**30, "a", {}, [None], [10**30], [["a"]], ["a\0b"], "a\0b"]
DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.fixture
def fill(alice, bob, carol, conversation):
    """`fill(text)`: the text with ids and tokens instead of their names."""
    values = {
        "conversation": conversation.pk,
        "message": send_message(conversation, "Hello", actor=alice)[0].pk,
        "bob": bob.pk,
        "carol": carol.pk,
        "refresh": RefreshToken.for_user(alice),
        "uid": urlsafe_base64_encode(str(alice.pk).encode()),
        "reset_token": default_token_generator.make_token(alice),
    }

    def fill(text):
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    return fill


@pytest.fixture
def send(api, alice, fill):
    """`send(endpoint, content, …)` as Alice."""

    def send(endpoint, content, content_type="application/json", **headers):
        method, path = fill(endpoint).split()
        return api(alice).generic(method, path, content, content_type=content_type, **headers)

    return send


@pytest.fixture
def refuse(send):
    """`refuse(endpoint, content, …)`: the response, after which no row has changed."""
    models = (User, Conversation, Participation, Message, OutstandingToken, BlacklistedToken)

    def refuse(*args, **kwargs):
        before = [list(model.objects.values_list()) for model in models]
        response = send(*args, **kwargs)
        assert before == [list(model.objects.values_list()) for model in models]
        return response

    return refuse


class TestHostileBodies:
    @pytest.mark.parametrize("endpoint", BODIES)
    def test_the_valid_bodies_are_taken(self, send, fill, endpoint):
        """So the refusals below are for the one wrong value."""
        response = send(endpoint, fill(json.dumps(BODIES[endpoint])))
        assert response.status_code < 300

    @pytest.mark.parametrize("endpoint", BODIES)
    def test_every_endpoint_takes_only_json_objects(self, refuse, endpoint):
        """DRF's own JSON parser takes a lone surrogate."""
        for content, field in [(b'"\\ud800"', "detail"), (b"[]", "non_field_errors")]:
            response = refuse(endpoint, content)
            assert (response.status_code, list(response.json())) == (400, [field])
        assert refuse(endpoint, b"a=b", "application/x-www-form-urlencoded").status_code == 415

    @pytest.mark.parametrize(
        "content",
        [
            b"nonsense",
            b'{"a": NaN}',
            b'{"a": 1e400}',
            b'{"email": "\xff"}',
            b"{",
            b'{"message_body": "\\ud800"}',
            b"[" * 10_000 + b"]" * 10_000,
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
            b"[" * 1_000_000,
            "{}".encode("utf-16"),
        ],
        ids=lambda content: f"{len(content)} {content[:12]!r}",
    )
    def test_content_that_is_not_json_is_a_400(self, refuse, content):
        response = refuse(f"POST {MESSAGES}", content)
        assert (response.status_code, list(response.json())) == (400, ["detail"])

    @pytest.mark.parametrize("content", [b"null", b"5", b'"email"', b"true", b"[{}]"])
    @pytest.mark.parametrize("endpoint", [f"POST {MESSAGES}", "PATCH /api/users/me/"])
    def test_json_that_is_not_an_object_is_a_400(self, refuse, endpoint, content):
        response = refuse(endpoint, content)
        assert (response.status_code, list(response.json())) == (400, ["non_field_errors"])

    @pytest.mark.parametrize(
        ("endpoint", "field", "value"),
        [
            (endpoint, field, value)
            for endpoint, field in FIELDS
            for value in (WRONG_LISTS if field == "participants" else WRONG_TEXTS)
            if (field, value) not in [("phone_number", ""), ("title", "")]
        ],
    )
    def test_a_wrong_type_is_an_error_of_its_field(self, refuse, fill, endpoint, field, value):
        body = json.loads(fill(json.dumps(BODIES[endpoint]))) | {field: value}
        response = refuse(endpoint, json.dumps(body))
        assert (response.status_code, list(response.json())) == (400, [field])
        [*errors] = response.json()[field]
        assert errors
        assert all(isinstance(error, str) and error for error in errors)

    @pytest.mark.parametrize(
        ("endpoint", "field"), [each for each in FIELDS if each[1] != "phone_number"]
    )
    def test_a_missing_field_names_what_was_sent_instead(self, refuse, fill, endpoint, field):
        body = json.loads(fill(json.dumps(BODIES[endpoint])))
        del body[field]
        response = refuse(endpoint, json.dumps(body))
        assert (response.status_code, response.json()) == (
            400,
            {field: ["This field is required."]},
        )
        response = refuse(endpoint, json.dumps(body | {"nonsense": 1}))
        assert (response.status_code, response.json()) == (
            400,
            {field: ["This field is required; “nonsense” is not a field here."]},
        )

    @pytest.mark.parametrize(
        ("names", "sentence"),
        [
            (["text", "room"], "“text” and “room” are not fields here."),
            (["c", "b", "a"], "“c”, “b” and “a” are not fields here."),
            ([f"a{n}" for n in range(20)], "“a0”, “a1” and “a2” are not fields here."),
            (["x" * 51, ""], f"“{'x' * 50}” and “” are not fields here."),
            (["\0"], "“\0” is not a field here."),
        ],
        ids=lambda value: str(value)[:12],
    )
    def test_a_missing_field_names_three_of_them_at_most(self, refuse, names, sentence):
        response = refuse(f"POST {MESSAGES}", json.dumps(dict.fromkeys(names, "Hello")))
        assert (response.status_code, response.json()) == (
            400,
            {"message_body": [f"This field is required; {sentence}"]},
        )

    def test_what_responses_have_is_not_unknown(self, refuse):
        """A client may send a message as it got one; its `conversation` is not what is wrong."""
        row = {"message_id": "x", "conversation": "x", "sender": "x", "sent_at": "x"}
        response = refuse(f"POST {MESSAGES}", json.dumps(row))
        assert response.json() == {"message_body": ["This field is required."]}
        response = refuse(f"POST {MESSAGES}", json.dumps(row | {"body": "Hello"}))
        assert response.json() == {
            "message_body": ["This field is required; “body” is not a field here."]
        }

    @pytest.mark.parametrize(
        ("endpoint", "field"),
        [(f"POST {CONVERSATIONS}", "participants"), (f"POST {MESSAGES}", "message_body")],
    )
    def test_a_deeply_nested_value_is_an_error_of_its_field(self, refuse, endpoint, field):
        response = refuse(endpoint, json.dumps({field: DEEP}))
        assert (response.status_code, list(response.json())) == (400, [field])

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/xml",
            "nonsense",
        ],
    )
    def test_another_content_type_is_a_415(self, refuse, content_type):
        response = refuse(f"POST {MESSAGES}", b"{}", content_type)
        assert (response.status_code, response.json()) == (
            415,
            {"detail": "Send JSON, with the Content-Type application/json."},
        )

    def test_a_body_over_1_mib_is_a_413(self, refuse):
        response = refuse(f"POST {MESSAGES}", b" " * (1024 * 1024 + 1))
        assert (response.status_code, response.json()) == (
            413,
            {"detail": "A body has at most 1048576 bytes."},
        )
        assert refuse(f"POST {MESSAGES}", b" " * (1024 * 1024)).status_code == 400

    def test_a_chunked_body_is_a_411(self, refuse):
        response = refuse(
            f"POST {MESSAGES}", b"{}", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH=""
        )
        assert (response.status_code, response.json()) == (
            411,
            {"detail": "Send the body with a Content-Length."},
        )

    @pytest.mark.parametrize(("length", "status"), [("-1", 400), ("x", 400), ("9" * 9_000, 413)])
    def test_an_invalid_content_length_is_refused(self, refuse, length, status):
        response = refuse(f"POST {MESSAGES}", b"{}", CONTENT_LENGTH=length)
        assert response.status_code == status


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
        response = api(alice).get(f"{CONVERSATIONS}?{query}")
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("debug", [False, True])
class TestFinalSlash:
    @pytest.fixture(autouse=True)
    def _debug(self, settings, debug):
        settings.DEBUG = debug

    def test_get_is_redirected(self, api, db):
        for method in ("GET", "HEAD"):
            response = api().generic(method, "/api/conversations?page_size=1")
            assert response.status_code == 301
            assert response.headers["Location"] == "/api/conversations/?page_size=1"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_any_other_method_is_told_the_path(self, api, db, method):
        response = api().generic(method, "/api/users", "{}", content_type="application/json")
        assert (response.status_code, response.json()) == (
            404,
            {"detail": "Not found: the path ends with a slash, /api/users/."},
        )

    def test_the_root_has_one_too(self, api, db):
        response = api().get("/api")
        assert (response.status_code, response.headers["Location"]) == (301, "/api/")
        response = api().post("/api", {})
        assert (response.status_code, response.json()) == (
            404,
            {"detail": "Not found: the path ends with a slash, /api/."},
        )

    @pytest.mark.parametrize("path", ["/api/nothing", "/api/nothing/", "/api/users/me/x"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_an_unknown_path_is_not_found(self, api, db, method, path):
        response = api().generic(method, path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)

    def test_an_unknown_host_is_a_400_in_json(self, api, db):
        response = api().get("/api/", HTTP_HOST="evil.example")
        assert (response.status_code, response.json()) == (400, {"detail": "Bad Request"})


def test_an_unhandled_error_is_json_and_logged_once(client, monkeypatch, capfd, caplog):
    def fail(self, request):
        raise ImproperlyConfigured("on purpose")

    monkeypatch.setattr("messaging_app.views.RootView.get", fail)
    client.raise_request_exception = False
    response = client.get("/api/")
    assert (response.status_code, response.json()) == (500, {"detail": "Internal Server Error"})
    assert response.headers["Content-Length"] == str(len(response.content))
    logged = [r for r in caplog.records if "Internal Server Error" in r.getMessage()]
    assert [(r.getMessage(), r.levelname, bool(r.exc_info)) for r in logged] == [
        ("Internal Server Error: /api/", "ERROR", True)
    ]


def test_head_returns_the_headers_of_get(api, alice, message):
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
    response = api().get("/api/")
    assert (response.status_code, response.json()) == (
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
    response = api(alice).get(CONVERSATIONS, HTTP_ACCEPT="text/html")
    assert (response.status_code, response.json()) == (
        406,
        {"detail": "Responses are JSON: accept application/json or */*."},
    )
    for accept in ("text/html,*/*;q=0.8", "application/json; charset=utf-7; indent=3"):
        response = api(alice).get(CONVERSATIONS, HTTP_ACCEPT=accept)
        assert response.headers["Content-Type"] == "application/json"


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


def test_a_405_lists_the_allowed_methods(api, alice):
    response = api(alice).delete(CONVERSATIONS)
    assert (response.status_code, response.json()) == (
        405,
        {"detail": 'Method "DELETE" not allowed. Allowed: GET, POST, HEAD, OPTIONS.'},
    )


def test_options_describes_the_call(api, alice):
    response = api(alice).options(CONVERSATIONS)
    assert response.status_code == 200
    assert response.json()["parses"] == ["application/json"]


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
            response = api(user).get(CONVERSATIONS, HTTP_ORIGIN=self.ORIGIN)
            assert response.headers["Access-Control-Allow-Origin"] == self.ORIGIN
            assert response.headers["Access-Control-Expose-Headers"] == (
                "ETag, Retry-After, Idempotent-Replayed, X-Request-ID"
            )

    def test_others_may_not(self, api, alice):
        response = api(alice).get(CONVERSATIONS, HTTP_ORIGIN="https://evil.example")
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_refusals_can_be_read_too(self, api, db):
        response = api().post(
            CONVERSATIONS,
            b"x" * 1024 * 1025,
            content_type="application/json",
            HTTP_ORIGIN=self.ORIGIN,
        )
        assert response.status_code == 413
        assert response.headers["Access-Control-Allow-Origin"] == self.ORIGIN


def test_a_caller_who_was_deleted_meanwhile_is_told_so(api, carol, monkeypatch):
    def delete_first(user):
        User.objects.filter(pk=user.pk).delete()
        erase(user)

    monkeypatch.setattr("chats.accounts.views.erase", delete_first)
    response = api(carol).delete("/api/users/me/", {"current_password": PASSWORD})
    assert (response.status_code, response.json()) == (
        401,
        {"detail": "User not found", "code": "user_not_found"},
    )
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_permission_hides_what_a_queryset_would_let_through(alice, mallory, message):
    permission, request = IsParticipantOfConversation(), APIRequestFactory().get("/")
    request.user = alice
    for found in (message, message.conversation):
        assert permission.has_object_permission(request, None, found)
    request.user = mallory
    for found in (message, message.conversation):
        with pytest.raises(Http404):
            permission.has_object_permission(request, None, found)
