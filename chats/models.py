import uuid
from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.contenttypes.models import ContentType
from django.core.validators import RegexValidator
from django.db import connection, models, transaction
from django.db.models.functions import Lower
from django.db.models.signals import m2m_changed
from django.dispatch import receiver
from django.utils import timezone
from django.utils.functional import cached_property

MAX_PARTICIPANTS = 256
ERASED = "@erased.invalid"
EMAIL_TAKEN = "A user with this e-mail address already exists."
# What people see of each other. Lists read no more, above all no password; a page of messages takes
# a tenth longer with whole rows.
PUBLIC_PROFILE = ["user_id", "first_name", "last_name", "role"]
# Fixed for good: ids derived with them are in the database.
MESSAGE_KEYS = uuid.UUID("5f0b4ad4-6b3f-4c53-9d55-30fd6ab7f3a5")
CONVERSATION_KEYS = uuid.UUID("c3e1b9e0-0a5d-4c0f-8d1c-8f2b3a1f6b7d")

# Written out, since every message list, cached or not, begins with the first, and every send needs
# both: made by Django, a send's take 220 and 280 µs instead of 70 and 40.
MEMBERSHIP = """
    SELECT conversation.* FROM chats_conversation conversation
    JOIN chats_conversation_participants participant USING (conversation_id)
    WHERE conversation_id = %s AND participant.user_id = %s
"""
MOVE_CLOCK = """
    UPDATE chats_conversation SET updated_at = %s
    WHERE conversation_id = %s AND EXISTS (
        SELECT 1 FROM chats_conversation_participants participant
        WHERE participant.conversation_id = chats_conversation.conversation_id
        AND participant.user_id = %s
    )
"""


def in_database(value):
    """A UUID or a moment, as a parameter of a statement."""
    name = "conversation_id" if isinstance(value, uuid.UUID) else "updated_at"
    return Conversation._meta.get_field(name).get_db_prep_value(value, connection)


class OrderedQuerySet(models.QuerySet):
    def reversed(self):
        """In the opposite order, as names in `query.order_by`; `reverse()` leaves those alone."""
        return self.order_by(
            *(name[1:] if name.startswith("-") else f"-{name}" for name in self.query.order_by)
        )


class UnknownUsers(Exception):
    """`user_ids` are no active users'."""

    def __init__(self, user_ids):
        super().__init__(user_ids)
        self.user_ids = user_ids


class ConversationFull(Exception):
    """The conversation has MAX_PARTICIPANTS participants already."""


class IdempotencyKeyReused(Exception):
    """The key was used before, with another message body."""


class UserQuerySet(OrderedQuerySet):
    def active(self):
        return self.filter(is_active=True)

    def public(self):
        """With no more than PUBLIC_PROFILE read."""
        return self.only(*PUBLIC_PROFILE)

    def contacts_of(self, user):
        """The others with whom the user shares a conversation."""
        shared = Conversation.participants.through.objects.filter(
            conversation__in=Conversation.objects.for_user(user)
        )
        return self.filter(pk__in=shared.values("user")).exclude(pk=user.pk)

    def unknown(self, user_ids):
        """Those of the ids that are no active user's. One query."""
        return set(user_ids) - set(
            self.active().filter(pk__in=user_ids).values_list("pk", flat=True)
        )

    def lock(self):
        """These rows, locked in the order of their keys: until the transaction ends they are
        neither deleted nor deactivated. Where conversations that exist are locked too, people
        come first. One query.
        """
        return list(self.select_for_update(no_key=True).order_by("pk"))

    def lock_active(self, user_ids):
        """The users, locked. Raises UnknownUsers for ids that are no active user's."""
        users = self.active().filter(pk__in=user_ids).lock()
        if unknown := set(user_ids) - {user.pk for user in users}:
            raise UnknownUsers(unknown)
        return users

    def delete(self):
        with transaction.atomic():
            self.lock()
            Conversation.objects.filter(participants__in=self).move_clocks()
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):
    def create_user(self, email, password=None, **fields):
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        staff = {"role": User.Role.ADMIN, "is_staff": True, "is_superuser": True}
        return self.create_user(email, password, **staff, **fields)

    def get_by_natural_key(self, email):
        return self.get(email=email.lower())


