import difflib
from datetime import UTC

from django import forms
from django.core.exceptions import ValidationError as FormValidationError
from django.db.models import Value
from django.db.models.functions import Concat
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError

from chats.models import Conversation, Message, User

# SQLite joins 64 tables at most.
MAX_PARTICIPANTS_VALUES = 16
# As long as a message body; SQLite refuses a LIKE pattern of 50,000 bytes.
SEARCH_MAX_CHARACTERS = 10_000


class QueryParameterBackend(filters.DjangoFilterBackend):
    """Also refuses what django-filter passes over: a parameter that the list does not know, an
    empty value, and more values than the parameter takes. One object is looked up as it is."""

    def filter_queryset(self, request, queryset, view):
        if view.action != "list" or not request.query_params:
            return queryset
        return super().filter_queryset(request, queryset, view)

    def get_filterset(self, request, queryset, view):
        filterset = super().get_filterset(request, queryset, view)
        known = [*filterset.filters, *view.paginator.query_parameters]
        errors = {}
        for name, values in request.query_params.lists():
            declared = filterset.filters.get(name)
            max_values = getattr(declared, "max_values", 1)
            if name not in known:
                [nearest] = difflib.get_close_matches(name, known, n=1, cutoff=0)
                errors[name] = [f"There is no such parameter here; the nearest is “{nearest}”."]
            elif len(values) > max_values:
                errors[name] = [f"Give at most {max_values}, not {len(values)}."]
            elif not isinstance(declared, SearchFilter) and not all(map(str.strip, values)):
                errors[name] = ["Give it a value, or leave it out."]
        if errors:
            raise ValidationError(errors)
        # Its form copies the field of every filter, also of those that have nothing to do.
        for name in filterset.filters.keys() - request.query_params.keys():
            del filterset.filters[name]
        return filterset if filterset.filters else None


class DateTimeField(forms.DateTimeField):
    """A moment in UTC; without an offset it is taken for UTC."""

    default_error_messages = {
        "invalid": "Enter an ISO 8601 date and time, such as 2026-01-31T12:00:00Z "
        "(a plus sign in a URL has to be escaped).",
        "overflow": "In UTC this is outside the years 1 to 9999.",
    }

    # None but ISO 8601, which needs no format.
    input_formats = []

    def to_python(self, value):
        moment = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except OverflowError as error:
            raise FormValidationError(self.error_messages["overflow"], "overflow") from error


class DateTimeFilter(filters.Filter):
    field_class = DateTimeField


class UUIDListField(forms.Field):
    widget = forms.MultipleHiddenInput

    def to_python(self, values):
        return {forms.UUIDField().clean(value) for value in values}


@extend_schema_field(
    {"type": "array", "items": {"type": "string"}, "maxItems": MAX_PARTICIPANTS_VALUES}
)
class ParticipantsFilter(filters.Filter):
    """The conversations in which all of these take part."""

    field_class = UUIDListField
    max_values = MAX_PARTICIPANTS_VALUES

    def filter(self, queryset, user_ids):
        for user_id in user_ids:
            queryset = queryset.filter(participants=user_id)
        return queryset


@extend_schema_field({"type": "string", "maxLength": SEARCH_MAX_CHARACTERS})
class SearchFilter(filters.CharFilter):
    """One literal text, white space included."""

    def __init__(self, **kwargs):
        super().__init__(
            lookup_expr="icontains",
            strip=False,
            max_length=SEARCH_MAX_CHARACTERS,
            **kwargs,
        )


class EmailFilter(filters.Filter):
    field_class = forms.EmailField

    def filter(self, queryset, email):
        return queryset.filter(email=email.lower()) if email else queryset


class ConversationFilter(filters.FilterSet):
    participants = ParticipantsFilter()
    created_at_after = DateTimeFilter(field_name="created_at", lookup_expr="gt")
    created_at_before = DateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Conversation
        fields = []


class MessageFilter(filters.FilterSet):
    conversation = filters.UUIDFilter()
    sender = filters.UUIDFilter()
    sent_at_after = DateTimeFilter(field_name="sent_at", lookup_expr="gt")
    sent_at_before = DateTimeFilter(field_name="sent_at", lookup_expr="lt")
    search = SearchFilter(field_name="message_body")
    ordering = filters.ChoiceFilter(
        choices=[("sent_at", "oldest first"), ("-sent_at", "newest first")],
        method="order",
        error_messages={"invalid_choice": "Give sent_at or -sent_at."},
    )

    class Meta:
        model = Message
        fields = []

    def order(self, queryset, name, value):
        return queryset.oldest_first() if value == "sent_at" else queryset.newest_first()


class UserFilter(filters.FilterSet):
    email = EmailFilter()
    search = SearchFilter(field_name="name")

    class Meta:
        model = User
        fields = []

    def filter_queryset(self, queryset):
        name = Concat("first_name", Value(" "), "last_name")
        return super().filter_queryset(queryset.alias(name=name))
