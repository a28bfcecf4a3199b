from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from chats.admin.lists import LargeTableAdmin, read_uuid
from chats.admin.rights import may_view
from chats.models import User
from messaging_app.admin import READING

KINDS = {ADDITION: "Added", CHANGE: "Changed", DELETION: "Deleted", READING: "Read"}
STAFF_LISTED = 100


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request, model_admin):
        return [(str(flag), name) for flag, name in KINDS.items()]

    def queryset(self, request, queryset):
        is_known = self.value() in dict(self.lookup_choices)
        return queryset.filter(action_flag=self.value()) if is_known else queryset


class StaffFilter(admin.SimpleListFilter):
    title = "member of staff"
    parameter_name = "staff"

    def lookups(self, request, model_admin):
        staff = User.objects.filter(is_staff=True).order_by("email")[:STAFF_LISTED]
        label = str if may_view(User, request) else User.get_full_name
        return [(str(user.pk), label(user)) for user in staff]

    def queryset(self, request, queryset):
        pk = read_uuid(self.value() or "")
        return queryset.filter(user=pk) if pk else queryset


@admin.register(LogEntry)
class LogEntryAdmin(LargeTableAdmin):
    """What staff did and read, and when. Nobody can change it here."""

    # The latest first. No index serves `action_time`.
    ordering = ["-pk"]
    list_filter = ["action_time", KindFilter, StaffFilter]
    list_display = ["action_time", "staff", "kind", "content_type", "row", "text"]
    list_display_links = None
    fields = list_display
    sortable_by = []
    actions = None
    search_fields = ["change_message"]
    search_help_text = (
        "Words of an entry, such as a reason, or the id of a member of staff or of what they "
        "changed or read."
    )

    def get_queryset(self, request):
        return self.admin_site.get_visible_entries(request)

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm("admin.view_logentry")

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    has_delete_permission = has_change_permission

    def with_id(self, queryset, pk):
        return queryset.filter(Q(user=pk) | Q(object_id=str(pk)) | Q(object_repr=str(pk)))

    @admin.display(description="member of staff")
    def staff(self, entry):
        return entry.user.get_full_name()

    @admin.display
    def kind(self, entry):
        return KINDS.get(entry.action_flag)

    @admin.display(description="what")
    def row(self, entry):
        """With a link, if the row may be there."""
        if entry.content_type is None or entry.object_repr == "list":
            return entry.object_repr
        model = f"{entry.content_type.app_label}_{entry.content_type.model}"
        pk = entry.object_id or entry.object_repr
        try:
            url = reverse(f"admin:{model}_change", args=[pk])
        except NoReverseMatch:
            return entry.object_repr
        return format_html('<a href="{}">{}</a>', url, entry.object_repr)

    @admin.display(description="entry")
    def text(self, entry):
        return entry.get_change_message()
