# Importing them registers them.
from chats.admin import conversations, groups, messages, people  # noqa: F401
