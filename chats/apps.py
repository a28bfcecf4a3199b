from django.apps import AppConfig, apps
from django.contrib import admin
from django.db.models.signals import m2m_changed

from chats.clock import move_clocks_of_changed_conversations


class ChatsConfig(AppConfig):
    name = "chats"

    def ready(self):
        participation = self.get_model("Conversation").participants.through
        m2m_changed.connect(move_clocks_of_changed_conversations, sender=participation)
        # They would show staff everybody's refresh tokens.
        admin.site.unregister(apps.get_app_config("token_blacklist").get_models())
