from datetime import UTC

from django import forms
from django.core.exceptions import ValidationError as FormValidationError
from django.db.models import CharField, Exists, OuterRef, Q, Value
from django.db.models.functions import Concat
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError

from chats.fields import EmailFormField
from chats.models import Conversation, Message, Participation, User
from chats.rest import hints
from chats.rest.search import SEARCH_MAX_CHARACTERS
from chats.safety.models import Block
from chats.validators import remove_direction_marks

FULL_NAME = Concat("first_name", Value(" "), "last_name", output_field=CharField())
ORDERINGS = [("sent_at", "oldest first"), ("-sent_at", "newest first")]
# SQLite joins 64 tables at most.
MAX_PARTICIPANTS_VALUES = 16
NOT_A_USER_ID = f"Enter a user_id: {hints.FIND_USER}."
NOT_USER_IDS = f"Enter a user_id, and repeat the parameter for others: {hints.FIND_USER}."
NOT_AN_ADDRESS = "Enter an e-mail address. “search” finds users by name."
NOT_A_CONVERSATION_ID = f"Enter a conversation_id: {hints.FIND_CONVERSATION}."


class UTCDateTimeField(forms.DateTimeField):
    """A date and time in UTC. A value without an offset is in UTC."""

    default_error_messages = {
        "invalid": "Enter an ISO 8601 date and time, such as 2026-01-31T12:00:00Z "
        "(in a URL, percent-encode a plus sign).",
        "overflow": "In UTC this is outside the years 1 to 9999.",
    }

    # ISO 8601 only, which needs no format.
    input_formats = []

    def to_python(self, value):
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError as error:
            raise FormValidationError(self.error_messages["overflow"], "overflow") from error


def read_date_time(request, name):
    """The query parameter, or None. Raises ValidationError."""
    if (value := request.query_params.get(name)) is None:
        return None
    try:
        return UTCDateTimeField().clean(value)
    except FormValidationError as error:
        raise ValidationError({name: error.messages}) from error


class DateTimeFilter(filters.Filter):
    field_class = UTCDateTimeField


class UUIDListField(forms.Field):
    widget = forms.MultipleHiddenInput

    def to_python(self, values):
        field = forms.UUIDField(error_messages={"invalid": NOT_USER_IDS})
        return {field.clean(value) for value in values}


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": MAX_PARTICIPANTS_VALUES,
        "description": "The `user_id` of a participant. Repeat the parameter to list the "
        "conversations in which all of these users take part. "
        "For example `bc71790b-222e-4804-ba48-70e160f0f5d3`.",
        "examples": [["bc71790b-222e-4804-ba48-70e160f0f5d3"]],
    }
)
class ParticipantsFilter(filters.Filter):
    """Conversations in which all of these users take part."""

    field_class = UUIDListField
    max_values = MAX_PARTICIPANTS_VALUES

    def filter(self, queryset, user_ids):
        for user_id in user_ids:
            queryset = queryset.filter(participants=user_id)
        return queryset


class SearchFilter(filters.CharFilter):
    """One literal text, white space included."""

    def __init__(self, *, help_text, **kwargs):
        super().__init__(
            lookup_expr="icontains",
            strip=False,
            max_length=SEARCH_MAX_CHARACTERS,
            **kwargs,
        )
        length = {"minLength": 1, "maxLength": SEARCH_MAX_CHARACTERS}
        extend_schema_field({"type": "string", "description": help_text, **length})(self)


class LineSearchField(forms.CharField):
    """Names and titles are stored without direction marks."""

    def to_python(self, value):
        text = remove_direction_marks(super().to_python(value) or "")
        if value and not text:
            raise FormValidationError("Give it a value, or leave it out.")
        return text


class LineSearchFilter(SearchFilter):
    field_class = LineSearchField


class OrderingFilter(filters.ChoiceFilter):
    """The labels of the choices name the enum's members in generated clients."""

    def __init__(self, *, choices, help_text, invalid_choice):
        errors = {"invalid_choice": invalid_choice}
        # In the order in which drf-spectacular describes them.
        choices = sorted(choices)
        super().__init__(choices=choices, method="order", error_messages=errors)
        enum = {
            "enum": [value for value, _ in choices],
            "x-enum-varnames": [label.upper().replace(" ", "_") for _, label in choices],
        }
        extend_schema_field({"type": "string", "description": help_text, **enum})(self)


class EmailFilter(filters.Filter):
    field_class = EmailFormField


