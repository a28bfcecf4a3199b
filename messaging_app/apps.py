from importlib import import_module

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "messaging_app.admin.AdminSite"

    def ready(self):
        super().ready()
        import_module("messaging_app.checks")
