"""Django's settings for a database, from a URL in the environment."""

import re
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from messaging_app.backends.postgres.session import SESSION, as_options
from messaging_app.conf import env

SQLITE = {
    "ENGINE": "messaging_app.backends.sqlite",
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {
        # A transaction that reads first and writes later fails at once when another one has
        # written in between; IMMEDIATE queues it instead, for as long as the timeout.
        "transaction_mode": "IMMEDIATE",
        "timeout": 60,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    },
}
POSTGRES = {
    "ENGINE": "messaging_app.backends.postgres",
    # Long, because a new connection waits `connect_timeout` for each host that cannot be reached
    # before the one that it gets.
    "CONN_MAX_AGE": 3_600,
    "CONN_HEALTH_CHECKS": True,
}
POSTGRES_OPTIONS = {
    # Of several hosts, the first one that can be written to.
    "target_session_attrs": "read-write",
    # So that a server that is gone is noticed. In seconds; the last one in milliseconds.
    "connect_timeout": 3,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,
    # Allows messaging_app/backends/postgres/ to prepare statements.
    "server_side_binding": True,
    "prepare_threshold": 1,
}
# PgBouncer may run each transaction on another server connection, rejects `options`, and reports
# the role that a server had when it was first asked.
POOLED = {"DISABLE_SERVER_SIDE_CURSORS": True}
POOLED_OPTIONS = {
    "target_session_attrs": "any",
    "server_side_binding": False,
    "prepare_threshold": None,
    "options": "",
}


def read_database(name: str, default: str = "", is_pooled: bool = False) -> dict[str, Any]:
    """The settings for the URL in the variable of this name."""
    form = f"sqlite:///file or postgres://user:password@host/database {env.ENCODING_NOTE}"
    settings = env.read(name, default, parse_database, f"{name} is not of the form {form}.")
    if settings["ENGINE"] == SQLITE["ENGINE"]:
        return settings
    options = POSTGRES_OPTIONS | settings["OPTIONS"]
    if is_pooled:
        return settings | POOLED | {"OPTIONS": options | POOLED_OPTIONS}
    # psycopg does not read PGOPTIONS if it is given `options`.
    session = options.get("options", env.get("PGOPTIONS"))
    return settings | {"OPTIONS": options | {"options": f"{as_options(SESSION)} {session}"}}


def parse_database(value: str) -> dict[str, Any]:
    scheme, _, rest = value.partition("://")
    if scheme == "sqlite":
        env.check(re.fullmatch("/.+", rest) and rest != "/:memory:" and "%00" not in rest)
        return SQLITE | {"NAME": unquote(rest[1:])}
    env.check(scheme in {"postgres", "postgresql"})
    try:
        options: dict[str, Any] = conninfo_to_dict(value)
    except psycopg.ProgrammingError as error:
        raise ValueError("libpq refuses the URL.") from error
    env.check("dbname" in options or "service" in options)
    settings = {
        "NAME": options.pop("dbname", ""),
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "OPTIONS": options,
    }
    # An @ here is part of a password that is not percent-encoded. libpq's errors would print it.
    env.check("@" not in settings["HOST"] + settings["NAME"])
    env.check(re.fullmatch("[0-9,]*", settings["PORT"]))
    env.check(re.fullmatch("[0-9]+", options.get("connect_timeout", "0")))
    return POSTGRES | settings