class User(AbstractUser):
    class Role(models.TextChoices):
        GUEST = "guest"
        HOST = "host"
        ADMIN = "admin"

    user_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    username = None
    date_joined = None
    email = models.EmailField(unique=True, error_messages={"unique": EMAIL_TAKEN})
    first_name = models.CharField(max_length=150)
    last_name = models.CharField(max_length=150)
    phone_number = models.CharField(
        max_length=16,
        blank=True,
        validators=[
            RegexValidator(
                r"\A\+[1-9][0-9]{1,14}\Z",
                "Write the number as E.164 has it: +, country code and number, "
                "15 digits at most, nothing between them, such as +14155552671.",
            )
        ],
    )
    role = models.CharField(max_length=5, choices=Role, default=Role.GUEST)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["first_name", "last_name"]

    class Meta:
        # The order of a conversation's participants.
        ordering = ["user_id"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_any_case",
                violation_error_message=EMAIL_TAKEN,
            ),
        ]

    def __str__(self):
        return self.email

    def save(self, *args, **kwargs):
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        with transaction.atomic():
            User.objects.filter(pk=self.pk).lock()
            Conversation.objects.for_user(self).move_clocks()
            return super().delete(*args, **kwargs)

    delete.alters_data = True

    def check_password(self, raw_password):
        """As Django's, which strengthens an outdated hash; it would also undo a change of the
        password that came in between."""
        return check_password(raw_password, self.password, self.replace_password)

    def replace_password(self, new_password):
        """Whether it was replaced: not if another call has done so since this user was read."""
        old_password = self.password
        self.password = make_password(new_password)
        unchanged = User.objects.filter(pk=self.pk, password=old_password)
        return unchanged.update(password=self.password) == 1

    replace_password.alters_data = True

    def erase(self):
        """Forget the person: out of every conversation, unable to sign in, their address free
        for somebody else. What they wrote stays, under this row. Raises DoesNotExist for a row
        that was deleted."""
        with transaction.atomic():
            if not User.objects.filter(pk=self.pk).lock():
                raise User.DoesNotExist
            wrote_in = self.sent_messages.values("conversation")
            shown_in = models.Q(participants=self) | models.Q(pk__in=wrote_in)
            Conversation.objects.filter(shown_in).move_clocks()
            self.conversations.clear()
            self.groups.clear()
            self.user_permissions.clear()
            User.objects.filter(pk=self.pk).update(
                first_name="Deleted",
                last_name="user",
                # Nobody can have registered it.
                email=f"{uuid.uuid4()}{ERASED}",
                phone_number="",
                role=User.Role.GUEST,
                password=make_password(None),
                is_active=False,
                is_staff=False,
                is_superuser=False,
                last_login=None,
            )
            self.refresh_from_db()
            # The admin's history keeps what it was called.
            LogEntry.objects.filter(
                content_type=ContentType.objects.get_for_model(User), object_id=self.pk
            ).update(object_repr=str(self))

    erase.alters_data = True

    @property
    def is_erased(self):
        return not self.is_active and self.email.endswith(ERASED)


def prefetch_participants(path="participants"):
    """Each conversation's `participant_list`; without that, Django makes a queryset for each,
    which takes as long as reading a participant or two."""
    return models.Prefetch(path, User.objects.public(), to_attr="participant_list")


class ConversationQuerySet(OrderedQuerySet):
    def for_user(self, user):
        return self.filter(participants=user)

    def get_for_user(self, user, pk, lock=False):
        """`for_user(user).get(pk=pk)`, locked if asked for."""
        statement = MEMBERSHIP
        if lock and connection.features.has_select_for_update:
            statement += connection.ops.for_update_sql(no_key=True, of=["conversation"])
        for conversation in self.raw(statement, [in_database(pk), in_database(user.pk)]):
            return conversation
        raise Conversation.DoesNotExist

    def latest_activity_first(self):
        return self.order_by("-updated_at", "-conversation_id")

    def lock(self):
        """These rows, locked in the order of their keys. One query."""
        return list(self.select_for_update(no_key=True, of=("self",)).order_by("pk"))

    def move_clocks(self):
        """Lock these conversations and move their clocks strictly forward.

        Every write that a reader can see calls this before it writes, in its transaction.
        Returns the new clocks by primary key, and moves none when the rows no longer meet this
        queryset's conditions once they are locked: PostgreSQL looks at a locked row again when
        its wait for it is over, but not at the rows joined to it. Two queries.
        """
        clocks = {conversation.pk: conversation.get_next_clock() for conversation in self.lock()}
        if not clocks:
            return {}
        clock = models.Case(*(models.When(pk=pk, then=clocks[pk]) for pk in clocks))
        return clocks if self.filter(pk__in=clocks).update(updated_at=clock) else {}

    move_clocks.alters_data = True
    move_clocks.queryset_only = True

    def delete(self):
        with transaction.atomic():
            self.lock()
            return super().delete()

    delete.alters_data = True
    delete.queryset_only = True

    def start(self, creator, user_ids, key=None):
        """Start a conversation between `creator` and the users of `user_ids`.

        Returns it and whether it is new: with a `key` that the creator has used for the same
        set of people it is the one from then. Raises UnknownUsers.
        """
        user_ids = {creator.pk, *user_ids}
        people = " ".join(sorted(map(str, user_ids)))
        # A key is printable: the line breaks tell it from the people.
        name = f"{creator.pk}\n{people}\n{key}"
        pk = uuid.uuid5(CONVERSATION_KEYS, name) if key else uuid.uuid4()
        with transaction.atomic():
            conversation, created = self.get_or_create(pk=pk)
            if created:
                through = Conversation.participants.through
                through.objects.bulk_create(
                    through(conversation=conversation, user=user)
                    for user in User.objects.lock_active(user_ids)
                )
            return conversation, created


