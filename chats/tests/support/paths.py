CONVERSATIONS = "/api/conversations/"
MESSAGES = "/api/messages/"


def conversation_path(conversation):
    return f"{CONVERSATIONS}{conversation.pk}/"


def messages_path(conversation):
    return f"{conversation_path(conversation)}messages/"
