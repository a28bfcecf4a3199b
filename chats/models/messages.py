import uuid

from django.conf import settings
from django.db import models, transaction

from chats.clock import move_clocks
from chats.models.conversations import Conversation
from chats.models.users import PUBLIC_PROFILE


class MessageQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(conversation__participants=user)

    def newest_first(self):
        return self.order_by("-sent_at", "-message_id")

    def oldest_first(self):
        return self.order_by("sent_at", "message_id")

    def last_changed_last(self):
        return self.order_by("updated_at", "message_id")

    def last_of(self, conversations):
        """The last message of each, where there is one. One query of a few index entries for each,
        however long the histories."""
        newest = self.filter(conversation=models.OuterRef("pk")).newest_first()
        rows = Conversation.objects.filter(pk__in=[each.pk for each in conversations])
        keys = rows.values(last=models.Subquery(newest.values("pk")[:1]))
        return self.filter(pk__in=keys).with_sender()

    def with_sender(self):
        """With what a response shows: the message and its sender's public profile."""
        profile = [f"sender__{name}" for name in PUBLIC_PROFILE]
        shown = self.only("conversation", "message_body", "sent_at", "updated_at", *profile)
        return shown.select_related("sender")

    def delete(self):
        with transaction.atomic():
            conversation_ids = set(self.order_by().values_list("conversation_id", flat=True))
            move_clocks(Conversation.objects.filter(pk__in=conversation_ids))
            # Without messages of conversations whose clock has not moved.
            messages = self.filter(conversation__in=conversation_ids)
            return super(MessageQuerySet, messages).delete()

    delete.alters_data = True
    delete.queryset_only = True


class Message(models.Model):
    message_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # People are erased, not deleted: what they wrote is part of others' history.
    sender = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sent_messages"
    )
    # No index of its own: the unique constraint's index begins with this column.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    # Empty if the message was deleted, and only then.
    message_body = models.TextField()
    sent_at = models.DateTimeField(editable=False)
    # The clock's value when the message was sent, edited or deleted.
    updated_at = models.DateTimeField(editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            # Serves the message list.
            models.UniqueConstraint(
                fields=["conversation", "sent_at"],
                name="message_sent_at_once_a_conversation",
            ),
            # Serves those who follow the changes of a conversation.
            models.UniqueConstraint(
                fields=["conversation", "updated_at"],
                name="message_updated_at_once_a_conversation",
            ),
        ]

    def __str__(self):
        return str(self.message_id)

    def save(self, *args, **kwargs):
        """Raises Conversation.DoesNotExist if there is no such conversation."""
        with transaction.atomic():
            before = Message.objects.filter(pk=self.pk).values_list("conversation_id", flat=True)
            conversation_ids = {self.conversation_id, *before}
            clocks = move_clocks(Conversation.objects.filter(pk__in=conversation_ids))
            if self.conversation_id not in clocks:
                raise Conversation.DoesNotExist
            self.updated_at = clocks[self.conversation_id]
            if self.conversation_id not in before:
                self.sent_at = self.updated_at
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "updated_at"}
            super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        """Removes the row, as Django does. services.delete() leaves a mark in its place."""
        with transaction.atomic():
            move_clocks(Conversation.objects.filter(pk=self.conversation_id))
            return super().delete(*args, **kwargs)

    delete.alters_data = True

    @property
    def is_deleted(self):
        return not self.message_body