class ConversationFilter(filters.FilterSet):
    parameter_hints = hints.CONVERSATIONS

    participants = ParticipantsFilter()
    created_at_after = DateTimeFilter(
        field_name="created_at",
        lookup_expr="gt",
        help_text="Only conversations created after this ISO 8601 date and time. "
        "For example `2026-01-31T12:00:00Z`.",
    )
    created_at_before = DateTimeFilter(
        field_name="created_at",
        lookup_expr="lt",
        help_text="Only conversations created before this ISO 8601 date and time. "
        "For example `2026-12-31T12:00:00Z`.",
    )

    search = LineSearchFilter(
        method="search_title_and_names",
        help_text="Only conversations with this literal text in their title, or in the name of "
        "another participant. ASCII letters match in either case. For example `holiday`.",
    )

    class Meta:
        model = Conversation
        fields = []

    def search_title_and_names(self, queryset, name, text):
        others = User.objects.exclude(pk=self.request.user.pk).alias(name=FULL_NAME)
        named = Participation.objects.filter(
            conversation=OuterRef("pk"), user__in=others.filter(name__icontains=text)
        )
        return queryset.filter(Q(title__icontains=text) | Exists(named))


class MessageFilter(filters.FilterSet):
    parameter_hints = hints.MESSAGES

    conversation = filters.UUIDFilter(
        error_messages={"invalid": NOT_A_CONVERSATION_ID},
        help_text="Only messages of the conversation with this `conversation_id`. "
        "For example `a5044f5c-44f0-4974-b3b4-62705898dd36`.",
    )
    sender = filters.UUIDFilter(
        error_messages={"invalid": NOT_A_USER_ID},
        help_text="Only messages from the user with this `user_id`. "
        "For example `d698be02-99eb-4b94-824a-604aac30543a`.",
    )
    sent_at_after = DateTimeFilter(
        field_name="sent_at",
        lookup_expr="gt",
        help_text="Only messages sent after this ISO 8601 date and time. "
        "For example `2026-11-22T10:33:35.109943Z`.",
    )
    sent_at_before = DateTimeFilter(
        field_name="sent_at",
        lookup_expr="lt",
        help_text="Only messages sent before this ISO 8601 date and time. "
        "For example `2026-11-22T10:33:35.109943Z`.",
    )
    search = SearchFilter(
        field_name="message_body",
        help_text="Only messages that contain this literal text. ASCII letters match in "
        "either case. For example `hello`.",
    )
    ordering = OrderingFilter(
        choices=ORDERINGS,
        invalid_choice="Use sent_at or -sent_at; updated_at is for the list of one conversation.",
        help_text="`-sent_at`, the default, is newest first; `sent_at` is oldest first. "
        "For example `sent_at`.",
    )

    class Meta:
        model = Message
        fields = []

    def order(self, queryset, name, value):
        return queryset.oldest_first() if value == "sent_at" else queryset.newest_first()


class ConversationMessageFilter(MessageFilter):
    parameter_hints = hints.CONVERSATION_MESSAGES

    updated_at_after = DateTimeFilter(
        field_name="updated_at",
        lookup_expr="gt",
        help_text="Only messages sent, edited or deleted after this ISO 8601 date and time. "
        "Requires `ordering=updated_at`. For example `2026-11-22T10:33:35.109943Z`.",
    )
    ordering = OrderingFilter(
        choices=[*ORDERINGS, ("updated_at", "last changed last")],
        invalid_choice="Use sent_at, -sent_at or updated_at.",
        help_text="`-sent_at`, the default, is newest first; `sent_at` is oldest first. "
        "`updated_at`, the order of changes, requires `updated_at_after`. For example `sent_at`.",
    )

    def order(self, queryset, name, value):
        if value != "updated_at":
            return super().order(queryset, name, value)
        return queryset.last_changed_last()

    def filter_queryset(self, queryset):
        follows = self.form.cleaned_data.get("ordering") == "updated_at"
        is_bounded = self.form.cleaned_data.get("updated_at_after") is not None
        if follows and not is_bounded:
            raise ValidationError({"ordering": ["updated_at requires updated_at_after."]})
        if is_bounded and not follows:
            message = "updated_at_after requires ordering=updated_at."
            raise ValidationError({"updated_at_after": [message]})
        return super().filter_queryset(queryset)


class BlockedUserFilter(filters.FilterSet):
    parameter_hints = hints.BLOCKED_USERS

    class Meta:
        model = Block
        fields = []


class UserFilter(filters.FilterSet):
    parameter_hints = hints.USERS

    email = EmailFilter(
        error_messages={"invalid": NOT_AN_ADDRESS},
        help_text="A complete e-mail address, in upper or lower case. For example "
        "`ben@example.com`.",
    )
    search = LineSearchFilter(
        field_name="name",
        help_text="Only users whose name contains this literal text. ASCII letters match in "
        "either case. For example `hello`.",
    )

    class Meta:
        model = User
        fields = []

    def filter_queryset(self, queryset):
        return super().filter_queryset(queryset.alias(name=FULL_NAME))
