import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.functional import cached_property

from chats.accounts import PasswordMixin, UserManager
from chats.clock import batched, lock, move_clocks
from chats.validators import validate_one_line, validate_phone_number, validate_plain_address

MAX_PARTICIPANTS = 256
ERASED_EMAIL_ENDING = "@erased.invalid"
EMAIL_TAKEN = "A user with this e-mail address already exists."
# What people see of each other. Lists read only these fields: whole rows make a page of messages a
# tenth slower.
PUBLIC_PROFILE = ["user_id", "first_name", "last_name", "role"]
# Leaving this many keeps SQLite's other writers waiting for some 50 ms.
CONVERSATIONS_PER_TRANSACTION = 500


class UserQuerySet(models.QuerySet):
    def active(self):
        return self.filter(is_active=True)

    def public(self):
        """Reads only the PUBLIC_PROFILE fields."""
        return self.only(*PUBLIC_PROFILE)

    def contacts_of(self, user):
        """The others with whom the user shares a conversation."""
        shared = Conversation.participants.through.objects.filter(
            conversation__in=Conversation.objects.for_user(user)
        )
        return self.filter(pk__in=shared.values("user")).exclude(pk=user.pk)

    def missing_ids(self, user_ids):
        """Those ids that do not belong to an active user, as a set. One query."""
        found = self.active().filter(pk__in=user_ids).values_list("pk", flat=True)
        return set(user_ids).difference(found)

    def delete(self):
        with transaction.atomic():
            lock(self)
            move_clocks(Conversation.objects.filter(participants__in=self))
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class User(PasswordMixin, AbstractUser):
    class Role(models.TextChoices):
        GUEST = "guest"
        HOST = "host"
        ADMIN = "admin"

    user_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = None
    date_joined = None
    email = models.EmailField(
        unique=True,
        validators=[validate_plain_address],
        error_messages={"unique": EMAIL_TAKEN},
    )
    first_name = models.CharField(max_length=150, validators=[validate_one_line])
    last_name = models.CharField(max_length=150, validators=[validate_one_line])
    phone_number = models.CharField(max_length=16, blank=True, validators=[validate_phone_number])
    role = models.CharField(max_length=5, choices=Role, default=Role.GUEST)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager.from_queryset(UserQuerySet)()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["first_name", "last_name"]

    class Meta:
        # The order of a conversation's participants.
        ordering = ["user_id"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="user_email_any_case", violation_error_message=EMAIL_TAKEN
            ),
        ]

    def __str__(self):
        return self.email

    def save(self, *args, **kwargs):
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        if not self.sent_messages.exists():
            self.leave_conversations()
        with transaction.atomic():
            lock(User.objects.filter(pk=self.pk))
            move_clocks(Conversation.objects.for_user(self))
            return super().delete(*args, **kwargs)

    delete.alters_data = True

    def leave_conversations(self):
        """Leave all conversations, CONVERSATIONS_PER_TRANSACTION at a time. Return their keys.

        Others write between two of these transactions.
        """
        keys = list(self.conversations.values_list("pk", flat=True))
        for chunk in batched(keys, CONVERSATIONS_PER_TRANSACTION):
            self.conversations.remove(*chunk)
        return keys

    @property
    def is_erased(self):
        return not self.is_active and self.email.endswith(ERASED_EMAIL_ENDING)


def prefetch_participants(path="participants"):
    """Prefetch each conversation's `participant_list`. Without `to_attr`, Django makes a queryset
    for each conversation, which takes as long as reading a participant or two."""
    return models.Prefetch(path, User.objects.public(), to_attr="participant_list")


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
    participants = models.ManyToManyField(User, related_name="conversations")
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


class MessageQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(conversation__participants=user)

    def newest_first(self):
        return self.order_by("-sent_at", "-message_id")

    def oldest_first(self):
        return self.order_by("sent_at", "message_id")

    def with_sender(self):
        """With what a response shows: the message and its sender's public profile."""
        profile = [f"sender__{name}" for name in PUBLIC_PROFILE]
        shown = self.only("conversation", "message_body", "sent_at", *profile)
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
    sender = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sent_messages")
    # No index of its own: the unique constraint's index begins with this column.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    message_body = models.TextField()
    sent_at = models.DateTimeField(editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            # Serves the message list.
            models.UniqueConstraint(
                fields=["conversation", "sent_at"],
                name="message_sent_at_once_a_conversation",
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
            if self.conversation_id not in before:
                self.sent_at = clocks[self.conversation_id]
            super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        with transaction.atomic():
            move_clocks(Conversation.objects.filter(pk=self.conversation_id))
            return super().delete(*args, **kwargs)

    delete.alters_data = True
