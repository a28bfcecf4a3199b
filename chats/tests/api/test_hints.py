"""Errors that say what to use instead. The tests do what the error says."""

import re

import pytest

from chats.models import Conversation, Message, Participation, User
from chats.rest.hints import FIND_CONVERSATION, FIND_USER
from chats.services import mark_as_read, send, start
from chats.tests.api.test_access import ACCESS
from chats.tests.conftest import PASSWORD
from chats.tests.support.paths import CONVERSATIONS, MESSAGES, messages_path
from chats.tests.support.rows import read_tables

pytestmark = pytest.mark.once

USERS = "/api/users/"
LIST = "this list has"
OMIT = "leave it out"
NESTED = "only the list of one conversation has it, /api/conversations/{id}/messages/"
WITHOUT = [LIST, OMIT, NESTED, "see `unread_count`", "see `participants`"]


class TestQueryParameters:
    @pytest.fixture
    def world(self, alice, bob, carol):
        """Alice talks to Bob (one, two, three) and to Carol (four)."""
        lunch, _ = start({bob.pk}, actor=alice, title="Lunch")
        one, _ = send(lunch, "one", actor=alice)
        two, _ = send(lunch, "two", actor=bob)
        three, _ = send(lunch, "three", actor=alice)
        tea, _ = start({carol.pk}, actor=alice, title="Tea")
        send(tea, "four", actor=carol)
        state = mark_as_read(lunch, one.sent_at, actor=alice)
        return {
            "alice": alice.pk,
            "bob": bob.pk,
            "carol": carol.pk,
            "lunch": lunch.pk,
            "tea": tea.pk,
            "one": one.sent_at.isoformat(),
            "two": two.sent_at.isoformat(),
            "two_id": two.pk,
            "three": three.sent_at.isoformat(),
            "lunch_at": lunch.created_at.isoformat(),
            "tea_at": tea.created_at.isoformat(),
            "read_at": state.read_at.isoformat(),
        }

    @pytest.fixture
    def follow(self, api, alice, world):
        """`follow(path, query)`: the rows after doing what the error says. If it says to do
        without, its first words."""
        client = api(alice)

        def get_results(path, **query):
            response = client.get(path, query)
            assert response.status_code == 200, response.json()
            return response.json()["results"]

        def find(hint, value):
            """The id of the object with this address, name or title, as the hint says."""
            if re.fullmatch("[0-9a-f-]{36}", value):
                return value
            if "?email=" in hint:
                query = {"email" if "@" in value else "search": value}
                return get_results(USERS, **query)[0]["user_id"]
            if "/conversations/?search=" in hint:
                return get_results(CONVERSATIONS, search=value)[0]["conversation_id"]
            return value

        def get_rows(path, hint, value):
            if "“next”" in hint:
                return get_results(client.get(path, {"page_size": 1}).json()["next"])
            if path_of_row := re.search("GET (.*{id}/)", hint):
                return [client.get(path_of_row[1].replace("{id}", value)).json()]
            if "GET /api/messages/?search=" in hint:
                return get_results(MESSAGES, search=value)
            if "?participants=" in hint:
                [conversation] = get_results(CONVERSATIONS, participants=value)
                return get_results(path, conversation=conversation["conversation_id"])
            use, *others = re.findall("“(.*?)”", hint)
            if use == "ordering=sent_at":
                is_descending = value == "desc" or value.startswith("-")
                return get_results(path, ordering="-sent_at" if is_descending else "sent_at")
            query = dict(other.split("=") for other in others if "=" in other)
            return get_results(path, **query, **{use: find(hint, value)})

        def follow(path, query):
            name, _, value = query.partition("=")
            response = client.get(path, {name: value})
            assert (response.status_code, list(response.json())) == (400, [name])
            [text] = response.json()[name]
            hint = text.removeprefix("There is no such parameter here; ").removesuffix(".")
            assert len(hint) < len(text) - 1
            without = [words for words in WITHOUT if hint.startswith(words)]
            return without[0] if without else get_rows(path, hint, value)

        return follow

    MESSAGE_ROWS = [
        ("page=2", "three"),
        ("offset=1", "three"),
        ("skip=1", "three"),
        ("pageToken=x", "three"),
        ("page[number]=2", "three"),
        ("last_7_days={two}", "four three"),
        ("limit=2", "four three"),
        ("per_page=2", "four three"),
        ("perPage=2", "four three"),
        ("pageSize=2", "four three"),
        ("page_sise=2", "four three"),
        ("format=json", OMIT),
        ("q=two", "two"),
        ("query=two", "two"),
        ("keyword=two", "two"),
        ("serach=two", "two"),
        ("text=two", "two"),
        ("message_body=two", "two"),
        ("message_body__icontains=two", "two"),
        ("content__contains=two", "two"),
        ("sent_at__gt={two}", "four three"),
        ("sent_at__gte={two}", "four three"),
        ("sent_at_gte={two}", "four three"),
        ("sent_at_since={two}", "four three"),
        ("sent_at_from={two}", "four three"),
        ("sentAtAfter={two}", "four three"),
        ("sent_at_afer={two}", "four three"),
        ("created_at__gte={two}", "four three"),
        ("createdAt[gte]={two}", "four three"),
        ("created_after={two}", "four three"),
        ("timestamp__gt={two}", "four three"),
        ("timestamp_after={two}", "four three"),
        ("date_from={two}", "four three"),
        ("min_date={two}", "four three"),
        ("start_date={two}", "four three"),
        ("start={two}", "four three"),
        ("since={two}", "four three"),
        ("after={two}", "four three"),
        ("oldest={two}", "four three"),
        ("newer_than={two}", "four three"),
        ("sent_at__lt={two}", "one"),
        ("sent_at__lte={two}", "one"),
        ("sent_at_lte={two}", "one"),
        ("sent_at_until={two}", "one"),
        ("sent_at_to={two}", "one"),
        ("sentAtBefore={two}", "one"),
        ("created_at__lte={two}", "one"),
        ("createdAt[lte]={two}", "one"),
        ("created_before={two}", "one"),
        ("timestamp__lte={two}", "one"),
        ("timestamp_before={two}", "one"),
        ("date_to={two}", "one"),
        ("max_date={two}", "one"),
        ("end_date={two}", "one"),
        ("end={two}", "one"),
        ("until={two}", "one"),
        ("before={two}", "one"),
        ("latest={two}", "one"),
        ("older_than={two}", "one"),
        ("to={two}", "one"),
        ("sender_id={bob}", "two"),
        ("user={bob}", "two"),
        ("author={bob}", "two"),
        ("from={bob}", "two"),
        ("sender__user_id={bob}", "two"),
        ("sender__in={bob}", "two"),
        ("sender__email=bob@example.com", "two"),
        ("sender_email=bob@example.com", "two"),
        ("email=bob@example.com", "two"),
        ("sender__username=Bob", "two"),
        ("sender_username=bob@example.com", "two"),
        ("username=Bob", "two"),
        ("sender_name=Bob", "two"),
        ("name=Bob", "two"),
        ("conversation_id={tea}", "four"),
        ("room={tea}", "four"),
        ("thread_id={tea}", "four"),
        ("chat=Tea", "four"),
        ("conversation__title=Tea", "four"),
        ("title=Tea", "four"),
        ("recipient={carol}", "four"),
        ("participants={carol}", "four"),
        ("receiver_id={carol}", "four"),
        ("participants__user_id={carol}", "four"),
        ("senderId={bob}", "two"),
        ("author_email=bob@example.com", "two"),
        ("sender__first_name__icontains=Bob", "two"),
        ("sender__role=host", LIST),
        ("order=asc", "one two three four"),
        ("sort=sent_at", "one two three four"),
        ("order_by=-sent_at", "four three two one"),
        ("id={two_id}", "two"),
        ("message_id={two_id}", "two"),
        ("message_type=text", LIST),
        ("status=sent", LIST),
        ("recipent=x", LIST),
        ("updated_at__lte={two}", LIST),
        ("deleted=true", LIST),
        ("x=1", LIST),
        ("a%00=1", LIST),
    ]

    @pytest.mark.parametrize(("query", "expected"), MESSAGE_ROWS, ids=lambda value: value)
    def test_of_messages(self, follow, world, query, expected):
        rows = follow(MESSAGES, query.format(**world))
        if isinstance(rows, list):
            rows = " ".join(row["message_body"] for row in rows)
        assert rows == expected

    CONVERSATION_ROWS = [
        ("page=2", "Lunch"),
        ("limit=1", "Tea"),
        ("format=json", OMIT),
        ("q=Lun", "Lunch"),
        ("name=Bob", "Lunch"),
        ("title=Lun", "Lunch"),
        ("title__icontains=Lun", "Lunch"),
        ("participants__first_name=Bob", "Lunch"),
        ("participant={bob}", "Lunch"),
        ("participant_ids={bob}", "Lunch"),
        ("participants[]={bob}", "Lunch"),
        ("participants__in={bob}", "Lunch"),
        ("participants__user_id={bob}", "Lunch"),
        ("partisipants={bob}", "Lunch"),
        ("user={bob}", "Lunch"),
        ("members={bob}", "Lunch"),
        ("recipient={bob}", "Lunch"),
        ("sender={bob}", "Lunch"),
        ("participants__email=bob@example.com", "Lunch"),
        ("participants__email__iexact=bob@example.com", "Lunch"),
        ("participants__role=host", LIST),
        ("email=bob@example.com", "Lunch"),
        ("username=Bob", "Lunch"),
        ("user_name=bob@example.com", "Lunch"),
        ("with=Bob", "Lunch"),
        ("created_at__gte={lunch_at}", "Tea"),
        ("created_at_since={lunch_at}", "Tea"),
        ("since={lunch_at}", "Tea"),
        ("after={lunch_at}", "Tea"),
        ("start_date={lunch_at}", "Tea"),
        ("created_at__lte={tea_at}", "Lunch"),
        ("created_before={tea_at}", "Lunch"),
        ("until={tea_at}", "Lunch"),
        ("end_date={tea_at}", "Lunch"),
        ("message=two", "two"),
        ("id={lunch}", "Lunch"),
        ("ordering=-created_at", OMIT),
        ("order_by=updated_at", OMIT),
        ("sort=desc", OMIT),
        ("is_read=false", "see `unread_count`"),
        ("unread=true", "see `unread_count`"),
        ("updated_after={lunch_at}", LIST),
        ("updated_at_after={lunch_at}", LIST),
        ("updated_at__lte={lunch_at}", LIST),
        ("sent_at_after={lunch_at}", LIST),
        ("last_message_at__gte={lunch_at}", LIST),
        ("is_group=true", LIST),
    ]

    @pytest.mark.parametrize(("query", "expected"), CONVERSATION_ROWS, ids=lambda value: value)
    def test_of_conversations(self, follow, world, query, expected):
        rows = follow(CONVERSATIONS, query.format(**world))
        if isinstance(rows, list):
            rows = " ".join(row.get("title", row.get("message_body")) for row in rows)
        assert rows == expected

    USER_ROWS = [
        ("limit=100", "Bob Carol"),
        ("q=Bo", "Bob"),
        ("name=Bob", "Bob"),
        ("first_name__icontains=Bo", "Bob"),
        ("email_address=bob@example.com", "Bob"),
        ("email__iexact=bob@example.com", "Bob"),
        ("username=bob@example.com", "Bob"),
        ("id={bob}", "Bob"),
        ("user_id={bob}", "Bob"),
        ("ordering=first_name", OMIT),
        ("conversation={lunch}", "see `participants`"),
        ("role=host", LIST),
        ("phone_number=1", LIST),
        ("created_at__gte={one}", LIST),
        ("since={one}", LIST),
    ]

    @pytest.mark.parametrize(("query", "expected"), USER_ROWS, ids=lambda value: value)
    def test_of_users(self, follow, world, query, expected):
        rows = follow(USERS, query.format(**world))
        if isinstance(rows, list):
            rows = " ".join(sorted(row["first_name"] for row in rows))
        assert rows == expected

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("is_read=false", ["three", "two"]),
            ("unread=1", ["three", "two"]),
            ("updated_since={one}", ["two", "three"]),
            ("updated_at__gt={one}", ["two", "three"]),
            ("modified_after={one}", ["two", "three"]),
            ("updated_at__lte={one}", LIST),
        ],
    )
    def test_of_one_conversation(self, follow, world, query, expected):
        name, _, value = query.format(**world).partition("=")
        if name in {"is_read", "unread"}:
            value = world["read_at"]
        rows = follow(f"{CONVERSATIONS}{world['lunch']}/messages/", f"{name}={value}")
        if isinstance(rows, list):
            rows = [row["message_body"] for row in rows]
        assert rows == expected

    @pytest.mark.parametrize("name", ["updated_since", "updated_at_after", "modified_at__gte"])
    def test_changes_are_in_the_list_of_one_conversation(self, follow, world, name):
        assert follow(MESSAGES, f"{name}={world['one']}") == NESTED

    @pytest.mark.parametrize("path", [CONVERSATIONS, MESSAGES, "nested", USERS])
    def test_list_names_every_parameter(self, api, alice, conversation, document, path):
        path = messages_path(conversation) if path == "nested" else path
        described = path.replace(str(conversation.pk), "{conversation_id}")
        parameters = document["paths"][described]["get"]["parameters"]
        names = [p["name"] for p in parameters if p.get("in") == "query"]
        response = api(alice).get(path, {"nonsense": "x"})
        sentence = ", ".join(f"“{name}”" for name in sorted(names))
        assert (response.status_code, response.json()) == (
            400,
            {"nonsense": [f"There is no such parameter here; this list has {sentence}."]},
        )


