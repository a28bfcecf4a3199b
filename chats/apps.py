from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib import admin


class ChatsConfig(AppConfig):
    name = "chats"

    def ready(self):
        import_module("chats.receivers")
        # simplejwt's admin shows everybody's refresh tokens to staff.
        admin.site.unregister(apps.get_app_config("token_blacklist").get_models())
