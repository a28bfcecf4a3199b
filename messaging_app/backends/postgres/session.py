"""What PostgreSQL's settings have to be, and which of them each connection sets.

They take precedence over those of the role and the database. A pooler passes none of them, so its
`connect_query` does (docs/growing.md).
"""

# The first value is set, or has to be there already. Another one in the list is accepted too.
REQUIRED = {
    # Otherwise not every text can be stored.
    "server_encoding": ["UTF8"],
    # The program writes.
    "transaction_read_only": ["off"],
    # Otherwise foreign keys are not checked.
    "session_replication_role": ["origin", "local"],
    # The locks of chats/clock.py need it.
    "default_transaction_isolation": ["read committed"],
    # An acknowledged message is on disk.
    "synchronous_commit": ["on", "remote_apply"],
    # psycopg reads times in this form only.
    "DateStyle": ["ISO, MDY"],
}
# Only a superuser may set the last one.
CANNOT_BE_SET = {"server_encoding", "transaction_read_only", "session_replication_role"}
SESSION = {name: values[0] for name, values in REQUIRED.items() if name not in CANNOT_BE_SET} | {
    # Compiling a statement of some thousand keys took longer than running it.
    "jit": "off",
    # PostgreSQL notices after about six seconds that a client is gone, and releases its locks.
    "tcp_user_timeout": "5s",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "client_connection_check_interval": "1s",
}
# Requests are limited; management commands take as long as they need.
COMMAND_LIMITS = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "0",
}
REQUEST_LIMITS = COMMAND_LIMITS | {
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
}


def as_options(settings: dict[str, str]) -> str:
    """For libpq's `options`, in which a backslash marks a space in a value."""
    return " ".join(
        "-c {}={}".format(name, value.replace(" ", r"\ ")) for name, value in settings.items()
    )