class TestValuesThatAreNoIds:
    @pytest.mark.parametrize("value", ["bob@example.com", "Bob", "5"])
    def test_of_people_in_filters(self, api, alice, value):
        find = "GET /api/users/?email= finds a user_id, ?search= by name."
        response = api(alice).get(MESSAGES, {"sender": value})
        error = f"Enter a user_id: {find}"
        assert (response.status_code, response.json()) == (400, {"sender": [error]})
        response = api(alice).get(CONVERSATIONS, {"participants": value})
        error = f"Enter a user_id, and repeat the parameter for others: {find}"
        assert (response.status_code, response.json()) == (400, {"participants": [error]})

    def test_of_names_in_the_filter_by_address(self, api, alice):
        response = api(alice).get(USERS, {"email": "Bob"})
        error = "Enter an e-mail address. “search” finds users by name."
        assert (response.status_code, response.json()) == (400, {"email": [error]})

    def test_of_conversations_in_filters(self, api, alice):
        response = api(alice).get(MESSAGES, {"conversation": "Lunch"})
        find = "GET /api/conversations/?search= finds a conversation_id"
        error = f"Enter a conversation_id: {find}."
        assert (response.status_code, response.json()) == (400, {"conversation": [error]})


ADD_OR_LEAVE = (
    "POST /api/conversations/{id}/add_participant/ adds a user, …/remove_participant/ removes one, "
    "…/leave/ removes yourself"
)
AFTERWARDS = "send it afterwards, with POST /api/conversations/{id}/messages/"
MARK_AS_READ = "use POST /api/conversations/{id}/read/"
CONVERSATION = "/api/conversations/{conversation}/"
BODY = {"message_body": "Hi"}


