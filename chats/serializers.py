from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, models, transaction
from django.utils.http import urlsafe_base64_decode
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.fields import empty
from rest_framework.validators import UniqueValidator

from chats.forms import PasswordResetForm
from chats.models import (
    EMAIL_TAKEN,
    MAX_PARTICIPANTS,
    PUBLIC_PROFILE,
    Conversation,
    ConversationFull,
    Message,
    UnknownUsers,
    User,
)
from chats.rows import conversation_json, message_json, public_profile

MESSAGE_BODY_MAX_CHARACTERS = 10_000
NOT_CURRENT = "This is not your current password."
DEAD_LINK = "The link was used or has expired: ask for a new one."


class StringField(serializers.CharField):
    """A JSON string: DRF's field takes numbers for strings."""

    def run_validation(self, data=empty):
        if data is not empty and data is not None and not isinstance(data, str):
            self.fail("invalid")
        return super().run_validation(data)


class EmailField(StringField, serializers.EmailField):
    """An e-mail address, in lower case."""

    def to_internal_value(self, data):
        return super().to_internal_value(data).lower()


class PasswordField(StringField):
    def __init__(self, **kwargs):
        super().__init__(trim_whitespace=False, write_only=True, **kwargs)


class UserIdField(serializers.UUIDField):
    """A user_id as a JSON string: DRF's field takes integers for UUIDs."""

    default_error_messages = {"invalid": "“{value}” is not a user_id."}

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid", value=type(data).__name__)
        return super().to_internal_value(data)


@extend_schema_field(serializers.ListField(child=UserIdField()))
class UserIdListField(serializers.ListField):
    """Of anything: who has the list looks at its items, to name all that are bad."""


class PublicProfileSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = PUBLIC_PROFILE
        read_only_fields = fields

    def to_representation(self, user):
        return public_profile(user)


