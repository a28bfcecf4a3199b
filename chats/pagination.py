import re
from itertools import accumulate

import orjson
from django.core.signing import BadSignature, Signer
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.expressions import OrderBy
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from chats.models import Conversation
from chats.statements import build_inbox

# A page ends after the row that exceeds one of these.
PAGE_MAX_BYTES = 512 * 1024
PAGE_MAX_PARTICIPANTS = 2_000
EXAMPLE_CURSOR = "WzAsIjIwMjYtMTEtMjJUMTA6MzM6MzUuMTA5OTQzWiJd:mR3nT8xY0cVb"


class KeysetPagination(BasePagination):
    """Pages of an ordered queryset, in the manner of DRF's CursorPagination.

    The queryset must be ordered, by fields without nulls, all ascending or all descending, the
    last of them unique. A cursor says which way to go and from which row, by the values of
    these fields; it is signed, so that only cursors made here are read.

    A page has at most PAGE_MAX_BYTES and one row, so it may have a `next` and fewer rows than asked
    for.
    """

    page_size = 20
    max_page_size = 100
    query_parameters = ["cursor", "page_size"]

    def paginate_queryset(self, queryset, request, view=None):
        self.url = request.build_absolute_uri()
        self.fields = [
            queryset.model._meta.get_field(name.lstrip("-")) for name in queryset.query.order_by
        ]
        self.signer = Signer(salt=" ".join(map(str, self.fields)))
        page_size = self.get_page_size(request)
        self.backwards, self.position = self.get_cursor(request)
        if self.backwards:
            queryset = in_opposite_order(queryset)
        if self.position:
            queryset = queryset.filter(self.beyond(queryset, self.position))
        self.rows = self.get_rows(queryset, page_size + 1, view)
        self.page = self.shorten(self.rows[:page_size])
        return self.page

    def get_rows(self, queryset, count, view):
        return list(queryset[:count])

    def shorten(self, page):
        """Leaves out rows that would cost too much to load. Returns at least one."""
        return page

    def get_page_size(self, request):
        if (value := request.query_params.get("page_size")) is None:
            return self.page_size
        digits = value.lstrip("0")
        if not re.fullmatch("[0-9]+", digits):
            raise ValidationError({"page_size": ["Enter a whole number, 1 or more."]})
        # int() refuses a number of thousands of digits.
        return min(int(digits[:4]), self.max_page_size)

    def get_cursor(self, request):
        """Returns `(backwards, values)`: the direction, and the values of the row to continue
        after. On the first page there are none."""
        if (value := request.query_params.get("cursor")) is None:
            return False, []
        try:
            backwards, *position = self.signer.unsign_object(value)
        except BadSignature as error:
            message = "Not a cursor of this list: follow its “next” and “previous” links."
            raise ValidationError({"cursor": [message]}) from error
        return backwards, position

    def get_link(self, edge, *, backwards):
        """The URL of the page beyond the row in `edge`. Without a row, that of the first page, or
        of the last one."""
        if not edge and not backwards:
            return remove_query_param(self.url, "cursor")
        position = [field.value_to_string(row) for row in edge for field in self.fields]
        cursor = self.signer.sign_object([backwards, *position])
        return replace_query_param(self.url, "cursor", cursor)

    def beyond(self, queryset, position):
        """For fields a and b: a >= x and (a > x or a = x and b > y). The first condition is
        redundant, and lets the database use the index."""
        descending = queryset.query.order_by[0].startswith("-")
        compare = "lt" if descending else "gt"
        *fields, last = zip(self.fields, position, strict=True)
        condition = Q((f"{last[0].name}__{compare}", last[1]))
        for field, value in reversed(fields):
            condition = Q((f"{field.name}__{compare}", value)) | (
                Q((field.name, value)) & condition
            )
        return Q((f"{self.fields[0].name}__{compare}e", position[0])) & condition

    def get_paginated_response(self, data):
        results = render_page(data)
        page = self.page[: len(results)]
        back = onward = None
        if self.position:
            back = self.get_link(page[:1], backwards=not self.backwards)
        if len(page) < len(self.rows):
            onward = self.get_link(page[-1:], backwards=self.backwards)
        if self.backwards:
            return Response({"next": back, "previous": onward, "results": results[::-1]})
        return Response({"next": onward, "previous": back, "results": results})

    def get_paginated_response_schema(self, schema):
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "properties": properties}

    def get_example(self, model, row):
        """The page in the API's description."""
        url = f"http://127.0.0.1:8000/api/{model._meta.verbose_name_plural}/"
        return {"next": f"{url}?cursor={EXAMPLE_CURSOR}", "previous": None, "results": [row]}

    def get_schema_operation_parameters(self, view):
        return [
            {
                "name": "cursor",
                "in": "query",
                "description": "The position of the page. Use the links in `next` and "
                f"`previous`, which contain it. For example `{EXAMPLE_CURSOR}`.",
                "schema": {"type": "string"},
            },
            {
                "name": "page_size",
                "in": "query",
                "description": "The number of results on a page. A number above "
                f"{self.max_page_size} means {self.max_page_size}. For example `50`.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "default": self.page_size,
                    "examples": [50],
                },
            },
        ]


