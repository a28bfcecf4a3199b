"""`If-Match` and the other conditions of a PATCH or DELETE (RFC 9110, section 13.1)."""

from datetime import timedelta
from typing import NamedTuple

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.http import http_date

from chats.models import Conversation, Message, Participation, User
from chats.rest import conditions
from chats.services import change_profile, edit, leave, rename, send
from chats.tests.conftest import PASSWORD
from chats.tests.support.expected import NOT_FOUND
from chats.tests.support.paths import MESSAGES, conversation_path, messages_path
from chats.tests.support.rows import read_tables

FAILED = {
    "detail": "If-Match, If-None-Match or If-Unmodified-Since does not hold, and nothing was "
    "changed. GET the object again, and send the new ETag in If-Match."
}
UNREADABLE = {"If-Match": ['Send an ETag with its double quotes, such as "1f0d5c2b", or *.']}
TITLE, TEXT, NAME = {"title": "Mine"}, {"message_body": "Mine"}, {"first_name": "Mine"}


class Change(NamedTuple):
    method: str
    path: str
    body: dict


@pytest.fixture(
    params=["title", "text", "nested text", "removal", "nested removal", "profile", "erasure"]
)
def change(request, message):
    """A request by Alice that changes something."""
    conversation = conversation_path(message.conversation)
    flat, nested = f"{MESSAGES}{message.pk}/", f"{messages_path(message.conversation)}{message.pk}/"
    return {
        "title": Change("patch", conversation, TITLE),
        "text": Change("patch", flat, TEXT),
        "nested text": Change("patch", nested, TEXT),
        "removal": Change("delete", flat, {}),
        "nested removal": Change("delete", nested, {}),
        "profile": Change("patch", "/api/users/me/", NAME),
        "erasure": Change("delete", "/api/users/me/", {"current_password": PASSWORD}),
    }[request.param]


@pytest.fixture
def change_before(alice, message):
    """What Alice has not seen: the title, the text and her name are changed elsewhere."""

    def change_before():
        rename(message.conversation, "Theirs", actor=alice)
        edit(message, "Theirs", actor=alice)
        change_profile(alice, first_name="Theirs")

    return change_before


def call(client, change, **headers):
    headers = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return getattr(client, change.method)(change.path, change.body, **headers)


def read_everything():
    return read_tables(User, Conversation, Participation, Message)


def get_etag(client, change):
    return client.get(change.path).headers["ETag"]


def test_stale_etag_is_a_412_and_changes_nothing(api, alice, change, change_before):
    client = api(alice)
    etag = get_etag(client, change)
    change_before()
    before = read_everything()
    response = call(client, change, if_match=etag)
    assert (response.status_code, response.json()) == (412, FAILED)
    assert read_everything() == before
    etag = get_etag(client, change)
    assert call(client, change, if_match=etag).status_code in {200, 204}
    assert read_everything() != before


@pytest.mark.parametrize("form", ["*", "{etag}", '"other", {etag}', '{etag},W/"other"'])
def test_current_etag_lets_the_change_through(api, alice, change, form):
    client = api(alice)
    before = read_everything()
    response = call(client, change, if_match=form.format(etag=get_etag(client, change)))
    assert response.status_code in {200, 204}
    assert read_everything() != before


@pytest.mark.parametrize("form", ["W/{etag}", '"other"', '""', '"*"', '"other", *'])
def test_other_etags_never_match(api, alice, change, form):
    client = api(alice)
    before = read_everything()
    response = call(client, change, if_match=form.format(etag=get_etag(client, change)))
    assert (response.status_code, response.json()) == (412, FAILED)
    assert read_everything() == before


@pytest.mark.parametrize("form", ["", "x", "1f0d5c2b, W/x", "'x'"])
def test_unreadable_etag_is_a_400(api, alice, change, form):
    before = read_everything()
    response = call(api(alice), change, if_match=form)
    assert (response.status_code, response.json()) == (400, UNREADABLE)
    assert read_everything() == before


def test_if_none_match_refuses_the_current_etag(api, alice, change):
    client = api(alice)
    etag = get_etag(client, change)
    before = read_everything()
    for tag in ("*", etag, f"W/{etag}"):
        assert call(client, change, if_none_match=tag).status_code == 412
    assert read_everything() == before
    assert call(client, change, if_none_match='"other"').status_code in {200, 204}


