from django.apps import AppConfig, apps
from django.contrib import admin
from django.db.models.signals import m2m_changed

from chats.clock import mark_as_read_by_newcomers, move_clocks_of_changed_conversations


class ChatsConfig(AppConfig):
    name = "chats"

    def ready(self):
        for receiver in (move_clocks_of_changed_conversations, mark_as_read_by_newcomers):
            m2m_changed.connect(receiver, sender=self.get_model("Participation"))
        # simplejwt's admin shows everybody's refresh tokens to staff.
        admin.site.unregister(apps.get_app_config("token_blacklist").get_models())
