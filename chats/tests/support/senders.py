"""People who send messages while something happens to the server."""

from functools import partial
from typing import NamedTuple

import requests

from chats.tests.support.servers import RESPONSE_SECONDS, request


class Sent(NamedTuple):
    # The id of each acknowledged message, by its body.
    acknowledged: dict
    # Status code, body and Retry-After of each response that was not a success.
    refused: list
    # The body of the message that got no response.
    lost: str | None


def send_until(person, conversation_id, name, stop, keep_alive=False):
    """Send messages, each with a key, until `stop` is set or the server does not respond."""
    acknowledged, refused = {}, []
    with person.session_class() as session:
        call = session.request if keep_alive else partial(request, person.session_class)
        while not stop.is_set():
            body = f"{name} {len(acknowledged)}"
            try:
                response = call(
                    "POST",
                    f"{person.url}/conversations/{conversation_id}/messages/",
                    json={"message_body": body},
                    headers={"Authorization": f"Bearer {person.access}", "Idempotency-Key": body},
                    timeout=RESPONSE_SECONDS,
                )
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                return Sent(acknowledged, refused, body)
            if response.status_code in {200, 201}:
                acknowledged[body] = response.json()["message_id"]
            else:
                refused.append(
                    (response.status_code, response.text, response.headers["Retry-After"])
                )
    return Sent(acknowledged, refused, None)


def start_senders(pool, people, conversation_id, stop):
    """Every other one keeps its connection alive."""
    return [
        pool.submit(send_until, person, conversation_id, f"{n}", stop, keep_alive=n % 2 == 0)
        for n, person in enumerate(people)
    ]
