"""Every request: query strings, slashes, hosts, headers, other origins."""

import json

import pytest
from django.core.exceptions import NON_FIELD_ERRORS, ImproperlyConfigured
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.exceptions import AuthenticationFailed, ParseError, ValidationError
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from chats.models import User
from chats.services import erase
from chats.tests.conftest import PASSWORD
from chats.tests.support.paths import CONVERSATIONS, conversation_path, messages_path


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
    def test_hostile_query_strings_are_a_400(self, api, alice, query):
        response = api(alice).get(f"{CONVERSATIONS}?{query}")
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("debug", [False, True])
class TestPaths:
    @pytest.fixture(autouse=True)
    def _debug(self, settings, debug):
        settings.DEBUG = debug

    def test_get_without_the_final_slash_is_redirected(self, api, db):
        for method in ("GET", "HEAD"):
            response = api().generic(method, "/api/conversations?page_size=1")
            assert response.status_code == 301
            assert response.headers["Location"] == "/api/conversations/?page_size=1"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_other_methods_without_the_final_slash_are_a_404(self, api, db, method):
        response = api().generic(method, "/api/users", "{}", content_type="application/json")
        assert (response.status_code, response.json()) == (
            404,
            {"detail": "Not found: the path ends with a slash, /api/users/."},
        )

    def test_root_ends_with_a_slash(self, api, db):
        response = api().get("/api")
        assert (response.status_code, response.headers["Location"]) == (301, "/api/")
        response = api().post("/api", {})
        assert (response.status_code, response.json()) == (
            404,
            {"detail": "Not found: the path ends with a slash, /api/."},
        )

    @pytest.mark.parametrize("path", ["/api/nothing", "/api/nothing/", "/api/users/me/x"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_unknown_path_is_a_404(self, api, db, method, path):
        response = api().generic(method, path)
        assert (response.status_code, response.json()) == (
            404,
            {"detail": "There is no such path. GET /api/ and /api/docs/ list what there is."},
        )

    @pytest.mark.parametrize("path", ["/conversations/", "/token", "/favicon.ico", "/api2/"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("accept", ["*/*", "application/json"])
    def test_unknown_path_outside_the_api_is_json(self, client, method, path, accept):
        response = client.generic(method, path, HTTP_ACCEPT=accept)
        assert (response.status_code, response.json()) == (
            404,
            {"detail": "There is no such path. The API is under /api/."},
        )

    def test_unknown_path_outside_the_api_is_html_for_browsers(self, client):
        response = client.get("/conversations/", HTTP_ACCEPT="text/html,*/*;q=0.8")
        assert response.status_code == 404
        assert response.headers["Content-Type"].startswith("text/html")

    def test_unknown_host_is_a_400_in_json(self, api, db):
        response = api().get("/api/", HTTP_HOST="evil.example")
        assert (response.status_code, response.json()) == (
            400,
            {"detail": "The Host header is not a name of this site."},
        )


def test_unhandled_error_is_json_and_logged_once(client, monkeypatch, capfd, caplog):
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
        messages_path(message.conversation),
        conversation_path(message.conversation),
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


def test_root_links_to_the_collections(api, db):
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


def test_responses_are_json_only(api, alice):
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
def test_get_with_bad_headers_is_refused(api, alice, message, headers, status):
    for path in ("/api/", "/api/users/me/", CONVERSATIONS, f"/api/messages/{message.pk}/"):
        assert api(alice).get(path, **headers).status_code == status


def test_options_describes_the_endpoint(api, alice):
    response = api(alice).options(CONVERSATIONS)
    assert response.status_code == 200
    assert response.json()["parses"] == ["application/json"]


class TestOtherOrigins:
    ORIGIN = "https://chat.example.com"

    @pytest.fixture(autouse=True)
    def _allow(self, settings):
        settings.CORS_ALLOWED_ORIGINS = [self.ORIGIN]

    def test_may_send_and_read_the_headers_that_they_need(self, api, alice):
        preflight = api().options(
            CONVERSATIONS,
            HTTP_ORIGIN=self.ORIGIN,
            HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
            HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,idempotency-key",
        )
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == self.ORIGIN
        assert preflight.headers["Access-Control-Allow-Headers"] == (
            "authorization, content-type, idempotency-key, if-match, if-none-match, "
            "x-csrftoken, x-requested-with"
        )
        for user in (alice, None):
            response = api(user).get(CONVERSATIONS, HTTP_ORIGIN=self.ORIGIN)
            assert response.headers["Access-Control-Allow-Origin"] == self.ORIGIN
            assert response.headers["Access-Control-Expose-Headers"] == (
                "ETag, Retry-After, Idempotent-Replayed, X-Request-ID"
            )

    def test_origins_that_are_not_listed_get_no_cors_headers(self, api, alice):
        response = api(alice).get(CONVERSATIONS, HTTP_ORIGIN="https://evil.example")
        assert "Access-Control-Allow-Origin" not in response.headers

    def test_may_read_refusals(self, api, db):
        response = api().post(
            CONVERSATIONS,
            b"x" * 1024 * 1025,
            content_type="application/json",
            HTTP_ORIGIN=self.ORIGIN,
        )
        assert response.status_code == 413
        assert response.headers["Access-Control-Allow-Origin"] == self.ORIGIN


def test_caller_who_was_deleted_meanwhile_gets_a_401(api, carol, monkeypatch):
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


@pytest.fixture
def respond_to():
    """`respond_to(error)`: status code and body, if a view raises it."""

    def respond_to(error):
        class RaisingView(APIView):
            permission_classes = []

            def get(self, request):
                raise error

        response = RaisingView.as_view()(APIRequestFactory().get("/")).render()
        return response.status_code, json.loads(response.content)

    return respond_to


@pytest.mark.parametrize(
    "error_class", [ValidationError, DjangoValidationError], ids=["DRF", "Django"]
)
@pytest.mark.parametrize(
    ("detail", "body"),
    [
        ("text", {"non_field_errors": ["text"]}),
        (["one", "two"], {"non_field_errors": ["one", "two"]}),
        ({"title": "text"}, {"title": ["text"]}),
        (
            {"title": ["one", "two"], "read_at": "three"},
            {"title": ["one", "two"], "read_at": ["three"]},
        ),
    ],
    ids=str,
)
def test_a_validation_error_of_any_shape_names_a_field_and_lists_texts(
    respond_to, error_class, detail, body
):
    assert respond_to(error_class(detail)) == (400, body)


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (ValidationError(("one", "two")), {"non_field_errors": ["one", "two"]}),
        (ValidationError([]), {"non_field_errors": ["Invalid input."]}),
        (ValidationError({}), {"non_field_errors": ["Invalid input."]}),
        (ValidationError(5), {"non_field_errors": ["5"]}),
        (ValidationError({0: {"a": ["text"]}}), {"0": ["text"]}),
        (ValidationError({"a": {"0": ["one"], "1": ["two"]}}), {"a": ["one", "two"]}),
        (ValidationError([{"a": ["one"]}, {"b": ["two"]}]), {"non_field_errors": ["one", "two"]}),
        (DjangoValidationError("%(n)s", params={"n": 5}), {"non_field_errors": ["5"]}),
        (DjangoValidationError({NON_FIELD_ERRORS: "one"}), {"non_field_errors": ["one"]}),
        (ParseError("text"), {"detail": "text"}),
        (ParseError(["text"]), {"non_field_errors": ["text"]}),
        (ParseError({"title": "text"}), {"title": ["text"]}),
    ],
    ids=repr,
)
def test_a_400_has_one_of_two_shapes(respond_to, error, body):
    assert respond_to(error) == (400, body)


@pytest.mark.parametrize("detail", ["text", ["text"], {"detail": "text"}])
def test_a_401_has_detail_and_code(respond_to, detail):
    body = {"detail": "text", "code": "authentication_failed"}
    assert respond_to(AuthenticationFailed(detail)) == (401, body)
