from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import models
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from chats import fields
from chats.accounts.links import find_user, read_change_token, verification_tokens
from chats.models import EMAIL_TAKEN, User
from chats.rest.field_hints import (
    NEW_EMAIL_FIELDS,
    NEW_PASSWORD_FIELDS,
    PROFILE_FIELDS,
    REGISTRATION_FIELDS,
)
from chats.rest.fields import (
    EmailField,
    LineField,
    PasswordField,
    PhoneNumberField,
    StringField,
)
from chats.rest.hints import by_name
from chats.rest.serializers import HintsSerializer
from chats.serializers import ANN

NOT_CURRENT = "This is not your current password."
NOT_NEW = "This is your current e-mail address."
DEAD_LINK = "The link was used or has expired: ask for a new one."
STRENGTH = (
    "At least 8 characters, not only digits, not a common password, and not similar to the "
    "user's name or e-mail address."
)

# Why `PATCH /api/users/me/` refuses each of these fields.
NOT_CHANGEABLE = {
    "This cannot be changed.": "created_at user_id",
    "This cannot be changed here. Use POST /api/users/set_email/.": "email",
    "This cannot be changed here. Staff set it in the admin.": "role",
    "This cannot be changed here. Use POST /api/users/set_password/.": "password",
}

EXAMPLE_PASSWORD = "tide over the moor"  # noqa: S105
EXAMPLE_NEW_PASSWORD = "moor under the tide"  # noqa: S105
EXAMPLE_LINK = {
    "uid": "ZDY5OGJlMDItOTllYi00Yjk0LTgyNGEtNjA0YWFjMzA1NDNh",
    "token": "d1x4k2-5f0c5b8ad9f2c1b3e4a6978877665544",
}
EXAMPLE_CHANGE_TOKEN = "WyJaRFk1T0dKbE1ESSJd:1vN0Zq:p6Qn2dV0bXk3c1RrYmQ4eW9wM2Zk"  # noqa: S105


@extend_schema_serializer(
    examples=[
        OpenApiExample("Update", {"first_name": "Ann"}, request_only=True),
        OpenApiExample(
            "Profile",
            {
                **ANN,
                "email": "ann@example.com",
                "phone_number": "+442079460123",
                "created_at": "2026-11-22T10:33:34.315411Z",
            },
            response_only=True,
        ),
    ]
)
class ProfileSerializer(HintsSerializer, serializers.ModelSerializer):
    field_hints = by_name(NOT_CHANGEABLE) | PROFILE_FIELDS
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: StringField,
        fields.EmailField: EmailField,
        fields.LineField: LineField,
        fields.PhoneNumberField: PhoneNumberField,
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


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Registration",
            {
                "email": "Ann@example.com",
                "password": EXAMPLE_PASSWORD,
                "first_name": "Ann",
                "last_name": "Adams",
                "phone_number": "+442079460123",
            },
        )
    ]
)
class RegistrationSerializer(ProfileSerializer):
    field_hints = REGISTRATION_FIELDS
    email = EmailField(validators=[UniqueValidator(User.objects.all(), message=EMAIL_TAKEN)])
    password = PasswordField(help_text=STRENGTH)

    class Meta(ProfileSerializer.Meta):
        fields = [*ProfileSerializer.Meta.fields, "password"]
        read_only_fields = ["user_id", "role", "created_at"]

    def validate(self, attrs):
        person = {name: value for name, value in attrs.items() if name != "password"}
        check_strength("password", attrs["password"], User(**person))
        return attrs


@extend_schema_serializer(
    examples=[OpenApiExample("Password", {"current_password": EXAMPLE_PASSWORD})]
)
class CurrentPasswordSerializer(serializers.Serializer):
    current_password = PasswordField()

    def validate_current_password(self, current_password):
        if not self.context["request"].user.check_password(current_password):
            raise serializers.ValidationError(NOT_CURRENT)
        return current_password


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Passwords",
            {"current_password": EXAMPLE_PASSWORD, "new_password": EXAMPLE_NEW_PASSWORD},
        )
    ]
)
class SetPasswordSerializer(HintsSerializer, CurrentPasswordSerializer):
    field_hints = NEW_PASSWORD_FIELDS
    new_password = PasswordField(help_text=STRENGTH)

    def validate(self, attrs):
        check_strength("new_password", attrs["new_password"], self.context["request"].user)
        return attrs


@extend_schema_serializer(examples=[OpenApiExample("Address", {"email": "ann@example.com"})])
class AddressSerializer(serializers.Serializer):
    email = EmailField()


@extend_schema_serializer(examples=[OpenApiExample("Link", EXAMPLE_LINK)])
class VerifyEmailSerializer(serializers.Serializer):
    tokens = verification_tokens
    uid = StringField()
    token = StringField()

    def validate(self, attrs):
        """Adds the `user` whom the link is for."""
        user = find_user(attrs["uid"])
        if not self.tokens.check_token(user, attrs["token"]):
            raise serializers.ValidationError({"token": [DEAD_LINK]})
        return attrs | {"user": user}


@extend_schema_serializer(
    examples=[OpenApiExample("Link", EXAMPLE_LINK | {"new_password": EXAMPLE_NEW_PASSWORD})]
)
class PasswordResetConfirmSerializer(HintsSerializer, VerifyEmailSerializer):
    field_hints = NEW_PASSWORD_FIELDS
    tokens = default_token_generator
    new_password = PasswordField(help_text=STRENGTH)

    def validate(self, attrs):
        attrs = super().validate(attrs)
        check_strength("new_password", attrs["new_password"], attrs["user"])
        return attrs


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "New address",
            {"current_password": EXAMPLE_PASSWORD, "new_email": "ann@example.org"},
        )
    ]
)
class SetEmailSerializer(HintsSerializer, CurrentPasswordSerializer):
    field_hints = NEW_EMAIL_FIELDS
    # Not compared with others' addresses: the response must not tell who has an account.
    new_email = EmailField()

    def validate_new_email(self, new_email):
        if new_email == self.context["request"].user.email:
            raise serializers.ValidationError(NOT_NEW)
        return new_email


@extend_schema_serializer(examples=[OpenApiExample("Link", {"token": EXAMPLE_CHANGE_TOKEN})])
class SetEmailConfirmSerializer(serializers.Serializer):
    token = StringField()

    def validate(self, attrs):
        """Adds the `change`."""
        if (change := read_change_token(attrs["token"])) is None:
            raise serializers.ValidationError({"token": [DEAD_LINK]})
        return attrs | {"change": change}


def check_strength(field, password, user):
    """Raises ValidationError on `field`. The password is also compared with the user's name and
    e-mail address."""
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from error
