from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from chats.fields import ConversationIdField, StringField
from chats.models import Conversation, Message
from chats.serializers.users import ANN, PublicProfileSerializer, serialize_user
from chats.services import edit, send
from chats.statements import get_conversation

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
