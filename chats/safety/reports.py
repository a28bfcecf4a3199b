"""Reports of messages: what participants report, and what staff decide."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Subquery
from django.utils import timezone

from chats.clock import KEYS_PER_QUERY, batched
from chats.models import Message, User
from chats.safety.models import Report
from chats.statements import get_conversation


class NothingToReport(Exception):
    """The message was deleted before `actor` reported it."""


def report(message: Message, reason: str, *, actor: User) -> None:
    """Keep the text of the message for staff, with the reason. No clock moves.

    A repeated report changes nothing, so that a later edit does not replace what was reported. Only
    if staff have closed the first one, and the text has been edited since, is it kept anew.

    Raises NothingToReport, and Conversation.DoesNotExist if `actor` is not a participant.
    """
    with transaction.atomic():
        # The text is neither edited nor deleted while the conversation is locked.
        get_conversation(actor, message.conversation_id, lock=True)
        message_body = Message.objects.values_list("message_body", flat=True).get(pk=message.pk)
        first = Report.objects.filter(message=message, reporter=actor).first()
        if not message_body:
            if first is None:
                raise NothingToReport
            return
        if first and (first.closed_at is None or first.message_body == message_body):
            return
        # The lock does not keep a message that is moved to another conversation from being
        # reported twice. The constraint does.
        Report.objects.bulk_create(
            [
                Report(
                    reporter=actor,
                    message=message,
                    message_body=message_body,
                    reason=reason,
                    created_at=timezone.now(),
                )
            ],
            update_conflicts=True,
            unique_fields=["message", "reporter"],
            update_fields=["message_body", "reason", "created_at", "closed_at"],
        )


def close(message_ids: Collection[UUID]) -> None:
    """Close the open reports of these messages, whoever reported them."""
    reports = Report.objects.filter(message__in=message_ids, closed_at=None)
    # Only transactions wait in SQLite's queue of writers.
    with transaction.atomic():
        reports.update(closed_at=timezone.now())


def dismiss(report: Report) -> int:
    """Close the open reports of the same message and text, whoever reported it. Not those of
    another text, which staff have not seen with this one. Returns how many these are."""
    reports = Report.objects.filter(
        message=report.message_id, message_body=report.message_body, closed_at=None
    )
    # Only transactions wait in SQLite's queue of writers.
    with transaction.atomic():
        return reports.update(closed_at=timezone.now())


def forget_former_texts(sender: User) -> None:
    """Replace the kept texts of the sender's messages by what the messages say now.

    Others write between two transactions.
    """
    changed = Report.objects.filter(message__sender=sender).exclude(
        message_body=F("message__message_body")
    )
    message = Message.objects.filter(pk=OuterRef("message"))
    for keys in batched(changed.values_list("pk", flat=True), KEYS_PER_QUERY):
        with transaction.atomic():
            Report.objects.filter(pk__in=keys).update(
                message_body=Subquery(message.values("message_body"))
            )
