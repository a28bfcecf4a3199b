"""Links to addresses that are used in several processes at once, or while the account changes."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from chats.tests.support.servers import PASSWORD, RESPONSE_SECONDS, in_processes, run
from chats.tests.support.staff import Staff

ROUNDS = 6
DEAD_LINK = '{"token":["The link was used or has expired: ask for a new one."]}'
TAKEN = (
    '{"token":["A user with this e-mail address already exists. If you did not create that '
    'account, reset its password by e-mail: then it is yours."]}'
)
NEW_PASSWORD = "moor under the tide"
MAKE_LINKS = """
import json
from django.contrib.auth.tokens import default_token_generator
from chats.accounts.links import encode_user_id, make_change_token, verification_tokens
from chats.models import User
links = {{}}
for user in User.objects.filter(pk__in={keys}):
    links[str(user.pk)] = {{
        "uid": encode_user_id(user),
        "reset": default_token_generator.make_token(user),
        "verify": verification_tokens.make_token(user),
        "change": make_change_token(user, f"new.{{user.email}}"),
        "taken": make_change_token(user, {address!r}),
    }}
print(json.dumps(links))
"""
READ_ROWS = """
import json
from chats.models import User
rows = User.objects.filter(pk__in={keys}).values(
    "pk", "email", "first_name", "is_active", "email_verified_at"
)
print(json.dumps({{str(row.pop("pk")): row for row in rows}}, default=str))
"""


def call(method, url, body, access=None):
    """Its status code and text."""
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    response = requests.request(method, url, json=body, headers=headers, timeout=RESPONSE_SECONDS)
    return response.status_code, response.text


def run_shell(server, code, people, **values):
    keys = [person.user_id for person in people]
    code = code.format(keys=keys, **values)
    done = run("shell", "-v0", "-c", code, DATABASE_URL=server.database.url)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def make_links(server, people, address="x@example.com"):
    """Of each person, by `user_id`."""
    return run_shell(server, MAKE_LINKS, people, address=address)


def read_rows(server, people):
    return run_shell(server, READ_ROWS, people)


@pytest.fixture
def crowd(server):
    return [server.sign_up(f"racer{n}") for n in range(ROUNDS)]


class TestLinks:
    @pytest.mark.parametrize("name", ["verify_email", "set_email_confirm"])
    def test_one_of_24_racing_uses_succeeds(self, server, people, name):
        alice, *_ = people
        links = make_links(server, people)[alice.user_id]
        bodies = {
            "verify_email": {"uid": links["uid"], "token": links["verify"]},
            "set_email_confirm": {"token": links["change"]},
        }
        use = ("POST", f"{server.url}/users/{name}/", bodies[name])
        responses = in_processes(call, [use] * 4, threads=6)
        assert sorted(responses) == [(204, ""), *[(400, DEAD_LINK)] * 23]

    def test_change_and_registration_of_an_address_exclude_each_other(self, server, crowd):
        links = make_links(server, crowd)
        for person in crowd:
            body = {"password": PASSWORD, "first_name": "Eve", "last_name": "Test"}
            body["email"] = f"NEW.{person.email}"
            calls = [
                ("POST", f"{server.url}/users/", body),
                (
                    "POST",
                    f"{server.url}/users/set_email_confirm/",
                    {"token": links[person.user_id]["change"]},
                ),
            ]
            responses = in_processes(call, calls)
            statuses = tuple(status for status, _ in responses)
            assert statuses in {(201, 400), (400, 204)}
            assert statuses == (400, 204) or responses[1][1] == TAKEN
        rows = read_rows(server, crowd)
        assert {row["first_name"] for row in rows.values()} == {f"racer{n}" for n in range(ROUNDS)}

    def test_one_of_several_changes_to_the_same_address_succeeds(self, server, crowd):
        address = f"wanted.{crowd[0].email}"
        links = make_links(server, crowd, address)
        url = f"{server.url}/users/set_email_confirm/"
        calls = [("POST", url, {"token": links[person.user_id]["taken"]}) for person in crowd[:4]]
        responses = in_processes(call, calls)
        assert sorted(responses) == [(204, ""), *[(400, TAKEN)] * 3]
        rows = read_rows(server, crowd)
        assert [row["email"] for row in rows.values()].count(address) == 1

    def test_change_and_reset_of_the_password_exclude_each_other(self, server, crowd):
        links = make_links(server, crowd)
        for person in crowd:
            own = links[person.user_id]
            reset = {"uid": own["uid"], "token": own["reset"], "new_password": NEW_PASSWORD}
            calls = [
                ("POST", f"{server.url}/users/reset_password_confirm/", reset),
                ("POST", f"{server.url}/users/set_email_confirm/", {"token": own["change"]}),
            ]
            responses = in_processes(call, calls)
            assert sorted(responses) == [(204, ""), (400, DEAD_LINK)]
            is_reset = responses[0][0] == 204
            credentials = {
                "email": person.email if is_reset else f"new.{person.email}",
                "password": NEW_PASSWORD if is_reset else PASSWORD,
            }
            assert call("POST", f"{server.url}/token/", credentials)[0] == 200

    def test_nothing_returns_to_an_erased_person(self, server, crowd):
        links = make_links(server, crowd)
        for person in crowd:
            token = {"token": links[person.user_id]["change"]}
            erasure = {"current_password": PASSWORD}
            calls = [
                ("DELETE", f"{server.url}/users/me/", erasure, person.access),
                ("POST", f"{server.url}/users/set_email_confirm/", token),
            ]
            erased, confirmed = in_processes(call, calls)
            assert erased == (204, "")
            assert confirmed in {(204, ""), (400, DEAD_LINK)}
        for row in read_rows(server, crowd).values():
            assert row["email"].endswith("@erased.invalid")
            assert (row["is_active"], row["email_verified_at"]) == (False, None)

    def test_deactivated_person_stays_deactivated(self, server, crowd):
        links, staff = make_links(server, crowd), Staff(server)
        url = f"{server.url}/users/set_email_confirm/"
        with ThreadPoolExecutor(2) as pool:
            for person in crowd:
                form = {
                    "action": "deactivate",
                    "_selected_action": person.user_id,
                    "confirmed": "yes",
                }
                page = pool.submit(staff.post, "chats/user/", **form)
                token = {"token": links[person.user_id]["change"]}
                confirmed = pool.submit(call, "POST", url, token).result()
                assert "Users deactivated: 1." in page.result()
                assert confirmed in {(204, ""), (400, DEAD_LINK)}
                is_changed = confirmed[0] == 204
                row = read_rows(server, [person])[person.user_id]
                assert row["is_active"] is False
                assert row["email"] == (f"new.{person.email}" if is_changed else person.email)
