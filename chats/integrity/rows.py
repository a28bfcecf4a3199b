"""What always holds for rows, and how to find those for which it does not.

Only faults that data can have: the database refuses others, as long as its tables are right.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import (
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    TextField,
    Value,
)
from django.db.models.functions import Cast, Length, Now, Replace, Trim

from chats.integrity.fields import (
    Check,
    find_late_sequence,
    find_refused_texts,
    find_rows,
    get_field_checks,
)
from chats.integrity.schema import get_models
from chats.models import MAX_PARTICIPANTS, Conversation, Message, Participation, User
from chats.passwords import ERASED_PASSWORD
from chats.safety.models import Block, Report
from chats.serializers import MESSAGE_BODY_MAX_CHARACTERS

ERASED_ADDRESS = "@erased.invalid"
ERASED = User.objects.filter(password=ERASED_PASSWORD)


def without_hyphens(key: Any) -> Replace:
    """As SQLite stores keys, but not PostgreSQL, and not the log."""
    return Replace(key, Value("-"), output_field=TextField())


CHECKS = [
    Check(
        Conversation.objects.filter(
            Exists(
                Message.objects.filter(
                    conversation=OuterRef("pk"), updated_at__gt=OuterRef("updated_at")
                )
            )
        ),
        "updated_at is before that of a message",
    ),
    Check(
        Conversation.objects.filter(updated_at__gt=Now() + timedelta(minutes=1)),
        "updated_at is over a minute in the future",
    ),
    Check(
        Conversation.objects.filter(updated_at__lt=F("created_at")),
        "updated_at is before created_at",
    ),
    Check(Message.objects.filter(updated_at__lt=F("sent_at")), "updated_at is before sent_at"),
    Check(
        Message.objects.filter(message_body="", updated_at=F("sent_at")),
        "message_body is empty, but the message was not deleted",
    ),
    Check(
        Message.objects.alias(text=Trim("message_body")).filter(text="").exclude(message_body=""),
        "message_body has only spaces",
    ),
    Check(
        Message.objects.alias(length=Length("message_body")).filter(
            length__gt=MESSAGE_BODY_MAX_CHARACTERS
        ),
        f"message_body has more than {MESSAGE_BODY_MAX_CHARACTERS} characters",
    ),
    Check(
        Participation.objects.filter(read_at__gt=F("conversation__updated_at")),
        "read_at is after updated_at of the conversation",
    ),
    Check(
        Conversation.objects.filter(
            pk__in=Participation.objects.values("conversation")
            .annotate(count=Count("pk"))
            .filter(count__gt=MAX_PARTICIPANTS)
            .values("conversation")
        ),
        f"there are more than {MAX_PARTICIPANTS} participants",
    ),
    Check(User.objects.filter(password=""), "password is empty"),
    Check(
        ERASED.exclude(
            first_name="Deleted",
            last_name="user",
            email__endswith=ERASED_ADDRESS,
            phone_number="",
            is_active=False,
            is_staff=False,
            is_superuser=False,
        ),
        "the user was erased, but has personal data or rights",
    ),
    *(
        Check(rows.filter(**{f"{name}__in": ERASED.values("pk")}), f"{name} was erased")
        for rows, name in [
            (Participation.objects.all(), "user"),
            (Block.objects.all(), "blocker"),
            (Block.objects.all(), "blocked"),
            (Report.objects.all(), "reporter"),
            (User.groups.through.objects.all(), "user"),
            (User.user_permissions.through.objects.all(), "user"),
        ]
    ),
    Check(
        Report.objects.filter(message__sender__in=ERASED.values("pk")).exclude(
            Q(message_body=F("message__message_body")) | Q(message__message_body="")
        ),
        "the sender was erased, but message_body is another one than that of the message",
    ),
    Check(
        LogEntry.objects.alias(key=without_hyphens("object_id"))
        .filter(content_type__app_label="chats", content_type__model="user")
        .filter(key__in=ERASED.values(key=without_hyphens(Cast("pk", TextField()))))
        .exclude(object_repr__endswith=ERASED_ADDRESS),
        "the user was erased, but object_repr is not their address",
    ),
    Check(Report.objects.filter(reporter=F("message__sender")), "the reporter is the sender"),
    Check(Report.objects.filter(closed_at__lt=F("created_at")), "closed_at is before created_at"),
    Check(Block.objects.filter(blocker=F("blocked")), "blocker and blocked are the same user"),
]


def find_wrong_rows() -> Iterator[str]:
    models = get_models()
    for model in models:
        yield from find_late_sequence(model)
        yield from find_refused_texts(model)
    for check in [*get_field_checks(models), *CHECKS]:
        yield from find_rows(check)
