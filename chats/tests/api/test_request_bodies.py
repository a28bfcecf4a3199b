"""Request bodies: only complete and valid JSON objects are accepted."""

import gzip
import json

import pytest
from django.contrib.auth.tokens import default_token_generator
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken

from chats.accounts.links import encode_user_id, make_change_token, verification_tokens
from chats.models import Conversation, Message, Participation, User
from chats.services import send as send_message
from chats.tests.conftest import PASSWORD
from chats.tests.support.paths import CONVERSATIONS
from chats.tests.support.rows import change, read_tables

CONVERSATION = "/api/conversations/{conversation}/"
MESSAGES = f"{CONVERSATION}messages/"
NEW_PASSWORD = "moor under the tide"
TABLES = (User, Conversation, Participation, Message, OutstandingToken, BlacklistedToken)

# A complete and valid body for each endpoint that takes one.
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
    "POST /api/users/set_password/": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    "POST /api/users/reset_password/": {"email": "alice@example.com"},
    "POST /api/users/reset_password_confirm/": {
        "uid": "{uid}",
        "token": "{reset_token}",
        "new_password": NEW_PASSWORD,
    },
    "POST /api/users/verify_email/": {"uid": "{unverified_uid}", "token": "{verification_token}"},
    "POST /api/users/resend_verification/": {"email": "dana@example.com"},
    "POST /api/users/set_email/": {
        "current_password": PASSWORD,
        "new_email": "alicia@example.com",
    },
    "POST /api/users/set_email_confirm/": {"token": "{change_token}"},
    "POST /api/token/": {"email": "alice@example.com", "password": PASSWORD},
    "POST /api/token/refresh/": {"refresh": "{refresh}"},
    "POST /api/token/verify/": {"token": "{refresh}"},
    "POST /api/token/blacklist/": {"refresh": "{refresh}"},
    f"POST {CONVERSATIONS}": {"participants": ["{bob}"]},
    f"POST {CONVERSATION}add_participant/": {"user_id": "{carol}"},
    f"POST {CONVERSATION}remove_participant/": {"user_id": "{bob}"},
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
REQUIRED = {
    "user_id": "This field is required: GET /api/users/?email= finds a user_id, ?search= by name",
    "read_at": "This field is required: the `sent_at` of the last message seen",
}
DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.fixture
def fill(alice, bob, carol, conversation, make_user):
    """`fill(text)`: the text with ids and tokens instead of their names."""
    # So that she can remove Bob.
    change(alice, role=User.Role.HOST)
    dana = make_user("Dana", email_verified_at=None)
    values = {
        "conversation": conversation.pk,
        "message": send_message(conversation, "Hello", actor=alice)[0].pk,
        "bob": bob.pk,
        "carol": carol.pk,
        "refresh": RefreshToken.for_user(alice),
        "uid": encode_user_id(alice),
        "reset_token": default_token_generator.make_token(alice),
        "unverified_uid": encode_user_id(dana),
        "verification_token": verification_tokens.make_token(dana),
        "change_token": make_change_token(alice, "alicia@example.com"),
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

    def refuse(*args, **kwargs):
        before = read_tables(*TABLES)
        response = send(*args, **kwargs)
        assert read_tables(*TABLES) == before
        return response

    return refuse


class TestRequestBodies:
    @pytest.mark.parametrize("endpoint", BODIES)
    def test_valid_bodies_are_accepted(self, send, fill, endpoint):
        """So the refusals below are for the one wrong value."""
        response = send(endpoint, fill(json.dumps(BODIES[endpoint])))
        assert response.status_code < 300

    @pytest.mark.parametrize("endpoint", BODIES)
    def test_every_endpoint_accepts_json_objects_only(self, refuse, endpoint):
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
        ],
        ids=lambda content: f"{len(content)} {content[:12]!r}",
    )
    def test_content_that_is_not_json_is_a_400(self, refuse, content):
        response = refuse(f"POST {MESSAGES}", content)
        assert (response.status_code, list(response.json())) == (400, ["detail"])

    @pytest.mark.parametrize(
        "encoding",
        ["latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
    )
    def test_content_that_is_not_utf_8_is_a_400(self, refuse, encoding):
        response = refuse(f"POST {MESSAGES}", '{"message_body": "é"}'.encode(encoding))
        assert (response.status_code, response.json()) == (
            400,
            {"detail": "The body is not in UTF-8."},
        )

    def test_byte_order_mark_is_a_400(self, refuse):
        response = refuse(f"POST {MESSAGES}", "{}".encode("utf-8-sig"))
        assert response.status_code == 400
        assert "byte order mark" in response.json()["detail"]

    @pytest.mark.parametrize("endpoint", BODIES)
    @pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, GZIP"])
    def test_content_encoding_is_a_415(self, refuse, endpoint, encoding):
        content = gzip.compress(b"{}")
        response = refuse(endpoint, content, HTTP_CONTENT_ENCODING=encoding)
        assert (response.status_code, response.json()) == (
            415,
            {"detail": f"Send the body without the Content-Encoding “{encoding}”."},
        )

    def test_content_encoding_identity_is_accepted(self, send):
        body = json.dumps({"message_body": "Hello"})
        response = send(f"POST {MESSAGES}", body, HTTP_CONTENT_ENCODING="Identity")
        assert response.status_code == 201

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
    def test_wrong_type_is_an_error_of_its_field(self, refuse, fill, endpoint, field, value):
        body = json.loads(fill(json.dumps(BODIES[endpoint]))) | {field: value}
        response = refuse(endpoint, json.dumps(body))
        assert (response.status_code, list(response.json())) == (400, [field])
        [*errors] = response.json()[field]
        assert errors
        assert all(isinstance(error, str) and error for error in errors)

    @pytest.mark.parametrize(
        ("endpoint", "field"), [pair for pair in FIELDS if pair[1] != "phone_number"]
    )
    def test_missing_field_names_the_unknown_field_of_the_body(self, refuse, fill, endpoint, field):
        body = json.loads(fill(json.dumps(BODIES[endpoint])))
        del body[field]
        required = REQUIRED.get(field, "This field is required")
        response = refuse(endpoint, json.dumps(body))
        assert (response.status_code, response.json()) == (400, {field: [f"{required}."]})
        response = refuse(endpoint, json.dumps(body | {"nonsense": 1}))
        assert (response.status_code, response.json()) == (
            400,
            {field: [f"{required}; “nonsense” is not a field here."]},
        )

    @pytest.mark.parametrize(
        ("names", "sentence"),
        [
            (["note", "room"], "“note” and “room” are not fields here."),
            (["c", "b", "a"], "“c”, “b” and “a” are not fields here."),
            ([f"a{n}" for n in range(20)], "“a0”, “a1” and “a2” are not fields here."),
            (["x" * 51, ""], f"“{'x' * 50}” and “” are not fields here."),
            (["\0"], "“\0” is not a field here."),
        ],
        ids=lambda value: str(value)[:12],
    )
    def test_missing_field_names_at_most_three_unknown_fields(self, refuse, names, sentence):
        response = refuse(f"POST {MESSAGES}", json.dumps(dict.fromkeys(names, "Hello")))
        assert (response.status_code, response.json()) == (
            400,
            {"message_body": [f"This field is required; {sentence}"]},
        )

    def test_read_only_fields_are_not_unknown(self, refuse):
        """A client may send a message as it received it, read-only fields included."""
        row = {"message_id": "x", "conversation": "x", "sender": "x", "sent_at": "x"}
        response = refuse(f"POST {MESSAGES}", json.dumps(row))
        assert response.json() == {"message_body": ["This field is required."]}
        response = refuse(f"POST {MESSAGES}", json.dumps(row | {"note": "Hello"}))
        assert response.json() == {
            "message_body": ["This field is required; “note” is not a field here."]
        }

    @pytest.mark.parametrize(
        ("endpoint", "field"),
        [(f"POST {CONVERSATIONS}", "participants"), (f"POST {MESSAGES}", "message_body")],
    )
    def test_deeply_nested_value_is_an_error_of_its_field(self, refuse, endpoint, field):
        response = refuse(endpoint, json.dumps({field: DEEP}))
        assert (response.status_code, list(response.json())) == (400, [field])

    @pytest.mark.parametrize(
        "content_type",
        ["text/plain", "multipart/form-data; boundary=x", "application/xml", "nonsense"],
    )
    def test_other_content_type_is_a_415(self, refuse, content_type):
        response = refuse(f"POST {MESSAGES}", b"{}", content_type)
        assert (response.status_code, response.json()) == (
            415,
            {"detail": "Send JSON, with the Content-Type application/json."},
        )

    def test_body_over_1_mib_is_a_413(self, refuse):
        response = refuse(f"POST {MESSAGES}", b" " * (1024 * 1024 + 1))
        assert (response.status_code, response.json()) == (
            413,
            {"detail": "A body has at most 1048576 bytes."},
        )
        assert refuse(f"POST {MESSAGES}", b" " * (1024 * 1024)).status_code == 400

    def test_chunked_body_is_a_411(self, refuse):
        response = refuse(
            f"POST {MESSAGES}", b"{}", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH=""
        )
        assert (response.status_code, response.json()) == (
            411,
            {"detail": "Send the body with a Content-Length."},
        )

    @pytest.mark.parametrize(("length", "status"), [("-1", 400), ("x", 400), ("9" * 9_000, 413)])
    def test_invalid_content_length_is_refused(self, refuse, length, status):
        response = refuse(f"POST {MESSAGES}", b"{}", CONTENT_LENGTH=length)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CONVERSATIONS, {"participants": ["x" * 1_000_000]}),
        (CONVERSATIONS, {"participants": [f"{n}" for n in range(100_000)]}),
        (CONVERSATIONS, {"participants": [[]] * 300_000}),
        ("/api/messages/", {"conversation": "x" * 1_000_000, "message_body": "Hello"}),
        (f"{CONVERSATIONS}{{pk}}/add_participant/", {"user_id": "x" * 1_000_000}),
        (f"{CONVERSATIONS}{{pk}}/leave/", {f"user{'-' * 1_000_000}id": 1, "user_ids": []}),
        ("/api/users/", {"email": f"a@{''.join(map(chr, range(0x4E00, 0x9000)))}.com"}),
    ],
    ids=["id", "ids", "lists", "conversation", "user", "field", "email"],
)
def test_error_is_short_whatever_was_sent(api, alice, conversation, path, body):
    """And quick: encoding the domain of the last one would take a minute."""
    response = api(alice).post(path.format(pk=conversation.pk), body)
    assert response.status_code == 400
    assert len(response.content) < 1_000


def test_participants_are_counted_before_each_id_is_read(api, alice, bob):
    """In so many spellings, even one user_id is refused."""
    spellings = [f"{'{' * left}{bob.pk}{'}' * right}" for left in range(33) for right in range(33)]
    error = "A conversation has at most 256 participants, you included."
    response = api(alice).post(CONVERSATIONS, {"participants": spellings})
    assert (response.status_code, response.json()) == (400, {"participants": [error]})