NEW = {"participants": ["Bob"]}
NEW_CONVERSATION_FIELDS = [
    *((name, "use “title”") for name in ["name", "subject", "topic", "Group-Name", "titel"]),
    *((name, AFTERWARDS) for name in ["message", "message_body", "text", "initialMessage"]),
    ("description", "a conversation has no picture and no description"),
    *((name, "use “distinct”") for name in ["distint", "is_distinct"]),
    *((name, f"use “participants” with user_ids, {FIND_USER}") for name in ["members", "user_id"]),
    *((name, f"use “participants” with user_ids, {FIND_USER}") for name in ["recipient", "to"]),
]
CONVERSATION_FIELDS = [
    *((name, "use “title”") for name in ["name", "subject", "topic", "titel"]),
    *((name, ADD_OR_LEAVE) for name in ["participants", "participant_ids", "user_id"]),
    *((name, MARK_AS_READ) for name in ["is_read", "read_at", "unread_count"]),
    ("message_body", "use POST /api/conversations/{id}/messages/"),
]
MESSAGE_FIELDS = [
    *((name, "a message has no replies") for name in ["parent_message", "reply_to"]),
    *((name, "a message has no attachments") for name in ["attachments", "file", "image"]),
    ("subject", "a message has no title"),
    ("is_read", f"{MARK_AS_READ} with the `sent_at` of the message"),
    ("is_deleted", "use DELETE"),
    *((name, "use “message_body”") for name in ["text", "body", "messageBody"]),
    ("recipient", "all participants of the conversation receive it"),
    *((name, "send the header Idempotency-Key") for name in ["idempotency_key", "nonce"]),
]
ROOMS = [
    (name, f"use “conversation” with a conversation_id, {FIND_CONVERSATION}")
    for name in ["room", "chat_id"]
]
PROFILE_FIELDS = [
    ("username", "people sign in with their e-mail address"),
    *((name, "use “first_name” and “last_name”") for name in ["name", "nickname"]),
    *((name, "a profile has no picture and no other texts") for name in ["bio", "avatar"]),
    *((name, "use “phone_number”") for name in ["phone", "mobile", "phoneNumber"]),
    *((name, "use “first_name”") for name in ["firstName", "frist_name"]),
    ("new_password", "use POST /api/users/set_password/"),
]
REPEATED = [
    *((name, "send the password once") for name in ["password2", "passwordConfirm", "re_password"]),
]
NEW_REPEATED = [
    *((name, "send the password once") for name in ["new_password2", "confirm_new_password"]),
]
REGISTRATION = {
    "email": "dora@example.com",
    "password": "tide over the moor",
    "first_name": "Dora",
    "last_name": "Diaz",
}
NEW_PASSWORD = {"current_password": PASSWORD, "new_password": "moor under the tide"}
NEW_EMAIL = {"current_password": PASSWORD, "new_email": "alicia@example.com"}
NEW_EMAIL_FIELDS = [
    *((name, "use “new_email”") for name in ["email", "newEmail", "new_address"]),
    ("password", "use “current_password”"),
]
LINK = {"uid": "x", "token": "x", "new_password": "moor under the tide"}


