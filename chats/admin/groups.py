from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group

from chats.admin.forms import ChangedFieldsMixin
from chats.admin.lists import LargeTableAdmin

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(ChangedFieldsMixin, LargeTableAdmin, DjangoGroupAdmin):
    """Only for superusers, because a group's permissions are those of the staff in it."""

    def has_module_permission(self, request):
        return request.user.is_superuser

    has_add_permission = has_module_permission

    def has_change_permission(self, request, obj=None):
        return request.user.is_superuser

    has_view_permission = has_delete_permission = has_change_permission
