"""`python -m benchmarks.plans <database URL>`: print the database's plan of each list's queries.

`python -m benchmarks` has filled the database. The requests are for a page in the middle of a
conversation of a million messages.
"""

import argparse
import os
import re

import django

from benchmarks.server import environment


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plans", description=__doc__)
    parser.add_argument("database_url")
    os.environ.update(environment(parser.parse_args().database_url))
    django.setup()

    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from rest_framework.test import APIClient
    from rest_framework_simplejwt.tokens import AccessToken

    from chats.models import User

    user = User.objects.get(email="size.1000000@example.com")
    conversation = user.conversations.get()
    messages = conversation.messages.newest_first()
    middle = (
        messages.filter(
            sent_at__lt=messages.last().sent_at
            + (messages.first().sent_at - messages.last().sent_at) / 2
        )[0]
        .sent_at.isoformat()
        .replace("+00:00", "Z")
    )
    client = APIClient(HTTP_HOST="localhost")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")
    for name, path in {
        "Message list": f"/api/conversations/{conversation.pk}/messages/?sent_at_before={middle}",
        "Flat list": f"/api/messages/?sent_at_before={middle}",
        "Conversation list": "/api/conversations/",
        "Conversation detail": f"/api/conversations/{conversation.pk}/",
        "People": "/api/users/",
    }.items():
        with CaptureQueriesContext(connection) as captured:
            response = client.get(path)
        if response.status_code != 200:
            raise SystemExit(f"{path} returned {response.content}.")
        print(f"### {name}\n")
        # The first query loads the caller.
        for query in captured.captured_queries[1:]:
            print(f"```\n{shorten(query['sql'])}\n\n{explain(connection, query['sql'])}\n```\n")


def explain(connection, sql):
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN (COSTS OFF) " if is_postgres else "EXPLAIN QUERY PLAN ") + sql)
        return "\n".join(row[0] if is_postgres else row[3] for row in cursor.fetchall())


def shorten(sql):
    """The statement without the names of the columns that it reads."""
    return re.sub(r"^\s*SELECT .*? FROM ", "SELECT … FROM ", " ".join(sql.split()))


if __name__ == "__main__":
    main()
