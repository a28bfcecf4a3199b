import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone

from chats.accounts import PasswordMixin, UserManager
from chats.clock import batched, lock, move_clocks
from chats.models.conversations import Conversation, Participation
from chats.validators import validate_one_line, validate_phone_number, validate_plain_address

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
        shared = Participation.objects.filter(conversation__in=Conversation.objects.for_user(user))
        return self.filter(pk__in=shared.values("user")).exclude(pk=user.pk)

    def missing_ids(self, user_ids):
        """Ids that do not belong to an active user, as a set. One query."""
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