class ConversationPagination(KeysetPagination):
    def get_rows(self, queryset, count, view):
        if view.first_rows is None:
            return super().get_rows(queryset.with_participant_count(), count, view)
        return build_inbox(view.first_rows)

    def shorten(self, page):
        totals = accumulate([row.participant_count for row in page[:-1]], initial=0)
        return page[: sum(total < PAGE_MAX_PARTICIPANTS for total in totals)]


class MessagePagination(KeysetPagination):
    pass


class InboxMessagePagination(MessagePagination):
    """For the messages of all the caller's conversations."""

    def get_rows(self, queryset, count, view):
        if "conversation" in view.request.query_params:
            return super().get_rows(queryset, count, view)
        return get_first_rows(view.request.user, queryset, count)


def render_page(rows):
    """The rows as JSON, up to the one that exceeds PAGE_MAX_BYTES."""
    rendered, size = [], 0
    for row in rows:
        json = orjson.dumps(row)
        rendered.append(orjson.Fragment(json))
        size += len(json)
        if size > PAGE_MAX_BYTES:
            break
    return rendered


def in_opposite_order(queryset):
    """Like `reverse()`, but changes `query.order_by`, from which the paginator reads the order."""
    names = queryset.query.order_by
    return queryset.order_by(*(name[1:] if name[0] == "-" else f"-{name}" for name in names))


def get_first_rows(user, messages, count):
    """A list of the first `count` of the user's messages, in the order of the queryset.

    The database would read and sort all messages of the user to find them. But they come from at
    most `count` conversations: those whose first messages come first. If one of these has `count`
    messages itself, nothing after the last of these can be among them. The first query finds both
    bounds, and the second reads between them. Both read a few index entries in each of the user's
    conversations.
    """
    descending = messages.query.order_by[0].startswith("-")
    of_conversation = messages.filter(conversation=OuterRef("pk"))
    heads = Conversation.objects.for_user(user).annotate(
        first_at=Subquery(of_conversation.values("sent_at")[:1]),
        first_id=Subquery(of_conversation.values("pk")[:1]),
        last_at=Subquery(of_conversation.values("sent_at")[count - 1 : count]),
    )
    order = [
        OrderBy(F(name), descending=descending, nulls_last=True)
        for name in ("first_at", "first_id")
    ]
    heads = [head for head in heads.order_by(*order)[:count] if head.first_at]
    narrowed = messages.filter(conversation__in=heads)
    bounds = [head.last_at for head in heads if head.last_at]
    if bounds and descending:
        narrowed = narrowed.filter(sent_at__gte=max(bounds))
    elif bounds:
        narrowed = narrowed.filter(sent_at__lte=min(bounds))
    found = list(narrowed[:count])
    if len(found) < count and (bounds or len(heads) == count):
        # Some were deleted between the two queries.
        return list(messages[:count])
    return found
