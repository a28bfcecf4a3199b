from django.urls import reverse
from django.utils.html import format_html

# Enough to tell conversations on a page apart.
SHORT_ID = 8


def link_conversation(conversation):
    return link(conversation, conversation.title or str(conversation.pk)[:SHORT_ID])


def link_message(message):
    return link(message, message.pk)


def link_user(user):
    return user and link(user, user.email)


def link(row, text):
    url = reverse(f"admin:chats_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, text)
