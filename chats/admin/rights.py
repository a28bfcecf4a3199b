from django.contrib import admin


def is_protected_from(user, staff):
    """Whether `staff` may not change the user: only superusers change staff."""
    return (user.is_staff or user.is_superuser) and not staff.is_superuser


def may_view(model, request):
    return admin.site.get_model_admin(model).has_view_permission(request)
