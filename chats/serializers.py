"""The shape of the JSON and the validation of input.

`serialize()` bypasses DRF's fields, which take four times as long for 20 messages.
"""

from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import NamedTuple
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from orjson import Fragment
from rest_framework import serializers

from chats.models import MAX_PARTICIPANTS, PUBLIC_PROFILE, Conversation, Message, User
from chats.rest.field_hints import (
    CONVERSATION_FIELDS,
    LEAVE_FIELDS,
    MESSAGE_FIELDS,
    NEW_CONVERSATION_FIELDS,
    NEW_MESSAGE_FIELDS,
    NEW_PARTICIPANT_FIELDS,
)
from chats.rest.fields import (
    BooleanField,
    ConversationIdField,
    ReadAtField,
    StringField,
    TitleField,
    UserIdField,
    UserIdListField,
)
from chats.rest.serializers import HintsSerializer
from chats.statements import MAX_UNREAD_COUNT, ReadState, get_conversation
from chats.validators import is_blank

# The attribute that holds the value of a field, where it is not the field's name.
ATTRIBUTES = {
    "conversation": "conversation_id",
    "message_body": "shown_body",
    "participants": "participant_list",
}


def serialize(row, fields, **given):
    """The fields of a row, as JSON values. Those that are `given` are not read from the row."""
    return {
        name: to_json(
            given[name] if name in given else getattr(row, ATTRIBUTES.get(name, name)),
        )
        for name in fields
    }


def to_json(value):
    """Raises KeyError for a type that nobody has thought of."""
    return CONVERTERS[type(value)](value)


def serialize_user(user):
    return serialize(user, PublicProfileSerializer.Meta.fields)


def serialize_message(message):
    return serialize(message, MessageSerializer.Meta.fields)


