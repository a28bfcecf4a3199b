from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from chats.models import User
from chats.services import mark_as_read, send, start, start_distinct

PASSWORD = "correct-horse-battery"  # noqa: S105
PEOPLE = {
    "alice@example.com": ("Alice", "Archer"),
    "bob@example.com": ("Bob", "Baker"),
    "carol@example.com": ("Carol", "Chen"),
}
STAFF = {"staff@example.com": ("Sam", "Staff")}
EVERYBODY = PEOPLE | STAFF
# Title, messages, who has not read them. The last one has the latest activity.
CONVERSATIONS = [
    (
        "Counting to 150",
        [(["Alice", "Carol"][number % 2], f"{number + 1}") for number in range(150)],
        [],
    ),
    (
        "",
        [
            ("Alice", "Hi Bob, is the room still free in May?"),
            ("Bob", "It is. From the 3rd to the 17th."),
            ("Alice", "Then I'll take it!"),
        ],
        [],
    ),
    (
        "Saturday",
        [
            ("Alice", "I've found a place for Saturday."),
            ("Carol", "Who's bringing the cake?"),
            ("Bob", "Not me, I'm bringing the chairs."),
        ],
        ["Alice"],
    ),
]

FIRST_CALLS = """
Sign in as Alice and look around:

  TOKEN=$(curl -s {site}/api/token/ \\
    -H 'Content-Type: application/json' \\
    -d '{{"email": "alice@example.com", "password": "{password}"}}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["access"])')
  curl -H "Authorization: Bearer $TOKEN" {site}/api/conversations/
  curl -H "Authorization: Bearer $TOKEN" {site}/api/messages/

"""


class Command(BaseCommand):
    help = "Make a few people with conversations between them, and say how to sign in. DEBUG only."

    def handle(self, *args, **options):
        if not settings.DEBUG:
            raise CommandError("Demo people have a known password: this runs only with DEBUG=1.")
        if not User.objects.filter(email__in=EVERYBODY).exists():
            self.make()
        users = {user.email: user for user in User.objects.filter(email__in=EVERYBODY)}
        demo = [email for email in EVERYBODY if email in users and is_demo(users[email])]
        if demo:
            self.stdout.write(f"Demo people: {', '.join(demo)}. Their password is {PASSWORD}")
        for email in EVERYBODY:
            if email not in users:
                self.stdout.write(f"There is no {email}.")
            elif email not in demo:
                self.stdout.write(f"{email} has another name, password or rights, or is inactive.")
        if len(demo) < len(EVERYBODY):
            self.stdout.write("Use a new database to get all of the demo.")
        site = f"http://127.0.0.1:{settings.PORT}"
        if "alice@example.com" in demo:
            self.stdout.write(FIRST_CALLS.format(site=site, password=PASSWORD))
        self.stdout.write(f"The demo client is at {site}/")
        self.stdout.write(f"The documentation is at {site}/api/docs/")
        if "staff@example.com" in demo:
            admin = f"{site}/{settings.ADMIN_PATH}"
            self.stdout.write(f"The admin is at {admin}: sign in as staff@example.com.")

    def make(self):
        # Before the transaction, because hashing is slow and SQLite has one writer at a time.
        users = [
            User(
                email=email,
                first_name=first_name,
                last_name=last_name,
                password=make_password(PASSWORD),
                is_staff=email in STAFF,
                is_superuser=email in STAFF,
            )
            for email, (first_name, last_name) in EVERYBODY.items()
        ]
        with transaction.atomic():
            for user in users:
                user.save()
            people = {user.first_name: user for user in users}
            for title, messages, unread_by in CONVERSATIONS:
                self.make_conversation(people, title, messages, unread_by)

    def make_conversation(self, people, title, messages, unread_by):
        names = dict.fromkeys(name for name, _ in messages)
        creator, *others = (people[name] for name in names)
        # As the demo client does, which returns to a conversation of two that exists.
        begin = start if title else start_distinct
        conversation, _ = begin({user.pk for user in others}, actor=creator, title=title)
        for name, message_body in messages:
            message, _ = send(conversation, message_body, actor=people[name])
        for name in names:
            if name not in unread_by:
                mark_as_read(conversation, message.sent_at, actor=people[name])


def is_demo(user):
    """Whether one can sign in as this user as `make()` made them."""
    has_name = (user.first_name, user.last_name) == EVERYBODY[user.email]
    may_act = user.is_active and (user.is_staff or user.email not in STAFF)
    return has_name and may_act and user.check_password(PASSWORD)
