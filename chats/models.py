import uuid

from django.conf import settings
from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.functional import cached_property

from chats.clock import batched, lock, move_clocks
from chats.fields import EmailField, LineField, PhoneNumberField
from chats.passwords import ERASED_PASSWORD, PasswordMixin
from chats.safety.models import Block
from chats.validators import (
    validate_one_line,
    validate_phone_number,
    validate_plain_address,
)

EMAIL_TAKEN = "A user with this e-mail address already exists."
# The public profile. List queries load only these fields; loading whole user rows makes a page of
# messages 10 % slower.
PUBLIC_PROFILE = ["user_id", "first_name", "last_name", "role"]
# Leaving 500 conversations in one transaction blocks SQLite's other writers for about 50 ms.
CONVERSATIONS_PER_TRANSACTION = 500
# Deleting 1,000 messages blocks them for about 10 ms.
MESSAGES_PER_TRANSACTION = 1_000
MAX_PARTICIPANTS = 256
TITLE_MAX_CHARACTERS = 100
TIME_IS_THE_CLOCKS = (
    "The conversation's clock sets sent_at and updated_at of a new message: leave them out. "
    "To keep the times of an old history, use `manage.py import_history`."
)
# A change of one of these fields moves the clock.
SHOWN_TO_PARTICIPANTS = {"title"}


