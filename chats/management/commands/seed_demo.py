from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from chats.models import User
from chats.services import send, start

PASSWORD = "correct-horse-battery"  # noqa: S105
PEOPLE = ["Alice Archer", "Bob Baker", "Carol Chen"]
CONVERSATIONS = [
    (
        ["Alice", "Bob"],
        [
            ("Alice", "Hi Bob, is the room still free in May?"),
            ("Bob", "It is. From the 3rd to the 17th."),
            ("Alice", "Then I'll take it!"),
        ],
    ),
    (
        ["Alice", "Bob", "Carol"],
        [
            ("Carol", "Who's bringing the cake?"),
            ("Bob", "Not me, I'm bringing the chairs."),
        ],
    ),
]

FIRST_CALLS = """\
Demo people: {emails}. Everybody's password is {password}

Sign in as Alice and look around:

  TOKEN=$(curl -s http://127.0.0.1:8000/api/token/ \\
    --json '{{"email": "alice@example.com", "password": "{password}"}}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access"])')
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/conversations/
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8000/api/messages/

The admin is at http://127.0.0.1:8000/admin/: sign in as staff@example.com.
"""


class Command(BaseCommand):
    help = "Make a few people with conversations between them, and say how to sign in. DEBUG only."

    def handle(self, *args, **options):
        if not settings.DEBUG:
            raise CommandError("Demo people have a known password: this runs only with DEBUG=1.")
        if not User.objects.filter(email="alice@example.com").exists():
            self.make()
        emails = User.objects.filter(email__endswith="@example.com").order_by("email")
        self.stdout.write(
            FIRST_CALLS.format(
                emails=", ".join(emails.values_list("email", flat=True)),
                password=PASSWORD,
            )
        )

    @transaction.atomic
    def make(self):
        people = {}
        for name in PEOPLE:
            first_name, last_name = name.split()
            people[first_name] = User.objects.create_user(
                email=f"{first_name}@example.com",
                password=PASSWORD,
                first_name=first_name,
                last_name=last_name,
            )
        User.objects.create_superuser(
            "staff@example.com", PASSWORD, first_name="Sam", last_name="Staff"
        )
        for names, messages in CONVERSATIONS:
            creator, *others = (people[name] for name in names)
            conversation, _ = start(creator, {user.pk for user in others})
            for name, message_body in messages:
                send(conversation, people[name], message_body)
