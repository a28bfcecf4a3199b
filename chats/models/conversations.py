import uuid

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.functional import cached_property

from chats.clock import lock

MAX_PARTICIPANTS = 256


class ConversationQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(participants=user)

    def latest_activity_first(self):
        return self.order_by("-updated_at", "-conversation_id")

    def delete(self):
        with transaction.atomic():
            lock(self)
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class Conversation(models.Model):
    conversation_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    participants = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="conversations")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The clock: see chats/clock.py.
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ConversationQuerySet.as_manager()

    def __str__(self):
        return str(self.conversation_id)

    def save(self, *args, **kwargs):
        """Never writes the clock (`updated_at`) of an existing row."""
        if self._state.adding:
            kwargs["force_insert"] = True
        else:
            columns = {each.name for each in self._meta.concrete_fields if not each.primary_key}
            fields = kwargs.get("update_fields")
            kwargs["update_fields"] = (columns if fields is None else {*fields}) - {"updated_at"}
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        with transaction.atomic():
            lock(Conversation.objects.filter(pk=self.pk))
            return super().delete(*args, **kwargs)

    delete.alters_data = True

    @cached_property
    def participant_list(self):
        """The participants with their public profiles, as they were when first asked for."""
        return list(self.participants.public())

    def has_participant(self, user):
        return any(participant.pk == user.pk for participant in self.participant_list)
