from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from chats.fields import StringField
from chats.models import Message
from chats.serializers.users import ANN, PublicProfileSerializer, serialize_user
from chats.services import send

MESSAGE_BODY_MAX_CHARACTERS = 10_000

# The message in the examples of the API's description.
MESSAGE = {
    "message_id": "796e04f8-1eda-52f7-ba6c-7813cb33b1c1",
    "conversation": "a5044f5c-44f0-4974-b3b4-62705898dd36",
    "sender": ANN,
    "message_body": "Hello, Ben!",
    "sent_at": "2026-11-22T10:33:35.109943Z",
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("New", {"message_body": "Hello, Ben!"}, request_only=True),
        OpenApiExample("Sent", MESSAGE, response_only=True),
    ]
)
class MessageSerializer(serializers.ModelSerializer):
    sender = PublicProfileSerializer(read_only=True)
    message_body = StringField(trim_whitespace=False, max_length=MESSAGE_BODY_MAX_CHARACTERS)

    class Meta:
        model = Message
        fields = ["message_id", "conversation", "sender", "message_body", "sent_at"]
        read_only_fields = ["message_id", "conversation", "sent_at"]

    def to_representation(self, message):
        return serialize_message(message)

    def validate_message_body(self, message_body):
        if not message_body.strip():
            raise serializers.ValidationError("This field may not be only white space.", "blank")
        return message_body

    def create(self, validated_data):
        message, self.created = send(**validated_data)
        return message


def serialize_message(message):
    return {
        "message_id": str(message.message_id),
        "conversation": str(message.conversation_id),
        "sender": serialize_user(message.sender),
        "message_body": message.message_body,
        "sent_at": serialize_moment(message.sent_at),
    }


def serialize_moment(moment):
    """In the format of DATETIME_FORMAT. The database returns UTC."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