def serialize_moment(moment):
    """In the format of DATETIME_FORMAT. The database returns UTC."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


CONVERTERS: dict[type, Callable] = {
    **dict.fromkeys([bool, int, str, NoneType, Fragment], lambda value: value),
    User.Role: str,
    UUID: str,
    datetime: serialize_moment,
    User: serialize_user,
    Message: serialize_message,
    list: lambda values: [to_json(value) for value in values],
}

# The users in the examples of the API's description.
ANN = {
    "user_id": "d698be02-99eb-4b94-824a-604aac30543a",
    "first_name": "Ann",
    "last_name": "Adams",
    "role": "guest",
}
BEN = {
    "user_id": "bc71790b-222e-4804-ba48-70e160f0f5d3",
    "first_name": "Ben",
    "last_name": "Bell",
    "role": "guest",
}


@extend_schema_serializer(examples=[OpenApiExample("Ben", BEN)])
class PublicProfileSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = PUBLIC_PROFILE
        read_only_fields = fields

    def to_representation(self, user):
        return serialize_user(user)


MESSAGE_BODY_MAX_CHARACTERS = 10_000
NOT_YOURS = "You do not take part in a conversation with this conversation_id."

# The message in the examples of the API's description.
MESSAGE = {
    "message_id": "796e04f8-1eda-52f7-ba6c-7813cb33b1c1",
    "conversation": "a5044f5c-44f0-4974-b3b4-62705898dd36",
    "sender": ANN,
    "message_body": "Hello, Ben!",
    "sent_at": "2026-11-22T10:33:35.109943Z",
    "updated_at": "2026-11-22T10:33:35.109943Z",
}


@extend_schema_serializer(examples=[OpenApiExample("Message", MESSAGE)])
class MessageSerializer(serializers.ModelSerializer):
    sender = PublicProfileSerializer(read_only=True)
    message_body = serializers.CharField(
        read_only=True, allow_null=True, help_text="`null` if the message was deleted."
    )

    class Meta:
        model = Message
        fields = ["message_id", "conversation", "sender", "message_body", "sent_at", "updated_at"]
        read_only_fields = fields

    def to_representation(self, message):
        return serialize_message(message)


@extend_schema_serializer(examples=[OpenApiExample("Body", {"message_body": "Hello, Ben!"})])
class MessageBodySerializer(HintsSerializer):
    field_hints = MESSAGE_FIELDS
    response_fields = MessageSerializer.Meta.fields
    message_body = StringField(trim_whitespace=False, max_length=MESSAGE_BODY_MAX_CHARACTERS)

    def validate_message_body(self, message_body):
        if is_blank(message_body):
            message = "This field may not be only white space or invisible characters."
            raise serializers.ValidationError(message, "blank")
        return message_body


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "New", {"conversation": MESSAGE["conversation"], "message_body": "Hello, Ben!"}
        )
    ]
)
class NewMessageSerializer(MessageBodySerializer):
    field_hints = NEW_MESSAGE_FIELDS
    conversation = ConversationIdField()

    def validate_conversation(self, conversation_id):
        """The conversation with this id, in which the caller takes part."""
        try:
            return get_conversation(self.context["request"].user, conversation_id)
        except Conversation.DoesNotExist as error:
            raise serializers.ValidationError(NOT_YOURS) from error


# The conversation in the examples of the API's description.
CONVERSATION = {
    "conversation_id": MESSAGE["conversation"],
    "title": "",
    "participants": [BEN, ANN],
    "last_message": MESSAGE,
    "created_at": "2026-11-22T10:33:35.051722Z",
    "updated_at": MESSAGE["sent_at"],
    "read_at": "2026-11-22T10:33:35.051722Z",
    "unread_count": 1,
}


class ShownConversation(NamedTuple):
    # What all participants see, as JSON values.
    shared: dict
    # What only the caller sees.
    read_state: ReadState


@extend_schema_serializer(
    component_name="ConversationSummary",
    examples=[OpenApiExample("Conversation", CONVERSATION)],
)
class ConversationListSerializer(serializers.ModelSerializer):
    participants = PublicProfileSerializer(many=True)
    last_message = MessageSerializer(allow_null=True)
    read_at = serializers.DateTimeField(help_text="You have read the messages up to this moment.")
    unread_count = serializers.IntegerField(
        min_value=0,
        max_value=MAX_UNREAD_COUNT,
        help_text="The number of messages from others after `read_at`, without deleted ones. "
        f"{MAX_UNREAD_COUNT} means {MAX_UNREAD_COUNT} or more.",
    )

    class Meta:
        model = Conversation
        shared_fields = [
            "conversation_id",
            "title",
            "participants",
            "last_message",
            "created_at",
            "updated_at",
        ]
        fields = [*shared_fields, "read_at", "unread_count"]

    def to_representation(self, shown):
        return shown.shared | serialize_read_state(shown.read_state)


@extend_schema_serializer(
    component_name="Conversation",
    examples=[OpenApiExample("Conversation", {**CONVERSATION, "messages": [MESSAGE]})],
)
class ConversationSerializer(ConversationListSerializer):
    """A conversation with `messages`, the first page of its message list."""

    messages = MessageSerializer(many=True)

    class Meta(ConversationListSerializer.Meta):
        shared_fields = [*ConversationListSerializer.Meta.shared_fields, "messages"]
        fields = [*ConversationListSerializer.Meta.fields, "messages"]


@extend_schema_serializer(examples=[OpenApiExample("Title", {"title": "Holiday in May"})])
class TitleSerializer(HintsSerializer):
    field_hints = CONVERSATION_FIELDS
    title = TitleField()


TOO_MANY_PARTICIPANTS = f"A conversation has at most {MAX_PARTICIPANTS} participants, you included."
# A user_id can be written in upper case or without hyphens, too.
VALUES_PER_PARTICIPANT = 4


@extend_schema_serializer(examples=[OpenApiExample("With Ben", {"participants": [BEN["user_id"]]})])
class NewConversationSerializer(HintsSerializer):
    field_hints = NEW_CONVERSATION_FIELDS
    title = TitleField(required=False)
    distinct = BooleanField(
        required=False,
        help_text="With `true`, the response is the distinct conversation of exactly these users, "
        "if there is one. Whoever of them requests it gets the same conversation.",
    )
    participants = UserIdListField(
        help_text="The `user_id` of each participant. A conversation has at most "
        f"{MAX_PARTICIPANTS} participants, including you."
    )

    def validate_participants(self, values):
        """The user_ids as a set, without the caller's."""
        user_ids, errors = set(), {}
        strings = {value for value in values if isinstance(value, str)}
        others = [value for value in values if not isinstance(value, str)]
        if len(strings) > VALUES_PER_PARTICIPANT * MAX_PARTICIPANTS:
            raise serializers.ValidationError(TOO_MANY_PARTICIPANTS)
        for value in [*sorted(strings), *others[:1]]:
            try:
                user_ids.add(UserIdField().run_validation(value))
            except serializers.ValidationError as error:
                errors.update(dict.fromkeys(error.detail))
        user_ids.discard(self.context["request"].user.pk)
        if len(user_ids) + len(errors) >= MAX_PARTICIPANTS:
            raise serializers.ValidationError(TOO_MANY_PARTICIPANTS)
        if errors:
            missing = User.objects.missing_ids(user_ids, self.context["request"].user)
            raise serializers.ValidationError([*errors, *describe_missing(missing)])
        if not user_ids:
            raise serializers.ValidationError("Name at least one person other than yourself.")
        return user_ids


READ_STATE = {"read_at": MESSAGE["sent_at"], "unread_count": 0}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Read", {"read_at": MESSAGE["sent_at"]}, request_only=True),
        OpenApiExample("State", READ_STATE, response_only=True),
    ]
)
class ReadStateSerializer(serializers.Serializer):
    read_at = ReadAtField(help_text="The `sent_at` of the last message that the user has seen.")
    unread_count = serializers.IntegerField(read_only=True, min_value=0, max_value=MAX_UNREAD_COUNT)

    def to_representation(self, read_state):
        return serialize_read_state(read_state)


def serialize_read_state(read_state):
    return {
        "read_at": serialize_moment(read_state.read_at),
        "unread_count": read_state.unread_count,
    }


REMOVE_YOURSELF = "This is yourself: use POST /api/conversations/{id}/leave/."


class LeaveSerializer(HintsSerializer):
    """No fields."""

    field_hints = LEAVE_FIELDS


@extend_schema_serializer(examples=[OpenApiExample("Ben", {"user_id": BEN["user_id"]})])
class NewParticipantSerializer(HintsSerializer):
    field_hints = NEW_PARTICIPANT_FIELDS
    user_id = UserIdField()


class RemovedParticipantSerializer(NewParticipantSerializer):
    def validate_user_id(self, user_id):
        if user_id == self.context["request"].user.pk:
            raise serializers.ValidationError(REMOVE_YOURSELF)
        return user_id


def describe_missing(user_ids):
    return [f"“{user_id}” is not the user_id of an active user." for user_id in sorted(user_ids)]


JSON_FIELDS = [
    serializer.Meta.fields
    for serializer in (PublicProfileSerializer, MessageSerializer, ConversationSerializer)
]