class Conversation(models.Model):
    conversation_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    participants = models.ManyToManyField(User, related_name="conversations")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The clock: move_clocks() and, for a message that is sent, move_clock() alone move it.
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ConversationQuerySet.as_manager()

    def __str__(self):
        return str(self.conversation_id)

    def save(self, *args, **kwargs):
        """As Django's, but for the clock of a row that exists, which stays as it is there."""
        if self._state.adding:
            kwargs["force_insert"] = True
        else:
            fields = kwargs.get("update_fields")
            kwargs["update_fields"] = (
                {"created_at"} if fields is None else {*fields} - {"updated_at"}
            )
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        with transaction.atomic():
            Conversation.objects.filter(pk=self.pk).lock()
            return super().delete(*args, **kwargs)

    delete.alters_data = True

    def get_next_clock(self):
        return max(timezone.now(), self.updated_at + timedelta(microseconds=1))

    def move_clock(self, user):
        """`for_user(user).filter(pk=self.pk).move_clocks()` for a row that is locked already.

        Returns the new clock. Raises DoesNotExist if `user` was gone before it was locked.
        """
        clock = self.get_next_clock()
        parameters = [in_database(clock), in_database(self.pk), in_database(user.pk)]
        with connection.cursor() as cursor:
            cursor.execute(MOVE_CLOCK, parameters)
            if not cursor.rowcount:
                raise Conversation.DoesNotExist
        return clock

    move_clock.alters_data = True

    @cached_property
    def participant_list(self):
        """The participants with their public profiles, as they were when first asked for."""
        return list(self.participants.public())

    def has_participant(self, user):
        return any(participant.pk == user.pk for participant in self.participant_list)

    def add_participant(self, user_id, by):
        """Let the user in, on behalf of the participant `by`; nothing changes if they are in.

        Raises UnknownUsers, ConversationFull, and DoesNotExist if `by` does not take part.
        """
        with transaction.atomic():
            [user] = User.objects.lock_active([user_id])
            Conversation.objects.filter(pk=self.pk).lock()
            participant_ids = set(self.participants.values_list("pk", flat=True))
            if by.pk not in participant_ids:
                raise Conversation.DoesNotExist
            if user.pk in participant_ids:
                return
            if len(participant_ids) >= MAX_PARTICIPANTS:
                raise ConversationFull
            self.participants.add(user)

    def send(self, sender, message_body, key=None):
        """Write a message.

        Returns it and whether it is new: with a `key` that the sender has used in this
        conversation it is the one from then. Raises DoesNotExist if `sender` does not take
        part, and IdempotencyKeyReused if the body was another one then.
        """
        name = f"{sender.pk}\n{self.pk}\n{key}"
        pk = uuid.uuid5(MESSAGE_KEYS, name) if key else uuid.uuid4()
        message = Message(pk=pk, sender=sender, conversation=self, message_body=message_body)
        with transaction.atomic():
            locked = Conversation.objects.get_for_user(sender, self.pk, lock=True)
            if key and (sent := Message.objects.filter(pk=pk).first()):
                if sent.message_body != message_body:
                    raise IdempotencyKeyReused
                sent.sender = sender
                return sent, False
            message.sent_at = locked.move_clock(sender)
            # save() would lock and move the clock a second time.
            Message.objects.bulk_create([message])
            return message, True


