import uuid

from django.db import transaction
from django.utils import timezone

from chats.clock import get_next_value, lock_one, move_one_clock
from chats.models import Conversation, Message
from chats.statements import get_conversation, move_clock


class IdempotencyKeyReused(Exception):
    """The key was used before, with another message body."""


class MessageDeleted(Exception):
    """A deleted message cannot be edited."""


def send(conversation, sender, message_body, message_id=None):
    """Write a message.

    Returns the message and whether it is new. With a `message_id` that exists it returns that one,
    or raises IdempotencyKeyReused if it was sent with another body. Raises
    Conversation.DoesNotExist if `sender` is not a participant.
    """
    message = Message(
        pk=message_id or uuid.uuid4(),
        sender=sender,
        conversation=conversation,
        message_body=message_body,
    )
    with transaction.atomic():
        locked = get_conversation(sender, conversation.pk, lock=True)
        if message_id and (sent := Message.objects.filter(pk=message_id).first()):
            is_unchanged = sent.updated_at == sent.sent_at
            if is_unchanged and sent.message_body != message_body:
                raise IdempotencyKeyReused
            sent.sender = sender
            return sent, False
        message.sent_at = get_next_value(locked.updated_at, timezone.now())
        message.updated_at = message.sent_at
        # The second membership check, now that the row is locked.
        if not move_clock(sender, conversation.pk, message.sent_at):
            raise Conversation.DoesNotExist
        # save() would lock the row and move the clock a second time.
        Message.objects.bulk_create([message])
        return message, True


def edit(message, author, message_body):
    """Returns the message as it is stored now. The same text again changes nothing.

    Raises MessageDeleted, and Conversation.DoesNotExist if `author` is not a participant.
    """
    conversations = Conversation.objects.for_user(author).filter(pk=message.conversation_id)
    with transaction.atomic():
        lock_one(conversations)
        message = Message.objects.with_sender().get(pk=message.pk)
        if message.is_deleted:
            raise MessageDeleted
        if message.message_body != message_body:
            rewrite(message, message_body, conversations)
        return message


def delete(message, author=None):
    """Remove the text of a message for good. Its row stays, so that others see the deletion.

    On behalf of staff without an `author`. Raises Conversation.DoesNotExist if `author` is not a
    participant. Changes nothing if the message is deleted already.
    """
    conversations = Conversation.objects.for_user(author) if author else Conversation.objects.all()
    conversations = conversations.filter(pk=message.conversation_id)
    with transaction.atomic():
        lock_one(conversations)
        message = Message.objects.get(pk=message.pk)
        if not message.is_deleted:
            rewrite(message, "", conversations)


def rewrite(message, message_body, conversations):
    message.message_body, message.updated_at = message_body, move_one_clock(conversations)
    # save() would lock the row and move the clock a second time.
    Message.objects.filter(pk=message.pk).update(
        message_body=message.message_body, updated_at=message.updated_at
    )
