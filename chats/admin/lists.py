from datetime import UTC
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.core.paginator import Paginator
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime
from django.utils.functional import cached_property

from chats.rest.search import SEARCH_MAX_CHARACTERS, limited_admin_search
from chats.validators import remove_direction_marks

FILTER_CONDITIONS = {"exact", "isnull", "gte", "lt"}


class BoundedPaginator(Paginator):
    """Counts and lists only the first rows. Staff find others by search or filter."""

    max_count = 1000

    @cached_property
    def count(self):
        return self.object_list.order_by()[: self.max_count].count()


class LargeTableAdmin(admin.ModelAdmin):
    """For tables of any size. A search for an id looks it up in `id_fields`."""

    paginator = BoundedPaginator
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    id_fields = ["pk"]

    def lookup_allowed(self, lookup, value, request):
        """Allows only the lookups of the filters beside the list. A regular expression may take for
        ever, and a lookup through a relation may reveal what staff may not see."""
        filters = self.get_list_filter(request)
        if lookup in {getattr(list_filter, "parameter_name", None) for list_filter in filters}:
            return True
        field, _, condition = lookup.partition("__")
        is_filter = field in filters and condition in FILTER_CONDITIONS
        return is_filter and is_in_calendar(value)

    def get_object(self, request, object_id, from_field=None):
        """Ignores an empty `_to_field`, on which Django fails."""
        return super().get_object(request, object_id, from_field or None)

    def changelist_view(self, request, extra_context=None):
        """Limits the time until the page is rendered. Actions are not limited."""
        if request.method == "POST":
            return super().changelist_view(request, extra_context)
        with limited_admin_search():
            response = super().changelist_view(request, extra_context)
            return response.render() if isinstance(response, TemplateResponse) else response

    def response_action(self, request, queryset):
        try:
            for pk in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.clean(pk, None)
        except ValidationError as error:
            raise BadRequest("The selection contains an invalid id.") from error
        # Only what is selected on the page: no list offers to select all rows.
        request.POST = request.POST.copy()
        request.POST["select_across"] = "0"
        return super().response_action(request, queryset)

    def response_delete(self, request, obj_display, obj_id):
        """Returns to the list and its search. Django's does so for staff who may change rows."""
        response = super().response_delete(request, obj_display, obj_id)
        is_popup = isinstance(response, TemplateResponse)
        return response if is_popup else self.response_post_save_change(request, None)

    def get_search_results(self, request, queryset, search_term):
        """Limits the length: each word becomes a condition, and SQLite cannot parse a thousand."""
        if len(search_term) > SEARCH_MAX_CHARACTERS:
            raise BadRequest(f"A search is at most {SEARCH_MAX_CHARACTERS} characters long.")
        if request.method == "POST":
            # An action runs on the selected ids, so the list is not searched again.
            return queryset, False
        return self.search(request, queryset, search_term)

    def search(self, request, queryset, search_term):
        """Ignores direction marks, which copying inserts: names and titles have none."""
        search_term = remove_direction_marks(search_term)
        if pk := read_uuid(search_term):
            return self.with_id(queryset, pk), False
        return super().get_search_results(request, queryset, search_term)

    def with_id(self, queryset, pk):
        """The rows with this id in the first of the `id_fields` that has any."""
        for name in self.id_fields:
            if (found := queryset.filter(**{name: pk})).exists():
                return found
        return queryset.none()


def is_in_calendar(text):
    """False for a moment that is outside the years 1 to 9999 in UTC."""
    try:
        moment = parse_datetime(text)
        return moment is None or bool(moment.astimezone(UTC))
    except ValueError:
        return True
    except OverflowError:
        return False


def read_uuid(text):
    """None if the text is not a UUID."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None