def test_if_unmodified_since_compares_with_updated_at(api, alice, change, message):
    client = api(alice)
    changed_at = message.updated_at.timestamp()
    has_moment = "updated_at" in client.get(change.path).json()
    before = read_everything()
    early, late = http_date(changed_at - 1), http_date(changed_at + 60)
    assert call(client, change, if_unmodified_since=early).status_code == 412
    if not has_moment:
        # A profile has no time of its last change.
        assert call(client, change, if_unmodified_since=late).status_code == 412
    assert read_everything() == before
    late = {"if_unmodified_since": late} if has_moment else {}
    # RFC 9110: a date that cannot be read is ignored, and any date beside If-Match.
    both = {"if_match": get_etag(client, change), "if_unmodified_since": early}
    for headers in (late, {"if_unmodified_since": "yesterday"}, both):
        response = call(client, change, **headers)
        assert response.status_code in {200, 204}
        if change.method == "delete":
            break
        both["if_match"] = get_etag(client, change)


def test_the_same_second_counts_as_modified(api, alice, message):
    """A date has no fractions of seconds."""
    moment = message.sent_at.replace(microsecond=1)
    Message.objects.filter(pk=message.pk).update(sent_at=moment, updated_at=moment)
    change = Change("patch", f"{MESSAGES}{message.pk}/", TEXT)
    for seconds, status in ((0, 412), (1, 200)):
        since = http_date((moment + timedelta(seconds=seconds)).timestamp())
        assert call(api(alice), change, if_unmodified_since=since).status_code == status


def test_conditions_are_checked_after_the_lock(
    api, alice, change, change_before, before_each, monkeypatch
):
    """Somebody else changes it while the request waits for the lock."""
    client = api(alice)
    etag = get_etag(client, change)
    before_each(conditions, "lock", change_before)
    assert call(client, change, if_match=etag).status_code == 412
    assert "Mine" not in str(read_everything())


@pytest.mark.skipif(not connection.features.has_select_for_update, reason="SQLite has no row locks")
def test_conditions_lock_the_row_that_is_compared(api, alice, change):
    client = api(alice)
    etag = get_etag(client, change)
    with CaptureQueriesContext(connection) as context:
        call(client, change, if_match=etag)
    statements = [query["sql"] for query in context]
    locked = next(n for n, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql)
    table = "chats_user" if "users" in change.path else "chats_conversation"
    assert f'FROM "{table}"' in statements[locked]
    shown = "chats_message" if "messages" in change.path else table
    assert any(f'FROM "{shown}"' in sql for sql in statements[locked + 1 :])


@pytest.mark.parametrize("change", ["title", "text", "nested text", "profile"], indirect=["change"])
def test_response_of_a_patch_has_the_etag_of_the_next_get(api, alice, change):
    client = api(alice)
    etag = call(client, change).headers["ETag"]
    assert get_etag(client, change) == etag
    body = dict.fromkeys(change.body, "Again")
    response = call(client, change._replace(body=body), if_match=etag)
    assert (response.status_code, response.headers["ETag"] != etag) == (200, True)
    assert call(client, change, if_match=etag).status_code == 412


def test_conditions_reveal_nothing_to_others(api, bob, mallory, message):
    for path, body in (
        (conversation_path(message.conversation), TITLE),
        (f"{MESSAGES}{message.pk}/", TEXT),
        (f"{messages_path(message.conversation)}{message.pk}/", TEXT),
    ):
        change = Change("patch", path, body)
        for tag in ("*", '"x"'):
            response = call(api(mallory), change, if_match=tag)
            assert (response.status_code, response.json()) == (404, NOT_FOUND)
            assert call(api(), change, if_match=tag).status_code == 401
            if "message_body" in body:
                assert call(api(bob), change, if_match=tag).status_code == 403


def test_a_new_message_changes_the_etag_of_the_conversation(api, alice, bob, conversation):
    change = Change("patch", conversation_path(conversation), TITLE)
    etag = get_etag(api(alice), change)
    send(conversation, "News", actor=bob)
    assert call(api(alice), change, if_match=etag).status_code == 412


def test_a_post_ignores_conditions(api, alice, conversation):
    """It overwrites nothing."""
    path = conversation_path(conversation)
    for call_path, body in (
        (messages_path(conversation), TEXT),
        (f"{path}read/", {"read_at": "2026-01-01T00:00:00Z"}),
        (f"{path}leave/", {}),
    ):
        change = Change("post", call_path, body)
        assert call(api(alice), change, if_match='"x"', if_none_match="*").status_code < 300


def test_somebody_who_left_while_waiting_gets_a_404(api, alice, conversation, before_each):
    change = Change("patch", conversation_path(conversation), TITLE)
    etag = get_etag(api(alice), change)
    before_each(conditions, "lock", lambda: leave(conversation, actor=alice))
    response = call(api(alice), change, if_match=etag)
    assert (response.status_code, response.json()) == (404, NOT_FOUND)
