import re

from django.core.signing import BadSignature, Signer
from django.db.models import Q
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param


class KeysetPagination(BasePagination):
    """Pages of an ordered queryset, in the manner of DRF's CursorPagination.

    The queryset brings its order: fields without nulls, all ascending or all descending, the
    last of them unique. A cursor says which way to go and from which row, by the values of
    these fields; it is signed, so that only cursors made here are read.
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
        backwards, position = self.get_cursor(request)
        if backwards:
            queryset = queryset.reversed()
        if position:
            queryset = queryset.filter(self.beyond(queryset, position))
        rows = self.get_rows(queryset, page_size + 1, view)
        page = rows[:page_size]
        before, after = bool(position), len(rows) > page_size
        if backwards:
            page.reverse()
            before, after = after, before
        self.previous = self.get_link(page[:1], backwards=True) if before else None
        self.next = self.get_link(page[-1:], backwards=False) if after else None
        return page

    def get_rows(self, queryset, count, view):
        return list(queryset[:count])

    def get_page_size(self, request):
        if (value := request.query_params.get("page_size")) is None:
            return self.page_size
        digits = value.lstrip("0")
        if not re.fullmatch("[0-9]+", digits):
            raise ValidationError({"page_size": ["Enter a whole number, 1 or more."]})
        # int() refuses a number of thousands of digits.
        return min(int(digits[:4]), self.max_page_size)

    def get_cursor(self, request):
        """Whether to go backwards, and the values to go on from; without them, from the end."""
        if (value := request.query_params.get("cursor")) is None:
            return False, []
        try:
            backwards, *position = self.signer.unsign_object(value)
        except BadSignature as error:
            message = "Not a cursor of this list: follow its “next” and “previous” links."
            raise ValidationError({"cursor": [message]}) from error
        return backwards, position

    def get_link(self, edge, *, backwards):
        """The page beyond the one row of `edge`; without it, from this end of the list."""
        if not edge and not backwards:
            return remove_query_param(self.url, "cursor")
        position = [field.value_to_string(row) for row in edge for field in self.fields]
        cursor = self.signer.sign_object([backwards, *position])
        return replace_query_param(self.url, "cursor", cursor)

    def beyond(self, queryset, position):
        """For fields a and b: a >= x and (a > x or a = x and b > y); the first condition is
        the one that an index serves."""
        descending = queryset.query.order_by[0].startswith("-")
        compare = "lt" if descending else "gt"
        condition = Q()
        for field, value in reversed(list(zip(self.fields, position, strict=True))):
            further = Q((f"{field.name}__{compare}", value))
            condition = further | Q((field.name, value)) & condition if condition else further
        return Q((f"{self.fields[0].name}__{compare}e", position[0])) & condition

    def get_paginated_response(self, data):
        return Response({"next": self.next, "previous": self.previous, "results": data})

    def get_paginated_response_schema(self, schema):
        link = {"type": ["string", "null"], "format": "uri"}
        properties = {"next": link, "previous": link, "results": schema}
        return {"type": "object", "properties": properties}

    def get_schema_operation_parameters(self, view):
        schemas = {
            "cursor": {"type": "string"},
            "page_size": {"type": "integer", "minimum": 1, "default": self.page_size},
        }
        return [
            {"name": name, "in": "query", "schema": schemas[name]} for name in self.query_parameters
        ]


class UserPagination(KeysetPagination):
    pass


class ConversationPagination(KeysetPagination):
    pass


class MessagePagination(KeysetPagination):
    def get_rows(self, queryset, count, view):
        if "conversation_pk" in view.kwargs:
            return super().get_rows(queryset, count, view)
        return queryset.head(view.request.user, count)
