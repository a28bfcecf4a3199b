# Importing them registers them.
from chats.admin import conversations, groups, messages, users  # noqa: F401
