"""The lines of a history, and their checks."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.utils import timezone
from django.utils.timezone import is_naive
from rest_framework import serializers

from chats.accounts.serializers import ProfileSerializer
from chats.models import MAX_PARTICIPANTS
from chats.rest.exceptions import flatten
from chats.rest.fields import BooleanField, EmailField, StringField, TitleField
from chats.serializers import MessageBodySerializer


class SourceIdField(StringField):
    def __init__(self, **kwargs):
        super().__init__(max_length=255, trim_whitespace=False, **kwargs)


class TimeField(serializers.DateTimeField):
    default_error_messages = {
        "no_offset": "Write the offset from UTC, as in 2019-05-01T09:30:00+02:00.",
        "future": "This is in the future.",
    }

    def enforce_timezone(self, value):
        if is_naive(value):
            self.fail("no_offset")
        value = super().enforce_timezone(value)
        if value > timezone.now():
            self.fail("future")
        return value


class UserLineSerializer(ProfileSerializer):
    id = SourceIdField()
    email = EmailField()
    is_active = BooleanField(default=True)
    created_at = TimeField(required=False)

    class Meta(ProfileSerializer.Meta):
        names = ["first_name", "last_name", "phone_number"]
        fields = ["id", "email", *names, "is_active", "created_at"]
        read_only_fields: list = []


class ConversationLineSerializer(serializers.Serializer):
    id = SourceIdField()
    title = TitleField(default="")
    created_at = TimeField()
    participants = serializers.ListField(
        child=SourceIdField(), min_length=1, max_length=MAX_PARTICIPANTS
    )


class MessageLineSerializer(MessageBodySerializer):
    id = SourceIdField()
    conversation = SourceIdField()
    sender = SourceIdField()
    sent_at = TimeField()


class EditLineSerializer(MessageBodySerializer):
    """The last change of a message. A deleted message has `null` instead of a text."""

    id = SourceIdField()
    conversation = SourceIdField()
    updated_at = TimeField()

    def get_fields(self):
        fields = super().get_fields()
        fields["message_body"].allow_null = True
        return fields

    def validate_message_body(self, message_body):
        return message_body and super().validate_message_body(message_body)


class Line(NamedTuple):
    number: int
    type: str
    data: dict

    @property
    def moment(self) -> datetime:
        """The time of a message or edit."""
        return self.data["sent_at" if self.type == "message" else "updated_at"]


class LineError(Exception):
    """A line that cannot be imported, and why."""


class LineReader:
    """Reads the lines of a file. Its memory grows with all lines that are not messages."""

    def __init__(self) -> None:
        self.serializers: dict[str, Any] = {
            "user": UserLineSerializer(),
            "conversation": ConversationLineSerializer(),
            "message": MessageLineSerializer(),
            "edit": EditLineSerializer(),
        }
        self.user_ids: set[str] = set()
        # The time of the last line of each conversation.
        self.times: dict[str, datetime] = {}
        # The number of the line of each edit, by the ids of the conversation and the message.
        self.edits: dict[tuple[str, str], int] = {}

    def read(self, number: int, content: bytes) -> Line:
        """Raises LineError."""
        try:
            values = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise LineError(f"This is not JSON: {error}.") from error
        kind = values.pop("type", None) if isinstance(values, dict) else None
        if not isinstance(kind, str) or kind not in self.serializers:
            raise LineError(f"“type” must be one of: {', '.join(self.serializers)}.")
        serializer = self.serializers[kind]
        if unknown := values.keys() - serializer.fields.keys():
            raise LineError(f"There is no such field here: {', '.join(sorted(unknown))}.")
        serializer.initial_data = values
        try:
            line = Line(number, kind, serializer.run_validation(values))
        except serializers.ValidationError as error:
            detail: Any = error.detail
            errors = [f"{name}: {text}" for name in detail for text in flatten(detail[name])]
            raise LineError(" ".join(errors)) from error
        self.check_order(line)
        return line

    def check_order(self, line: Line) -> None:
        """What a line refers to comes before it, and so does what happened before it."""
        data = line.data
        if line.type == "user":
            if data["id"] in self.user_ids:
                raise LineError("A line before this one has the same user.")
            self.user_ids.add(data["id"])
        elif line.type == "conversation":
            self.check_users(data["participants"])
            if data["id"] in self.times:
                raise LineError("A line before this one has the same conversation.")
            self.times[data["id"]] = data["created_at"]
        elif (conversation := data["conversation"]) not in self.times:
            raise LineError(f"No line before this one has the conversation “{conversation}”.")
        elif line.moment < self.times[conversation]:
            raise LineError("A line before this one has a later time in this conversation.")
        else:
            if line.type == "message":
                self.check_users([data["sender"]])
            elif (edit := (conversation, data["id"])) in self.edits:
                raise LineError("The message has an edit already: only its last one is imported.")
            else:
                self.edits[edit] = line.number
            self.times[conversation] = line.moment

    def check_users(self, user_ids: Iterable[str]) -> None:
        for user_id in user_ids:
            if user_id not in self.user_ids:
                raise LineError(f"No line before this one has the user “{user_id}”.")

    def find_unknown_messages(
        self, lines: Iterable[tuple[int, bytes]]
    ) -> Iterator[tuple[int, LineError]]:
        """The edits that have no message before them.

        Reads the lines again, all of which are right: the ids of all messages would not fit into
        memory.
        """
        edits = dict(self.edits)
        for number, content in lines:
            values = orjson.loads(content)
            if values["type"] == "message":
                message = values["conversation"], values["id"]
                if number < edits.get(message, 0):
                    del edits[message]
        for number in edits.values():
            yield number, LineError("No line before this one has this message.")