class TestFields:
    """A field that plainly means something is refused, and says where it goes."""

    @pytest.fixture
    def change(self, api, alice, bob, message):
        """`change(endpoint, body)` as Alice. A response of 400 or more has changed nothing."""

        def change(endpoint, body):
            ids = {"conversation": message.conversation_id, "message": message.pk}
            method, path = endpoint.format(**ids).split()
            if path == CONVERSATIONS and "participants" in body:
                body = body | {"participants": [str(bob.pk)]}
            if path == MESSAGES:
                body = body | {"conversation": str(message.conversation_id)}
            if path == USERS:
                body = body | {"email": f"{User.objects.count()}@example.com"}
            before = read_tables(User, Conversation, Participation, Message)
            response = getattr(api(alice), method.lower())(path, body)
            after = read_tables(User, Conversation, Participation, Message)
            assert before == after or response.status_code < 400
            return response

        return change

    @pytest.mark.parametrize(
        ("endpoint", "body", "name", "hint"),
        [
            *((f"POST {CONVERSATIONS}", NEW, *row) for row in NEW_CONVERSATION_FIELDS),
            *((f"PATCH {CONVERSATION}", {}, *row) for row in CONVERSATION_FIELDS),
            *((f"PATCH {CONVERSATION}", {"title": "Tea"}, *row) for row in CONVERSATION_FIELDS[4:]),
            *((f"POST {CONVERSATION}messages/", BODY, *row) for row in MESSAGE_FIELDS),
            *((f"POST {MESSAGES}", BODY, *row) for row in MESSAGE_FIELDS + ROOMS),
            *((f"PATCH {MESSAGES}{{message}}/", {}, *row) for row in MESSAGE_FIELDS),
            *((f"PATCH {MESSAGES}{{message}}/", BODY, *row) for row in MESSAGE_FIELDS),
            *(("PATCH /api/users/me/", {}, *row) for row in PROFILE_FIELDS),
            *(("PATCH /api/users/me/", {"last_name": "X"}, *row) for row in PROFILE_FIELDS),
            *((f"POST {USERS}", REGISTRATION, *row) for row in PROFILE_FIELDS[:8]),
            *((f"POST {USERS}", REGISTRATION, *row) for row in REPEATED),
            *((f"POST {USERS}set_password/", NEW_PASSWORD, *row) for row in NEW_REPEATED),
            *((f"POST {USERS}reset_password_confirm/", LINK, *row) for row in NEW_REPEATED),
        ],
    )
    def test_are_refused(self, change, endpoint, body, name, hint):
        response = change(endpoint, body | {name: "+14155552671"})
        error = f"There is no such field here; {hint}."
        assert (response.status_code, response.json()) == (400, {name: [error]})
        for use in re.findall("“(.*?)”", hint):
            value = True if use == "distinct" else "+14155552671"
            assert change(endpoint, body | {use: value}).status_code < 300

    @pytest.mark.parametrize(("name", "hint"), NEW_EMAIL_FIELDS)
    def test_of_another_address_are_refused(self, change, name, hint):
        response = change(f"POST {USERS}set_email/", NEW_EMAIL | {name: "x"})
        error = f"There is no such field here; {hint}."
        assert (response.status_code, response.json()) == (400, {name: [error]})
        assert change(f"POST {USERS}set_email/", NEW_EMAIL).status_code == 204

    def test_beside_other_errors(self, change):
        response = change("PATCH /api/users/me/", {"bio": "x", "first_name": "", "email": "x"})
        assert (response.status_code, set(response.json())) == (400, {"bio", "first_name", "email"})
        response = change(f"POST {CONVERSATIONS}", {"name": "Lunch"})
        assert (response.status_code, set(response.json())) == (400, {"name", "participants"})

    @pytest.mark.parametrize(
        ("endpoint", "body"),
        [
            (f"POST {CONVERSATIONS}", NEW | {"is_group": True, "distinctions": 1, "updated_at": 1}),
            (f"PATCH {CONVERSATION}", {"title": "Tea", "created_at": "x", "colour": "x"}),
            (f"POST {CONVERSATION}messages/", BODY | {"sender": "x", "conversation": "x"}),
            (f"POST {CONVERSATION}messages/", BODY | {"message_id": "x", "updated_at": "x"}),
            (f"POST {MESSAGES}", BODY | {"client_id": "x", "timestamp": 1}),
            ("PATCH /api/users/me/", {"is_staff": True, "favourite_colour": "red"}),
            (f"POST {USERS}", REGISTRATION | {"role": "admin", "is_staff": True, "terms": True}),
        ],
    )
    def test_other_unknown_fields_are_ignored(self, change, endpoint, body):
        assert change(endpoint, body).status_code < 300

    def test_message_can_be_sent_back_as_it_was_received(self, change, api, alice, message):
        row = api(alice).get(f"{MESSAGES}{message.pk}/").json()
        assert (
            change(f"PATCH {MESSAGES}{{message}}/", row | {"message_body": "Hi"}).status_code == 200
        )

    def test_reader_who_marks_a_message_as_read_is_told_where(self, api, bob, message):
        response = api(bob).patch(f"{MESSAGES}{message.pk}/", {"is_read": True})
        assert response.status_code == 403
        assert "POST /api/conversations/{id}/read/" in response.json()["detail"]

    @pytest.mark.parametrize("name", ["user_id", "participants"])
    def test_leaving_does_not_remove_others(self, change, bob, name):
        response = change(f"POST {CONVERSATION}leave/", {name: str(bob.pk)})
        error = (
            "There is no such field here; only you leave, "
            "POST /api/conversations/{id}/remove_participant/ removes another."
        )
        assert (response.status_code, response.json()) == (400, {name: [error]})
        assert change(f"POST {CONVERSATION}leave/", {}).status_code == 204

    def test_many_fields_are_one_error_for_each_name(self, change):
        names = [f"n{'-' * n}ame" for n in range(1_000)]
        response = change(f"PATCH {CONVERSATION}", dict.fromkeys(names, "x"))
        assert (response.status_code, len(response.json())) == (400, 1)


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PATHS = {route: path for _, path, route, *_ in ACCESS if route != "unknown-path"}


