import random
from datetime import timedelta
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.utils import timezone
from tqdm import tqdm

from chats.models import Conversation, Message, User

PARTICIPANTS = 4
BATCH = 5_000
NAMES = ["Ada", "Ben", "Chloe", "Dan", "Eve", "Finn", "Gina", "Hugo", "Iris", "Jack"]
WORDS = ["the", "room", "is", "free", "in", "May", "with", "a", "view", "of", "sea", "or", "moor"]


class Command(BaseCommand):
    help = (
        "Fill an empty database with people who cannot sign in, conversations of four of them and "
        "messages, the same ones each time; the first conversation gets a tenth of all messages."
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
        self.random = random.Random(people)  # noqa: S311
        self.end = timezone.now()
        with transaction.atomic():
            made = list(self.insert(User, people, self.make_people(people)))
            chats = self.make_conversations(conversations, messages)
            chats = list(self.insert(Conversation, conversations, chats))
            seats = [
                (chat, user) for chat in chats for user in self.random.sample(made, PARTICIPANTS)
            ]
            through = Conversation.participants.through
            rows = (through(conversation=chat, user=user) for chat, user in seats)
            for _ in self.insert(through, len(seats), rows):
                pass
            for _ in self.insert(Message, messages, self.make_messages(messages, seats)):
                pass
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")

    def insert(self, model, total, rows):
        """The rows, each batch of which is written by then; a progress bar tells how far it is."""
        with tqdm(total=total, desc=str(model._meta.verbose_name_plural), unit=" rows") as bar:
            batch = []
            for row in rows:
                batch.append(row)
                if len(batch) == min(BATCH, total - bar.n):
                    yield from model._base_manager.bulk_create(batch)
                    bar.update(len(batch))
                    batch = []

    def make_id(self):
        return UUID(int=self.random.getrandbits(128), version=4)

    def make_people(self, count):
        for n in range(count):
            name = NAMES[n % len(NAMES)]
            yield User(
                pk=self.make_id(),
                email=f"{name.lower()}.{n}@example.com",
                first_name=name,
                last_name=f"Number {n}",
                password="!",  # noqa: S106
            )

    def sent_at(self, n, messages):
        return self.end - timedelta(seconds=messages - n)

    def make_conversations(self, count, messages):
        """Their clocks are the times of their last messages: number n goes to `place(n)`."""
        begin = self.sent_at(0, messages)
        last = {self.place(n, count): n for n in range(max(0, messages - 20 * count), messages)}
        for k in range(count):
            updated_at = self.sent_at(last[k], messages) if k in last else begin
            yield Conversation(pk=self.make_id(), created_at=begin, updated_at=updated_at)

    def place(self, n, conversations):
        """In which conversation message number n is."""
        return 0 if n % 10 == 0 else (n - n // 10) % conversations

    def make_messages(self, count, seats):
        conversations = len(seats) // PARTICIPANTS
        for n in range(count):
            conversation, sender = seats[
                PARTICIPANTS * self.place(n, conversations) + n // conversations % PARTICIPANTS
            ]
            words = self.random.sample(WORDS, self.random.randint(3, len(WORDS)))
            yield Message(
                pk=self.make_id(),
                conversation=conversation,
                sender=sender,
                message_body=" ".join(words).capitalize(),
                sent_at=self.sent_at(n, count),
            )
