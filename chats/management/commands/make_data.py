import random
from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from tqdm import tqdm

from chats.clock import batched
from chats.models import Conversation, Message, Participation, User

PARTICIPANTS = 4
BATCH_ROWS = 5_000
NAMES = ["Ada", "Ben", "Chloe", "Dan", "Eve", "Finn", "Gina", "Hugo", "Iris", "Jack"]
WORDS = ["the", "room", "is", "free", "in", "May", "with", "a", "view", "of", "sea", "or", "moor"]


class Command(BaseCommand):
    help = (
        "Fill an empty database with people who cannot sign in, conversations of four of them and "
        "messages; the first conversation gets a tenth of all messages."
    )

    def add_arguments(self, parser):
        parser.add_argument("--people", type=int, default=10_000)
        parser.add_argument("--conversations", type=int, default=10_000)
        parser.add_argument("--messages", type=int, default=1_000_000)

    def handle(self, people, conversations, messages, **options):
        if people < PARTICIPANTS or conversations < 1 or messages < 0:
            raise CommandError(f"At least {PARTICIPANTS} people and a conversation are needed.")
        if Conversation.objects.exists():
            raise CommandError("There are conversations already; this fills an empty database.")
        begin = timezone.now() - timedelta(seconds=messages)
        with transaction.atomic():
            names = [NAMES[n % len(NAMES)] for n in range(people)]
            users = make_people(
                User(email=f"{name}.{n}@example.com".lower(), first_name=name, last_name=f"No. {n}")
                for n, name in enumerate(names)
            )
            groups = [random.sample(users, PARTICIPANTS) for _ in range(conversations)]
            made = make_conversations(groups, begin)
            insert(get_messages(made, groups, begin, messages), messages)
            move_clocks_to_last_messages()
            mark_everything_as_read()
        analyze()


def get_messages(conversations, groups, begin, count):
    """A message a second. Those to a conversation come from its participants in turn."""
    for n in range(count):
        k = 0 if n % 10 == 0 else (n - n // 10) % len(conversations)
        sent_at = begin + timedelta(seconds=n)
        words = random.sample(WORDS, random.randint(3, len(WORDS)))  # noqa: S311
        yield Message(
            conversation=conversations[k],
            sender=groups[k][n // len(conversations) % PARTICIPANTS],
            message_body=" ".join(words).capitalize(),
            sent_at=sent_at,
            updated_at=sent_at,
        )


def make_people(users):
    """Insert users, who cannot sign in."""
    users = list(users)
    for user in users:
        user.password = "!"  # noqa: S105
    insert(users, len(users))
    return users


def make_conversations(groups, created_at):
    """Insert a conversation for each list of users."""
    conversations = [Conversation(created_at=created_at) for _ in groups]
    insert(conversations, len(conversations))
    participations = [
        Participation(conversation=conversation, user=user, read_at=created_at)
        for conversation, users in zip(conversations, groups, strict=True)
        for user in users
    ]
    insert(participations, len(participations))
    return conversations


def insert(rows, count):
    """Insert rows of one model in batches, and show a progress bar."""
    with tqdm(total=count, unit=" rows") as bar:
        for batch in batched(rows, BATCH_ROWS):
            model = type(batch[0])
            bar.set_description(str(model._meta.verbose_name_plural), refresh=False)
            model._base_manager.bulk_create(batch)
            bar.update(len(batch))


def move_clocks_to_last_messages():
    messages = Message.objects.filter(conversation=OuterRef("pk")).newest_first()
    last_sent_at = Subquery(messages.values("sent_at")[:1])
    Conversation.objects.update(updated_at=Coalesce(last_sent_at, "created_at"))


def mark_everything_as_read():
    clock = Conversation.objects.filter(pk=OuterRef("conversation")).values("updated_at")
    Participation.objects.update(read_at=Subquery(clock))


def analyze():
    """Let the database plan its queries for the new rows."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
