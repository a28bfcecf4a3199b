"""Checks query parameters, and suggests what to use instead of an unknown one."""

import difflib
import re

from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

from chats.filters import SearchFilter

# Maps parameters of this API to the names that other APIs use for them. The error suggests the
# first parameter of the tuple that the list supports. Case and punctuation do not matter:
# `per_page` stands for `perPage`, `per-page` and `per[page]` too.
MEANINGS = {
    ("cursor",): """
        marker next next_cursor next_page offset page page_number page_token skip start_index
        """,
    ("page_size",): "count first items_per_page last limit max_results per_page results size top",
    ("ordering",): "dir direction order order_by sort sort_by sort_order sorting",
    ("search",): """
        body contains content contents keyword keywords message message_body phrase q query
        search_term term text
        """,
    ("sender", "search"): "display_name first_name full_name last_name name nickname",
    ("conversation", "search"): "subject title topic",
    ("conversation",): """
        channel channel_id chat chat_id conversation_id dialog_id group group_id room room_id thread
        thread_id
        """,
    ("participants",): "participant participant_id participant_ids recipient recipients with_user",
    ("participants", "search"): "contact contacts member members people person",
    ("sender", "participants"): "author_id created_by from_user sender sender_id user_id user_ids",
    ("sender", "participants", "search"): "author user users",
    ("sender", "created_at_after"): "from",
    ("email", "sender", "participants"): "user_name",
    ("email",): "email_address login mail",
    ("sent_at_after", "created_at_after"): """
        after after_id created_after date_from from_date id_gt min_id newer_than oldest sent_after
        sent_at_after sent_at_gt since since_id start start_date start_time
        """,
    ("sent_at_before", "created_at_before"): """
        before before_id created_before date_to end end_date end_time id_lt latest max_id older_than
        sent_before sent_at_before sent_at_lt to to_date until
        """,
    ("updated_at_after", "sent_at_after"): "changed_since modified_since updated_since",
}
ONE_CONVERSATION = {"updated_at_after"}


def simplify(name):
    return re.sub("[^a-z0-9]", "", name.lower())


SAME_MEANING = {
    simplify(name): parameters for parameters, names in MEANINGS.items() for name in names.split()
}


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
                errors[name] = [f"There is no such parameter here; {get_hint(name, known)}."]
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


def get_hint(name, known):
    """What to use instead of a parameter that is not among the `known` ones."""
    if name in ONE_CONVERSATION and "sent_at_after" in known:
        return "only the list of one conversation has it, /api/conversations/{id}/messages/"
    for parameter in SAME_MEANING.get(simplify(name), ()):
        if parameter == "cursor":
            return "follow the “next” link of the response"
        if parameter in known:
            return f"use “{parameter}”"
    [nearest] = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"the nearest is “{nearest}”"
