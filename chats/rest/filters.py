"""Checks query parameters, and suggests what to use instead of an unknown one."""

from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

from chats.filters import SearchFilter
from chats.rest.hints import get_parameter_hint


class QueryParameterBackend(DjangoFilterBackend):
    """Filters lists only. Also rejects what django-filter ignores: unknown parameters, empty
    values, and more values than a parameter takes."""

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
                hint = get_parameter_hint(name, known, filterset.parameter_hints)
                errors[name] = [f"There is no such parameter here; {hint}."]
            elif len(values) > max_values:
                errors[name] = [f"Too many values: {len(values)}. The maximum is {max_values}."]
            elif not all(
                value if isinstance(declared, SearchFilter) else value.strip() for value in values
            ):
                errors[name] = ["Give it a value, or leave it out."]
        if errors:
            raise ValidationError(errors)
        # The filterset's form would copy the field of every filter, used or not.
        for name in filterset.filters.keys() - request.query_params.keys():
            del filterset.filters[name]
        return filterset if filterset.filters else None
