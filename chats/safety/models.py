from django.conf import settings
from django.db import models, transaction

REASON_MAX_CHARACTERS = 1_000
# Deleting 1,000 blocks lets SQLite's other writers wait for about 5 ms.
BLOCKS_PER_TRANSACTION = 1_000


class BlockQuerySet(models.QuerySet):
    def delete_in_parts(self):
        """BLOCKS_PER_TRANSACTION at a time. Others write between two of these transactions."""
        keys = self.values_list("pk", flat=True)
        while chunk := list(keys[:BLOCKS_PER_TRANSACTION]):
            with transaction.atomic():
                Block.objects.filter(pk__in=chunk).delete()


class Block(models.Model):
    """`blocked` cannot start a conversation with `blocker`, add them to one, or find them."""

    # No index of its own: the unique constraint's index begins with this column.
    blocker = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="blocks", db_index=False
    )
    blocked = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="blocks_by_others"
    )

    objects = BlockQuerySet.as_manager()

    class Meta:
        constraints = [
            # Serves the users whom somebody has blocked, and the check whether one has.
            models.UniqueConstraint(fields=["blocker", "blocked"], name="block_once"),
        ]

    def __str__(self):
        return f"{self.blocker_id} blocks {self.blocked_id}"


class Report(models.Model):
    """A message that staff should look at."""

    # Null after the reporter was erased.
    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="reports"
    )
    # No index of its own: the unique constraint's index begins with this column.
    message = models.ForeignKey(
        "chats.Message", on_delete=models.CASCADE, related_name="reports", db_index=False
    )
    # As it was when it was reported.
    message_body = models.TextField()
    reason = models.TextField(blank=True, max_length=REASON_MAX_CHARACTERS)
    created_at = models.DateTimeField(editable=False)
    # Null until staff have decided.
    closed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            # Serves the reports of a message.
            models.UniqueConstraint(fields=["message", "reporter"], name="report_once"),
        ]
        indexes = [
            # Serves the queue of staff.
            models.Index(
                fields=["-created_at"], name="report_open", condition=models.Q(closed_at=None)
            ),
        ]

    def __str__(self):
        return f"Report of message {self.message_id}"
