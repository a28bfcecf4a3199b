import uuid

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db import transaction

from chats.clock import batched, lock, move_clocks
from chats.models import CONVERSATIONS_PER_TRANSACTION, ERASED_EMAIL_ENDING, Conversation, User


class UnknownUsers(Exception):
    """`user_ids` do not belong to active users."""

    def __init__(self, user_ids):
        super().__init__(user_ids)
        self.user_ids = user_ids


def lock_active_users(user_ids):
    """Lock the users, so that they are neither deleted nor deactivated until the transaction ends.

    Returns them. Raises UnknownUsers.
    """
    users = lock(User.objects.active().filter(pk__in=user_ids))
    if missing := set(user_ids).difference(user.pk for user in users):
        raise UnknownUsers(missing)
    return users


def erase(user, users=None):
    """Erase the person: remove them from all conversations, clear their personal data and free
    their address. Their messages stay, with this row as the sender.

    Raises User.DoesNotExist if the row was deleted, or is not in the queryset `users`. Leaves all
    conversations first, so that an interrupted erasure can be repeated.
    """
    row = (User.objects if users is None else users).filter(pk=user.pk)
    if not row.exists():
        raise User.DoesNotExist
    left = user.leave_conversations()
    with transaction.atomic():
        if not lock(row):
            raise User.DoesNotExist
        # Conversations that they were added to in the meantime.
        user.conversations.clear()
        user.groups.clear()
        user.user_permissions.clear()
        User.objects.filter(pk=user.pk).update(
            first_name="Deleted",
            last_name="user",
            # Random, so that nobody can have registered it.
            email=f"{uuid.uuid4()}{ERASED_EMAIL_ENDING}",
            phone_number="",
            role=User.Role.GUEST,
            password=make_password(None),
            is_active=False,
            is_staff=False,
            is_superuser=False,
            last_login=None,
        )
        user.refresh_from_db()
        # The admin's history names the row as it was.
        LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(User), object_id=user.pk
        ).update(object_repr=str(user))
    # So that no cached page of a conversation that they had left before shows their name.
    wrote_in = set(user.sent_messages.values_list("conversation", flat=True).distinct())
    for keys in batched(wrote_in.difference(left), CONVERSATIONS_PER_TRANSACTION):
        with transaction.atomic():
            move_clocks(Conversation.objects.filter(pk__in=keys))