@receiver(m2m_changed, sender=Conversation.participants.through)
def move_clocks_of_changed_conversations(instance, action, reverse, pk_set, **kwargs):
    """`pk_set` is None on a clear, and empty when those to be added are in already."""
    if action not in {"pre_add", "pre_remove", "pre_clear"} or pk_set == set():
        return
    if action == "pre_add":
        # So that whoever is being erased or deleted is not left behind as a participant.
        User.objects.filter(pk__in=[instance.pk] if reverse else pk_set).lock()
    if not reverse:
        Conversation.objects.filter(pk=instance.pk).move_clocks()
    elif pk_set is None:
        Conversation.objects.for_user(instance).move_clocks()
    else:
        Conversation.objects.filter(pk__in=pk_set).move_clocks()


class MessageQuerySet(OrderedQuerySet):
    def for_user(self, user):
        return self.filter(conversation__participants=user)

    def newest_first(self):
        return self.order_by("-sent_at", "-message_id")

    def oldest_first(self):
        return self.order_by("sent_at", "message_id")

    def with_sender(self):
        """What there is to show: the message, and the sender's public profile."""
        profile = [f"sender__{name}" for name in PUBLIC_PROFILE]
        shown = self.only("conversation", "message_body", "sent_at", *profile)
        return shown.select_related("sender")

    def last_of(self, conversations):
        """The last message of each; of a few index entries each, however long their histories."""
        newest = Message.objects.filter(conversation=models.OuterRef("pk")).newest_first()
        last = Conversation.objects.filter(
            pk__in=[conversation.pk for conversation in conversations]
        )
        return self.filter(pk__in=last.values(last=models.Subquery(newest.values("pk")[:1])))

    def head(self, user, count):
        """The first `count` of these ordered messages of `user`'s, in a list.

        The database would read and sort all of the user's messages to find them. They lie in
        the `count` conversations with the foremost first messages, and not beyond any of these
        conversations' own message number `count`. Two queries, of a few index entries in each
        of the user's conversations, however long their histories.
        """
        descending = self.query.order_by[0].startswith("-")
        messages = self.filter(conversation=models.OuterRef("pk"))
        heads = Conversation.objects.for_user(user).annotate(
            first_at=models.Subquery(messages.values("sent_at")[:1]),
            first_id=models.Subquery(messages.values("pk")[:1]),
            last_at=models.Subquery(messages.values("sent_at")[count - 1 : count]),
        )
        order = [
            models.expressions.OrderBy(models.F(name), descending=descending, nulls_last=True)
            for name in ("first_at", "first_id")
        ]
        heads = [head for head in heads.order_by(*order)[:count] if head.first_at]
        narrowed = self.filter(conversation__in=heads)
        bounds = [head.last_at for head in heads if head.last_at]
        if bounds and descending:
            narrowed = narrowed.filter(sent_at__gte=max(bounds))
        elif bounds:
            narrowed = narrowed.filter(sent_at__lte=min(bounds))
        found = list(narrowed[:count])
        if len(found) < count and (bounds or len(heads) == count):
            # Some were deleted between the two queries.
            return list(self[:count])
        return found

    def delete(self):
        with transaction.atomic():
            conversation_ids = set(self.order_by().values_list("conversation_id", flat=True))
            Conversation.objects.filter(pk__in=conversation_ids).move_clocks()
            # Of what was sent to others in the meantime, no clock has moved.
            messages = self.filter(conversation__in=conversation_ids)
            return super(MessageQuerySet, messages).delete()

    delete.alters_data = True
    delete.queryset_only = True


class Message(models.Model):
    message_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # People are erased, not deleted: what they wrote is the others' history too.
    sender = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sent_messages")
    # No index of its own: the constraint's begins with it.
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages", db_index=False
    )
    message_body = models.TextField()
    sent_at = models.DateTimeField(editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            # The message list reads by it.
            models.UniqueConstraint(
                fields=["conversation", "sent_at"],
                name="message_sent_at_once_a_conversation",
            ),
        ]

    def __str__(self):
        return str(self.message_id)

    def save(self, *args, **kwargs):
        """Raises Conversation.DoesNotExist where there is none."""
        with transaction.atomic():
            before = Message.objects.filter(pk=self.pk).values_list("conversation_id", flat=True)
            conversation_ids = {self.conversation_id, *before}
            clocks = Conversation.objects.filter(pk__in=conversation_ids).move_clocks()
            if self.conversation_id not in clocks:
                raise Conversation.DoesNotExist
            if self.conversation_id not in before:
                self.sent_at = clocks[self.conversation_id]
            super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        with transaction.atomic():
            Conversation.objects.filter(pk=self.conversation_id).move_clocks()
            return super().delete(*args, **kwargs)

    delete.alters_data = True