class ProfileSerializer(serializers.ModelSerializer):
    """A person's own profile; staff set the role."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StringField,
    }

    class Meta:
        model = User
        fields = [
            "user_id",
            "email",
            "first_name",
            "last_name",
            "phone_number",
            "role",
            "created_at",
        ]
        read_only_fields = ["user_id", "email", "role", "created_at"]

    def update(self, user, validated_data):
        """Writes nothing but what was sent: staff may be changing the rest of the row."""
        active = User.objects.active().filter(pk=user.pk)
        active.update(**validated_data)
        if (updated := active.first()) is None:
            raise AuthenticationFailed("User is inactive", code="user_inactive")
        return updated


class RegistrationSerializer(ProfileSerializer):
    email = EmailField(
        max_length=254,
        validators=[UniqueValidator(User.objects.all(), message=EMAIL_TAKEN)],
    )
    password = PasswordField()

    class Meta(ProfileSerializer.Meta):
        fields = [*ProfileSerializer.Meta.fields, "password"]
        read_only_fields = ["user_id", "role", "created_at"]

    def validate(self, attrs):
        person = {name: value for name, value in attrs.items() if name != "password"}
        check_strength("password", attrs["password"], User(**person))
        return attrs

    def create(self, validated_data):
        try:
            with transaction.atomic():
                return User.objects.create_user(**validated_data)
        except IntegrityError as error:
            # Somebody else registered the address after it was validated.
            raise serializers.ValidationError({"email": [EMAIL_TAKEN]}) from error


class CurrentPasswordSerializer(serializers.Serializer):
    current_password = PasswordField()

    def validate_current_password(self, current_password):
        if not self.context["request"].user.check_password(current_password):
            raise serializers.ValidationError(NOT_CURRENT)
        return current_password


class SetPasswordSerializer(CurrentPasswordSerializer):
    new_password = PasswordField()

    def validate(self, attrs):
        check_strength("new_password", attrs["new_password"], self.context["request"].user)
        return attrs

    def save(self):
        if not self.context["request"].user.replace_password(self.validated_data["new_password"]):
            raise serializers.ValidationError({"current_password": [NOT_CURRENT]})


class PasswordResetSerializer(serializers.Serializer):
    email = EmailField(max_length=254)

    def save(self):
        form = PasswordResetForm(self.validated_data)
        form.is_valid()
        form.save(self.context["request"])


class PasswordResetConfirmSerializer(serializers.Serializer):
    """With the `uid` and `token` of the e-mail."""

    uid = StringField()
    token = StringField()
    new_password = PasswordField()

    def validate(self, attrs):
        self.user = self.get_user(attrs["uid"])
        if self.user is None or not default_token_generator.check_token(self.user, attrs["token"]):
            raise serializers.ValidationError({"token": [DEAD_LINK]})
        check_strength("new_password", attrs["new_password"], self.user)
        return attrs

    def get_user(self, uid):
        try:
            user_id = UUID(urlsafe_base64_decode(uid).decode())
        except ValueError:
            return None
        return User.objects.active().filter(pk=user_id).first()

    def save(self):
        if not self.user.replace_password(self.validated_data["new_password"]):
            raise serializers.ValidationError({"token": [DEAD_LINK]})


class MessageSerializer(serializers.ModelSerializer):
    sender = PublicProfileSerializer(read_only=True)
    message_body = StringField(trim_whitespace=False, max_length=MESSAGE_BODY_MAX_CHARACTERS)

    class Meta:
        model = Message
        fields = ["message_id", "conversation", "sender", "message_body", "sent_at"]
        read_only_fields = ["message_id", "conversation", "sent_at"]

    def to_representation(self, message):
        return message_json(message)

    def validate_message_body(self, message_body):
        if not message_body.strip():
            raise serializers.ValidationError("This field may not be only white space.", "blank")
        return message_body


class ConversationListSerializer(serializers.ModelSerializer):
    participants = PublicProfileSerializer(many=True)
    last_message = MessageSerializer(allow_null=True)

    class Meta:
        model = Conversation
        fields = [
            "conversation_id",
            "participants",
            "last_message",
            "created_at",
            "updated_at",
        ]

    def to_representation(self, conversation):
        return conversation_json(conversation)


class ConversationSerializer(ConversationListSerializer):
    """With the first page of the message list."""

    messages = MessageSerializer(many=True, source="newest_messages")

    class Meta(ConversationListSerializer.Meta):
        fields = [*ConversationListSerializer.Meta.fields, "messages"]

    def to_representation(self, conversation):
        messages = [message_json(message) for message in conversation.newest_messages]
        return {**super().to_representation(conversation), "messages": messages}


class NewConversationSerializer(serializers.Serializer):
    participants = UserIdListField()

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
            raise serializers.ValidationError(
                [*errors, *unknown_users(User.objects.unknown(user_ids))]
            )
        if not user_ids:
            raise serializers.ValidationError("Name at least one person other than yourself.")
        return user_ids

    def start(self, creator, key):
        """The conversation and whether it is new."""
        try:
            return Conversation.objects.start(creator, self.validated_data["participants"], key)
        except UnknownUsers as error:
            raise serializers.ValidationError(
                {"participants": unknown_users(error.user_ids)}
            ) from error


class NewParticipantSerializer(serializers.Serializer):
    user_id = UserIdField()

    def add_to(self, conversation, by):
        try:
            conversation.add_participant(self.validated_data["user_id"], by)
        except UnknownUsers as error:
            raise serializers.ValidationError({"user_id": unknown_users(error.user_ids)}) from error
        except ConversationFull as error:
            raise serializers.ValidationError(
                {"user_id": [f"The conversation has {MAX_PARTICIPANTS} participants; it is full."]}
            ) from error


def check_strength(field, password, user):
    """Raises ValidationError on `field`; a password must not resemble what else is known of
    the person."""
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from error


def unknown_users(user_ids):
    return [f"“{user_id}” is not the user_id of an active user." for user_id in sorted(user_ids)]