class TestMethods:
    @pytest.fixture
    def request_as_alice(self, api, alice, bob, message):
        ids = {"conversation": message.conversation_id, "message": message.pk, "user": bob.pk}
        return lambda method, path: api(alice).generic(method, path.format(**ids))

    @pytest.mark.parametrize("route", PATHS)
    def test_405_lists_the_allowed_methods(self, request_as_alice, route):
        responses = {method: request_as_alice(method, PATHS[route]) for method in METHODS}
        refused = {method for method in METHODS if responses[method].status_code == 405}
        allowed = [method for method in METHODS if method not in refused]
        allowed += ["HEAD", "OPTIONS"] if "GET" in allowed else ["OPTIONS"]
        assert refused
        for method in refused:
            allow = responses[method].headers["Allow"]
            assert sorted(allow.split(", ")) == sorted(allowed)
            assert f"Allowed: {allow}." in responses[method].json()["detail"]

    @pytest.mark.parametrize(
        ("method", "path", "hint"),
        [
            ("DELETE", CONVERSATION, "To leave the conversation, use POST {c}leave/."),
            ("PUT", CONVERSATION, "Use PATCH."),
            ("POST", CONVERSATION, "To send a message, use POST {c}messages/."),
            ("PATCH", CONVERSATIONS, "The path of one conversation is {c}."),
            ("DELETE", f"{CONVERSATION}add_participant/", "use POST {c}remove_participant/."),
            ("DELETE", f"{CONVERSATION}remove_participant/", "Use POST."),
            (
                "DELETE",
                f"{CONVERSATION}messages/",
                "The path of one message is /api/messages/{id}/.",
            ),
            ("PUT", f"{CONVERSATION}messages/{{message}}/", "Use PATCH."),
            ("PATCH", MESSAGES, "The path of one message is /api/messages/{id}/."),
            ("PUT", f"{MESSAGES}{{message}}/", "Use PATCH."),
            *(
                (method, f"{USERS}{{user}}/", "account is /api/users/me/.")
                for method in METHODS[1:5]
            ),
            ("PATCH", USERS, "account is /api/users/me/."),
            ("PUT", f"{USERS}me/", "Use PATCH."),
            (
                "GET",
                f"{USERS}{{user}}/block/",
                "GET /api/users/blocked/ lists the users that you have blocked.",
            ),
            ("POST", f"{USERS}blocked/", "To block a user, use POST /api/users/{id}/block/."),
            ("POST", f"{USERS}me/", "To register, use POST /api/users/."),
            ("DELETE", MESSAGES, "The path of one message is /api/messages/{id}/."),
        ],
    )
    def test_405_says_what_to_use_instead(self, request_as_alice, method, path, hint):
        response = request_as_alice(method, path)
        assert response.status_code == 405
        assert response.json()["detail"].endswith(hint.replace("{c}", "/api/conversations/{id}/"))
        if hint == "Use PATCH.":
            assert "PATCH" in response.headers["Allow"]