class UserQuerySet(models.QuerySet):
    def active(self):
        return self.filter(is_active=True)

    def public(self):
        """Reads only the PUBLIC_PROFILE fields."""
        return self.only(*PUBLIC_PROFILE)

    def contacts_of(self, user):
        """The others with whom the user shares a conversation."""
        shared = Participation.objects.filter(conversation__in=Conversation.objects.for_user(user))
        return self.filter(pk__in=shared.values("user")).exclude(pk=user.pk)

    def reachable(self):
        """Active users who can be found by their address and added to a conversation."""
        users = self.active()
        return users.exclude(email_verified_at=None) if settings.EMAIL_VERIFICATION else users

    def reachable_by(self, user):
        """Without those who have blocked the user."""
        blockers = Block.objects.filter(blocker=models.OuterRef("pk"), blocked=user)
        return self.reachable().filter(~models.Exists(blockers))

    def missing_ids(self, user_ids, actor):
        """Ids that do not belong to a user whom `actor` can reach, as a set. One query."""
        found = self.reachable_by(actor).filter(pk__in=user_ids).values_list("pk", flat=True)
        return set(user_ids).difference(found)

    def delete(self):
        with transaction.atomic():
            lock(self)
            move_clocks(Conversation.objects.filter(participants__in=self))
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class UserManager(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        """Raises ValidationError for an address, name or phone number that a form would refuse
        (empty ones are allowed), and IntegrityError if the address is taken."""
        user = self.model(email=email, **fields)
        for name in ("email", "first_name", "last_name", "phone_number"):
            field = user._meta.get_field(name)
            setattr(user, name, field.to_python(getattr(user, name)))
            field.run_validators(getattr(user, name))
        # Hashed before the transaction: SQLite lets nobody else write during one.
        user.set_password(password)
        # Only transactions wait in SQLite's queue of writers.
        with transaction.atomic(using=self._db):
            user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        staff = {"role": self.model.Role.ADMIN, "is_staff": True, "is_superuser": True}
        return self.create_user(email, password, **staff, **fields)

    def get_by_natural_key(self, email):
        return self.get(email=email)


class User(PasswordMixin, AbstractUser):
    class Role(models.TextChoices):
        GUEST = "guest"
        HOST = "host"
        ADMIN = "admin"

    user_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = None
    date_joined = None
    email = EmailField(
        unique=True,
        validators=[validate_plain_address],
        error_messages={"unique": EMAIL_TAKEN},
    )
    first_name = LineField(max_length=150, validators=[validate_one_line])
    last_name = LineField(max_length=150, validators=[validate_one_line])
    phone_number = PhoneNumberField(max_length=16, blank=True, validators=[validate_phone_number])
    role = models.CharField(max_length=5, choices=Role, default=Role.GUEST)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Null until somebody who registered has followed the link that they were sent.
    email_verified_at = models.DateTimeField(default=timezone.now, null=True, editable=False)

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
    def must_verify_email(self):
        """True until the user may sign in."""
        return settings.EMAIL_VERIFICATION and self.email_verified_at is None

    @property
    def is_erased(self):
        """True after `services.erase()`. It depends on nothing that a person can choose."""
        return self.password == ERASED_PASSWORD


def prefetch_participants(path="participants"):
    """Prefetch each conversation's `participant_list`. Without `to_attr`, Django builds a queryset
    per conversation, which costs as much as loading one or two participants."""
    return models.Prefetch(path, User.objects.public(), to_attr="participant_list")


class ConversationQuerySet(models.QuerySet):
    def for_user(self, user):
        return self.filter(participants=user)

    def as_seen_by(self, user):
        """The user's conversations, annotated with their `read_at`, which comes from the join of
        `for_user()`."""
        return self.for_user(user).annotate(read_at=models.F("participation__read_at"))

    def with_participant_count(self):
        participations = Participation.objects.filter(conversation=models.OuterRef("pk"))
        count = participations.order_by().values("conversation").values(count=models.Count("pk"))
        return self.annotate(participant_count=models.Subquery(count))

    def latest_activity_first(self):
        return self.order_by("-updated_at", "-conversation_id")

    def delete(self):
        for conversation in self.order_by("pk"):
            conversation.clear()
        with transaction.atomic():
            lock(self)
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class Conversation(models.Model):
    conversation_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = LineField(max_length=TITLE_MAX_CHARACTERS, blank=True, validators=[validate_one_line])
    participants = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Participation", related_name="conversations"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The clock: see chats/clock.py.
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ConversationQuerySet.as_manager()

    # The participant for whom `get_conversation()` loaded this row.
    loaded_for = None

    def __str__(self):
        return str(self.conversation_id)

    def save(self, *args, **kwargs):
        """Never writes `updated_at` of an existing row. Moves the clock if a field in
        SHOWN_TO_PARTICIPANTS has changed."""
        if self._state.adding:
            # Never overwrites a conversation that has the same id.
            kwargs["force_insert"] = True
            return super().save(*args, **kwargs)
        columns = {field.name for field in self._meta.concrete_fields if not field.primary_key}
        fields = kwargs.pop("update_fields", None)
        fields = (columns if fields is None else {*fields}) - {"updated_at"}
        row = Conversation.objects.filter(pk=self.pk)
        with transaction.atomic():
            if shown := fields & SHOWN_TO_PARTICIPANTS:
                stored = lock(row)
                new = [getattr(self, name) for name in shown]
                if stored and [getattr(stored[0], name) for name in shown] != new:
                    move_clocks(row)
            return super().save(*args, update_fields=fields, **kwargs)

    def delete(self, *args, **kwargs):
        self.clear()
        with transaction.atomic():
            lock(Conversation.objects.filter(pk=self.pk))
            return super().delete(*args, **kwargs)

    delete.alters_data = True

    def clear(self):
        """Remove the participants, and then the messages, MESSAGES_PER_TRANSACTION at a time.

        Others write between two of these transactions.
        """
        self.participants.clear()
        keys = self.messages.values_list("pk", flat=True)
        while chunk := list(keys[:MESSAGES_PER_TRANSACTION]):
            Message.objects.filter(pk__in=chunk).delete()

    clear.alters_data = True

    @cached_property
    def participant_list(self):
        """The participants' public profiles. One query, or none if they were prefetched."""
        return list(self.participants.public())

    def has_participant(self, user):
        return self.loaded_for == user or user in self.participant_list


class ParticipationQuerySet(models.QuerySet):
    def bulk_create(self, objs, **kwargs):
        """Ignores rows that exist already. `participants.add()` looks for them before it has the
        lock, so one may have been added since."""
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
        """The last message of each conversation that has one. One query, which reads a few index
        entries per conversation."""
        newest = self.filter(conversation=models.OuterRef("pk")).newest_first()
        rows = Conversation.objects.filter(pk__in=[row.pk for row in conversations])
        keys = rows.values(last=models.Subquery(newest.values("pk")[:1]))
        return self.filter(pk__in=keys).as_shown()

    def as_shown(self):
        """Loads only what a response shows: the message and its sender's public profile."""
        profile = [f"sender__{name}" for name in PUBLIC_PROFILE]
        shown = self.only("conversation", "message_body", "sent_at", "updated_at", *profile)
        return shown.select_related("sender")

    def delete(self):
        with transaction.atomic():
            conversation_ids = set(self.order_by().values_list("conversation_id", flat=True))
            move_clocks(Conversation.objects.filter(pk__in=conversation_ids))
            # Leave out messages that were moved to another conversation since: its clock was not
            # moved.
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
        indexes = [
            # Serves the counts of unread messages, which do not read the messages themselves.
            models.Index(
                fields=["conversation", "sent_at", "sender"],
                name="message_not_deleted",
                condition=~models.Q(message_body=""),
            ),
        ]

    def __str__(self):
        return str(self.message_id)

    def save(self, *args, **kwargs):
        """Raises Conversation.DoesNotExist if there is no such conversation, and ValueError for a
        new message that has a time already."""
        if self._state.adding and (self.sent_at or self.updated_at):
            raise ValueError(TIME_IS_THE_CLOCKS)
        with transaction.atomic():
            before = Message.objects.filter(pk=self.pk).values_list("conversation_id", flat=True)
            conversation_ids = {self.conversation_id, *before}
            clocks = move_clocks(Conversation.objects.filter(pk__in=conversation_ids))
            if self.conversation_id not in clocks:
                raise Conversation.DoesNotExist
            self.updated_at = clocks[self.conversation_id]
            changed = {"updated_at"}
            if self.conversation_id not in before:
                self.sent_at = self.updated_at
                changed.add("sent_at")
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = changed.union(kwargs["update_fields"])
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

    @property
    def shown_body(self):
        return None if self.is_deleted else self.message_body
