"""Registrations, sign-ins and refreshes that race in several processes."""

import json

import requests
from django.conf import settings

from chats.tests.support.servers import PASSWORD, RESPONSE_SECONDS, in_processes


def post(url, body):
    response = requests.post(url, json=body, timeout=RESPONSE_SECONDS)
    return response.status_code, response.text


def race(server, tokens, threads=6):
    """Status and refresh token of each response, while a process for each token refreshes it."""
    calls = [(f"{server.url}/token/refresh/", {"refresh": token}) for token in tokens]
    responses = in_processes(post, calls, threads)
    assert {status for status, _ in responses} <= {200, 401}
    return [(status, json.loads(text).get("refresh")) for status, text in responses]


def get_accepted(server, tokens):
    responses = [post(f"{server.url}/token/verify/", {"token": token}) for token in tokens]
    return [token for token, (status, _) in zip(tokens, responses, strict=True) if status == 200]


class TestAccounts:
    def test_one_of_24_racing_registrations_succeeds(self, server):
        body = {"password": PASSWORD, "first_name": "Eve", "last_name": "Test"}
        calls = [
            (f"{server.url}/users/", body | {"email": email})
            for email in (
                "eve@example.com",
                "EVE@example.com",
                "Eve@Example.com",
                "eVe@example.COM",
            )
        ]
        responses = in_processes(post, calls, threads=6)
        assert sorted(status for status, _ in responses) == [201] + [400] * 23
        refusals = {text for status, text in responses if status == 400}
        assert refusals == {'{"email":["A user with this e-mail address already exists."]}'}

    def test_24_racing_refreshes_get_the_same_refresh_token(self, server, people):
        for person in people:
            [successor] = {refresh for _, refresh in race(server, [person.refresh] * 4)}
            [after] = {refresh for _, refresh in race(server, [successor] * 4)}
            assert get_accepted(server, [person.refresh, successor, after]) == [successor, after]

    def test_racing_refreshes_of_a_token_and_its_successor_leave_one_session_or_none(
        self, server, people
    ):
        for person in people:
            [(_, successor)] = race(server, [person.refresh], threads=1)
            responses = race(server, [person.refresh, successor] * 2)
            # The first token came back before the successor was used, or after it.
            is_ended = any(status == 401 for status, _ in responses)
            [after] = {refresh for _, refresh in responses} - {successor, None}
            accepted = [] if is_ended else [successor, after]
            assert get_accepted(server, [person.refresh, successor, after]) == accepted

    def test_racing_sign_ins_are_all_counted(self, server):
        """Across processes where they share a Redis; local memory counts for one process."""
        processes = (2, 4) if settings.CACHE_URL else (1, 8)
        server.restart(*processes, THROTTLE_SIGN_IN="10/hour")
        call = (f"{server.url}/token/", {"email": "nobody@example.com", "password": "wrong"})
        responses = in_processes(post, [call] * 4, threads=6)
        assert sorted(status for status, _ in responses) == [401] * 10 + [429] * 14
