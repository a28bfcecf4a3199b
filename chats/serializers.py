"""The shape of the JSON and the validation of input.

Rows become JSON in functions: DRF's fields take 660 µs for 20 messages, the functions 100.
"""

import orjson
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from chats.models import MAX_PARTICIPANTS, PUBLIC_PROFILE, Conversation, Message, User
from chats.rest.fields import (
    BooleanField,
    ConversationIdField,
    DateTimeField,
    StringField,
    TitleField,
    UserIdField,
    UserIdListField,
)
from chats.services import (
    ConversationFull,
    UnknownUsers,
    add_participant,
    edit,
    mark_as_read,
    rename,
    send,
    start,
    start_distinct,
)
from chats.statements import MAX_UNREAD_COUNT, get_conversation

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


def serialize_user(user):
    """The public profile."""
    return {
        "user_id": str(user.user_id),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": user.role,
    }


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
class MessageBodySerializer(MessageSerializer):
    message_body = StringField(trim_whitespace=False, max_length=MESSAGE_BODY_MAX_CHARACTERS)

    def validate_message_body(self, message_body):
        if not message_body.strip():
            raise serializers.ValidationError("This field may not be only white space.", "blank")
        return message_body

    def create(self, validated_data):
        message, self.created = send(**validated_data)
        return message

    def update(self, message, validated_data):
        return edit(message, **validated_data)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "New", {"conversation": MESSAGE["conversation"], "message_body": "Hello, Ben!"}
        )
    ]
)
class NewMessageSerializer(MessageBodySerializer):
    conversation = ConversationIdField()

    def validate_conversation(self, conversation_id):
        try:
            return get_conversation(self.context["request"].user, conversation_id)
        except Conversation.DoesNotExist as error:
            raise serializers.ValidationError(NOT_YOURS) from error

    def create(self, validated_data):
        try:
            return super().create(validated_data)
        except Conversation.DoesNotExist as error:
            # The caller was removed after the validation.
            raise serializers.ValidationError({"conversation": [NOT_YOURS]}) from error


def serialize_message(message):
    return {
        "message_id": str(message.message_id),
        "conversation": str(message.conversation_id),
        "sender": serialize_user(message.sender),
        "message_body": message.message_body or None,
        "sent_at": serialize_moment(message.sent_at),
        "updated_at": serialize_moment(message.updated_at),
    }


def serialize_moment(moment):
    """In the format of DATETIME_FORMAT. The database returns UTC."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


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
        fields = [
            "conversation_id",
            "title",
            "participants",
            "last_message",
            "created_at",
            "updated_at",
            "read_at",
            "unread_count",
        ]

    @property
    def data(self):
        # DRF would make a dictionary of it.
        return self.to_representation(self.instance)

    def to_representation(self, conversation):
        """What all participants see (`shared_json`), and what only the caller sees."""
        read_at = serialize_moment(conversation.read_at)
        own = orjson.dumps({"read_at": read_at, "unread_count": conversation.unread_count})
        return orjson.Fragment(conversation.shared_json[:-1] + b"," + own[1:])


@extend_schema_serializer(
    component_name="Conversation",
    examples=[OpenApiExample("Conversation", {**CONVERSATION, "messages": [MESSAGE]})],
)
class ConversationSerializer(ConversationListSerializer):
    """A conversation with `messages`, the first page of its message list."""

    messages = MessageSerializer(many=True)

    class Meta(ConversationListSerializer.Meta):
        fields = [*ConversationListSerializer.Meta.fields, "messages"]


@extend_schema_serializer(examples=[OpenApiExample("Title", {"title": "Holiday in May"})])
class TitleSerializer(serializers.Serializer):
    title = TitleField()

    def update(self, conversation, validated_data):
        rename(conversation, validated_data["by"], validated_data["title"])
        return conversation


@extend_schema_serializer(examples=[OpenApiExample("With Ben", {"participants": [BEN["user_id"]]})])
class NewConversationSerializer(serializers.Serializer):
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
        for value in values:
            try:
                user_ids.add(UserIdField().run_validation(value))
            except serializers.ValidationError as error:
                errors.update(dict.fromkeys(error.detail))
        user_ids.discard(self.context["request"].user.pk)
        if len(user_ids) + len(errors) >= MAX_PARTICIPANTS:
            raise serializers.ValidationError(
                f"A conversation has at most {MAX_PARTICIPANTS} participants, you included."
            )
        if errors:
            missing = User.objects.missing_ids(user_ids)
            raise serializers.ValidationError([*errors, *describe_missing(missing)])
        if not user_ids:
            raise serializers.ValidationError("Name at least one person other than yourself.")
        return user_ids

    def create(self, validated_data):
        creator, user_ids = validated_data["creator"], validated_data["participants"]
        title = validated_data.get("title", "")
        try:
            if validated_data.get("distinct"):
                conversation, self.created = start_distinct(creator, user_ids, title)
            else:
                conversation_id = validated_data["conversation_id"]
                conversation, self.created = start(creator, user_ids, conversation_id, title)
        except UnknownUsers as error:
            errors = {"participants": describe_missing(error.user_ids)}
            raise serializers.ValidationError(errors) from error
        return conversation


READ_STATE = {"read_at": MESSAGE["sent_at"], "unread_count": 0}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Read", {"read_at": MESSAGE["sent_at"]}, request_only=True),
        OpenApiExample("State", READ_STATE, response_only=True),
    ]
)
class ReadStateSerializer(serializers.Serializer):
    read_at = DateTimeField(help_text="The `sent_at` of the last message that the user has seen.")
    unread_count = serializers.IntegerField(read_only=True, min_value=0, max_value=MAX_UNREAD_COUNT)

    def update(self, conversation, validated_data):
        read_at, unread_count = mark_as_read(
            conversation, validated_data["user"], validated_data["read_at"]
        )
        return {"read_at": read_at, "unread_count": unread_count}

    def to_representation(self, state):
        return state | {"read_at": serialize_moment(state["read_at"])}


@extend_schema_serializer(examples=[OpenApiExample("Ben", {"user_id": BEN["user_id"]})])
class NewParticipantSerializer(serializers.Serializer):
    user_id = UserIdField()

    def update(self, conversation, validated_data):
        try:
            add_participant(conversation, validated_data["user_id"], validated_data["by"])
        except UnknownUsers as error:
            errors = {"user_id": describe_missing(error.user_ids)}
            raise serializers.ValidationError(errors) from error
        except ConversationFull as error:
            message = f"The conversation has {MAX_PARTICIPANTS} participants; it is full."
            raise serializers.ValidationError({"user_id": [message]}) from error
        return conversation


def describe_missing(user_ids):
    return [f"“{user_id}” is not the user_id of an active user." for user_id in sorted(user_ids)]


def serialize_conversation(conversation, last_message):
    """What all participants see of it."""
    return {
        "conversation_id": str(conversation.conversation_id),
        "title": conversation.title,
        "participants": [serialize_user(user) for user in conversation.participant_list],
        "last_message": last_message and serialize_message(last_message),
        "created_at": serialize_moment(conversation.created_at),
        "updated_at": serialize_moment(conversation.updated_at),
    }
