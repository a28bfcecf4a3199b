"""What query strings may hold, and what to use instead of a parameter that a list does not have."""

import difflib
import re

from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError

from chats.filters import SearchFilter

# Names that clients of other APIs send, by the parameters that mean the same here. The first one
# that the list has is the one to use. Case and punctuation do not matter: `per_page` stands for
# `perPage`, `per-page` and `per[page]` too.
MEANINGS = {
    ("cursor",): """
        continuation current_page end_cursor marker next next_cursor next_page next_token offset p
        page page_cursor page_index page_no page_num page_number page_offset page_token
        pagination_token skip start_cursor start_index
        """,
    ("page_size",): """
        amount batch batch_size count first items_per_page last length limit max max_count max_items
        max_results n num page_length page_limit per per_page results results_per_page rows size
        take top
        """,
    ("ordering",): """
        asc ascending desc descending dir direction newest_first oldest_first order order_by
        order_dir order_direction reverse sort sort_by sort_dir sort_direction sort_order sorting
        """,
    ("search",): """
        body contains content contents find keyword keywords like match message message_body
        message_text phrase q query s search_for search_query search_term search_text term text
        """,
    ("sender", "search"): """
        display_name first_name full_name last_name name nick nickname
        """,
    ("conversation", "search"): """
        channel_name chat_name conversation_name conversation_title group_name room_name subject
        title topic
        """,
    ("conversation",): """
        channel channel_id channels chat chat_id cid conv conv_id conversation_id conversation_ids
        dialog dialog_id group group_id room room_id thread thread_id
        """,
    ("participants",): """
        member_id member_ids participant participant_id participant_ids participants_id
        participants_ids recipient recipient_id recipient_ids recipients to_user to_user_id
        with_user with_user_id
        """,
    ("participants", "search"): """
        contact contacts friend friends member members people person with
        """,
    ("sender", "participants"): """
        author_id by created_by creator creator_id from_id from_user from_user_id owner owner_id
        sender sender_id sender_ids sent_by user_id user_ids
        """,
    ("sender", "participants", "search"): "author user users",
    ("sender", "created_at_after"): "from",
    ("email", "sender", "participants"): "user_name",
    ("email",): "address e_mail email_address login mail user_email",
    ("sent_at_after", "created_at_after"): """
        after after_date after_id begin begin_date created_after created_at_after created_at_gt
        created_at_gte created_since date_after date_from date_gt date_gte from_date gt gte id_after
        id_gt id_gte later_than min_date min_id min_time newer_than oldest page_after sent_after
        sent_at_after sent_at_gt sent_at_gte sent_since since since_date since_id since_time start
        start_at start_date start_datetime start_time timestamp_after
        """,
    ("sent_at_before", "created_at_before"): """
        before before_date before_id created_at_before created_at_lt created_at_lte created_before
        date_before date_lt date_lte date_to end end_at end_date end_datetime end_time id_before
        id_lt id_lte latest lt lte max_date max_id max_time older_than page_before sent_at_before
        sent_at_lt sent_at_lte sent_before timestamp_before to to_date until until_date until_id
        up_to
        """,
    ("updated_at_after", "sent_at_after"): """
        changed_after changed_since modified_after modified_since updated_after updated_at_gt
        updated_at_gte updated_since
        """,
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
                errors[name] = [f"Give at most {max_values} of this parameter, not {len(values)}."]
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
