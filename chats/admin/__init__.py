# Importing them registers them.
from chats.admin import conversations, groups, log, messages, reports, users  # noqa: F401
