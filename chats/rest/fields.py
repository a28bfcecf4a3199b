"""Serializer fields that accept only the right JSON type."""

from itertools import islice

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from chats.models import TITLE_MAX_CHARACTERS
from chats.rest.hints import FIND_CONVERSATION, FIND_USER
from chats.validators import (
    EMAIL_MAX_CHARACTERS,
    clean_line,
    clean_phone_number,
    normalize_email,
    validate_one_line,
    validate_plain_address,
)

# So that the error stays short, whatever was sent.
UNKNOWN_FIELDS_MAX = 3
VALUE_MAX_CHARACTERS = 100
UNKNOWN_FIELD_MAX_CHARACTERS = 50


class UnknownFieldsMixin:
    """If the field is missing, its error names up to three unknown fields of the body, in case one
    of them was meant. Fields of the serializer's `response_fields` do not count as unknown: a
    client may send back a response."""

    def fail(self, key, **kwargs):
        if key == "required" and (names := self.get_unknown_names()):
            required = self.error_messages["required"].removesuffix(".")
            message = f"{required}; {describe_unknown(names)} here."
            raise serializers.ValidationError(message, code=key)
        super().fail(key, **kwargs)

    def get_unknown_names(self):
        serializer = self.parent
        known = {*serializer.fields, *getattr(serializer, "response_fields", ())}
        unknown = (name for name in serializer.initial_data if name not in known)
        return list(islice(unknown, UNKNOWN_FIELDS_MAX))


class StringField(UnknownFieldsMixin, serializers.CharField):
    """A JSON string. DRF's field accepts numbers too."""

    def run_validation(self, data=empty):
        if data is not empty and data is not None and not isinstance(data, str):
            self.fail("invalid")
        return super().run_validation(data)


# Not “email”, which is for ASCII.
@extend_schema_field(
    {"type": "string", "format": "idn-email", "maxLength": EMAIL_MAX_CHARACTERS},
)
class EmailField(StringField, serializers.EmailField):
    """An e-mail address, in one spelling."""

    def __init__(self, **kwargs):
        # Without DRF's validator, which refuses domains in some scripts.
        serializers.CharField.__init__(self, max_length=EMAIL_MAX_CHARACTERS, **kwargs)
        self.validators.append(validate_plain_address)

    def to_internal_value(self, data):
        return normalize_email(super().to_internal_value(data))


class LineField(StringField):
    """One line of text."""

    def to_internal_value(self, data):
        return clean_line(super().to_internal_value(data))


class PhoneNumberField(StringField):
    def to_internal_value(self, data):
        return clean_phone_number(super().to_internal_value(data))


class PasswordField(StringField):
    def __init__(self, **kwargs):
        super().__init__(trim_whitespace=False, write_only=True, **kwargs)


class IdField(UnknownFieldsMixin, serializers.UUIDField):
    """A UUID as a JSON string. DRF's field accepts integers too."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("not_a_string")
        if len(data) > VALUE_MAX_CHARACTERS:
            self.fail("invalid", value=f"{data[:VALUE_MAX_CHARACTERS]}…")
        return super().to_internal_value(data)


class UserIdField(IdField):
    default_error_messages = {
        "required": f"This field is required: {FIND_USER}.",
        "invalid": f"“{{value}}” is not a user_id: {FIND_USER}.",
        "not_a_string": "A user_id is a UUID as a string.",
    }


class ConversationIdField(IdField):
    default_error_messages = {
        "invalid": f"“{{value}}” is not a conversation_id: {FIND_CONVERSATION}.",
        "not_a_string": "A conversation_id is a UUID as a string.",
    }


@extend_schema_field(serializers.ListField(child=UserIdField()))
class UserIdListField(UnknownFieldsMixin, serializers.ListField):
    """Accepts items of any type. The serializer checks them, so that it can name all bad ones."""

    default_error_messages = {"not_a_list": "Send a list of user_ids."}


class TitleField(LineField):
    """One line of text, or an empty string."""

    def __init__(self, **kwargs):
        super().__init__(allow_blank=True, max_length=TITLE_MAX_CHARACTERS, **kwargs)

    def to_internal_value(self, data):
        title = super().to_internal_value(data)
        if title:
            validate_one_line(title)
        return title


class BooleanField(serializers.BooleanField):
    """A JSON boolean. DRF's field accepts numbers and strings too."""

    def to_internal_value(self, data):
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class ReadAtField(UnknownFieldsMixin, serializers.DateTimeField):
    default_error_messages = {
        "required": "This field is required: the `sent_at` of the last message seen.",
        "invalid": "Send the `sent_at` of the last message seen.",
    }


def describe_unknown(names):
    *others, last = [f"“{name[:UNKNOWN_FIELD_MAX_CHARACTERS]}”" for name in names]
    if others:
        return f"{', '.join(others)} and {last} are not fields"
    return f"{last} is not a field"
