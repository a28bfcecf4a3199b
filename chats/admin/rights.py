from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Q

# Those that do something in this admin.
PERMISSIONS = [
    *(f"{action}_user" for action in ("add", "change", "delete", "view")),
    *(f"{action}_conversation" for action in ("add", "change", "delete", "view")),
    *(f"{action}_message" for action in ("delete", "view")),
    *(f"{action}_report" for action in ("change", "view")),
    "view_logentry",
]
# What `manage.py make_groups` makes. Permission to change includes permission to view.
GROUPS = {
    "Moderator": [
        "change_report",
        "view_message",
        "delete_message",
        "view_conversation",
        "change_user",
    ],
    "Support": ["change_user"],
}


def get_offered_permissions(held):
    """Those of PERMISSIONS, and those that somebody already holds."""
    offered = Q(content_type__app_label__in=["admin", "chats"], codename__in=PERMISSIONS)
    permissions = Permission.objects.filter(offered | Q(pk__in=held))
    return permissions.select_related("content_type")


def is_protected_from(user, staff):
    """Whether `staff` may not change the user: only superusers change staff."""
    return (user.is_staff or user.is_superuser) and not staff.is_superuser


def may_view(model, request):
    return admin.site.get_model_admin(model).has_view_permission(request)