class TestUnknownPaths:
    @pytest.mark.parametrize(
        ("path", "hint"),
        [
            ("/api/register/", "POST /api/users/"),
            ("/api/register", "POST /api/users/"),
            ("/api/auth/register/", "POST /api/users/"),
            ("/api/users/register/", "POST /api/users/"),
            ("/api/users/create/", "/api/users/"),
            ("/api/v1/users/register/", "POST /api/users/"),
            ("/api/login/", "POST /api/token/"),
            ("/api/auth/", "POST /api/token/"),
            ("/api/auth/login/", "POST /api/token/"),
            ("/api/auth/jwt/create/", "POST /api/token/"),
            ("/api/auth/token/", "POST /api/token/"),
            ("/api/users/login/", "POST /api/token/"),
            ("/api/auth/token/refresh/", "POST /api/token/refresh/"),
            ("/api/refresh/", "POST /api/token/refresh/"),
            ("/api/auth/jwt/verify/", "POST /api/token/verify/"),
            ("/api/logout/", "POST /api/token/blacklist/"),
            ("/api/me/", "/api/users/me/"),
            ("/api/profile/", "/api/users/me/"),
            ("/api/users/profile/", "/api/users/me/"),
            ("/api/users/me/update/", "/api/users/me/"),
            ("/api/users/set-password/", "POST /api/users/set_password/"),
            ("/api/change_password/", "POST /api/users/set_password/"),
            ("/api/password_reset/", "POST /api/users/reset_password/"),
            ("/api/users/verify-email/", "POST /api/users/verify_email/"),
            ("/api/verify_email", "POST /api/users/verify_email/"),
            ("/api/auth/users/activation/", "POST /api/users/verify_email/"),
            ("/api/users/resend/", "POST /api/users/resend_verification/"),
            ("/api/auth/registration/resend-email/", "POST /api/users/resend_verification/"),
            ("/api/users/me/email/", "POST /api/users/set_email/"),
            ("/api/users/change_email/", "POST /api/users/set_email/"),
            ("/api/auth/users/reset_email_confirm/", "POST /api/users/set_email_confirm/"),
            ("/api/v1/conversations/", "/api/conversations/"),
            ("/api/v2.0/conversations/{id}/messages/", "/api/conversations/{id}/messages/"),
            ("/api/chats/", "/api/conversations/"),
            ("/api/conversation/", "/api/conversations/"),
            ("/api/conversations/create/", "/api/conversations/"),
            ("/api/conversations/{id}/delete/", "/api/conversations/{id}/"),
            ("/api/conversations/{id}/add-participant/", ADD := "POST {c}add_participant/"),
            ("/api/conversations/{id}/addParticipant/", ADD),
            ("/api/conversations/{id}/participants/", ADD),
            ("/api/conversations/{id}/members/add/", ADD),
            ("/api/conversations/{id}/kick/", REMOVE := "POST {c}remove_participant/"),
            ("/api/conversations/{id}/remove-participant/", REMOVE),
            ("/api/conversations/{id}/removeMember/", REMOVE),
            ("/api/conversations/{id}/exit/", "POST {c}leave/"),
            ("/api/conversations/{id}/mark_as_read/", READ := "POST {c}read/"),
            ("/api/messages/{id}/mark-read/", READ),
            ("/api/messages/{id}/read/", READ),
            ("/api/conversations/{id}/send/", "POST {c}messages/"),
            ("/api/conversations/{id}/send_message/", "POST {c}messages/"),
            ("/api/messages/send/", "POST {c}messages/"),
            ("/api/messages/{id}/edit/", "/api/messages/{id}/"),
            ("/api/messages/{id}/flag/", "POST /api/messages/{id}/report/"),
            ("/api/reports/", "POST /api/messages/{id}/report/"),
            ("/api/chat/messages/", "/api/messages/"),
            ("/api/contacts/", "/api/users/"),
            ("/api/export/", "GET /api/users/me/export/"),
            ("/api/users/{id}/unblock/", "DELETE /api/users/{id}/block/"),
            ("/api/users/{id}/block_user/", "POST /api/users/{id}/block/"),
            ("/api/blocks/", "/api/users/blocked/"),
            ("/api/users/me/blocked/", "/api/users/blocked/"),
            ("/api/swagger/", "GET /api/docs/"),
            ("/api/openapi.json", "GET /api/schema/"),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_name_the_path_with_the_same_meaning(
        self, api, alice, bob, message, method, path, hint
    ):
        ids = {"messages": message.pk, "conversations": message.conversation_id, "users": bob.pk}

        def fill(path):
            return re.sub(
                "(messages|conversations|users)/{id}",
                lambda found: f"{found[1]}/{ids[found[1]]}",
                path,
            )

        client = api(alice)
        response = client.generic(method, fill(path))
        hint = hint.replace("{c}", "/api/conversations/{id}/")
        written_out = hint if hint.startswith(("POST", "DELETE")) else fill(hint)
        listed = "GET /api/ and /api/docs/ list what there is."
        assert (response.status_code, response.json()) == (
            404,
            {"detail": f"There is no such path; use {written_out}. {listed}"},
        )
        *verb, path = hint.split()
        [verb] = verb or ["GET"]
        assert client.generic(verb, fill(path)).status_code not in {404, 405}

    @pytest.mark.parametrize(
        "path",
        [
            "/api/conversations/{id}/nothing/",
            "/api/messages/{id}/nothing/",
            "/api/conversations/{id}/messages/{id}/nothing/",
            "/api/conversations/{id}/kick/",
        ],
    )
    def test_are_the_same_for_participants_and_outsiders(self, api, alice, mallory, message, path):
        path = path.replace("{id}", str(message.conversation_id))
        bodies = {api(user).post(path).content for user in (alice, mallory, None)}
        assert len(bodies) == 1
        assert b"There is no such path" in bodies.pop()
