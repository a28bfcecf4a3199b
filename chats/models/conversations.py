import uuid

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.functional import cached_property

from chats.clock import lock, move_clocks
from chats.validators import validate_one_line

MAX_PARTICIPANTS = 256
TITLE_MAX_CHARACTERS = 100
# A change of one of these fields moves the clock.
SHOWN_TO_PARTICIPANTS = {"title"}


class ConversationQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(participants=user)

    def as_seen_by(self, user):
        """The user's conversations, annotated with their `read_at`."""
        return self.for_user(user).annotate(read_at=models.F("participation__read_at"))

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
    title = models.CharField(
        max_length=TITLE_MAX_CHARACTERS, blank=True, validators=[validate_one_line]
    )
    participants = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Participation", related_name="conversations"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The clock: see chats/clock.py.
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ConversationQuerySet.as_manager()

    # The participant for whom the row was read, if any.
    seen_by = None

    def __str__(self):
        return str(self.conversation_id)

    def save(self, *args, **kwargs):
        """Never writes the clock of an existing row. SHOWN_TO_PARTICIPANTS move it."""
        if self._state.adding:
            kwargs["force_insert"] = True
            return super().save(*args, **kwargs)
        columns = {each.name for each in self._meta.concrete_fields if not each.primary_key}
        fields = kwargs.pop("update_fields", None)
        fields = (columns if fields is None else {*fields}) - {"updated_at"}
        row = Conversation.objects.filter(pk=self.pk)
        with transaction.atomic():
            shown = fields & SHOWN_TO_PARTICIPANTS
            before = lock(row) if shown else []
            if any(getattr(each, name) != getattr(self, name) for each in before for name in shown):
                move_clocks(row)
            return super().save(*args, update_fields=fields, **kwargs)

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
        return self.seen_by == user or user in self.participant_list


class ParticipationQuerySet(models.QuerySet):
    def bulk_create(self, objs, **kwargs):
        """Ignores rows that exist. `participants.add()` looks for them before it has the lock."""
        return super().bulk_create(objs, **kwargs | {"ignore_conflicts": True})


class Participation(models.Model):
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE)
    # No index of its own: the unique constraint's index begins with this column.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    # Messages up to this moment are read. chats/clock.py sets it to the clock for newcomers.
    read_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ParticipationQuerySet.as_manager()

    class Meta:
        db_table = "chats_conversation_participants"
        constraints = [
            # Serves the conversations of a user, and the check of a membership.
            models.UniqueConstraint(fields=["user", "conversation"], name="participation_once"),
        ]

    def __str__(self):
        return f"{self.user_id} in {self.conversation_id}"
