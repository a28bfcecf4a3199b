"""Django's settings for a database, from a URL in the environment."""

import os
import re
from urllib.parse import unquote

import dj_database_url
import psycopg
from psycopg.conninfo import make_conninfo

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
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
}
POSTGRES_OPTIONS = {
    # So that a server that is gone is noticed. In seconds; the last one in milliseconds.
    "connect_timeout": 5,
    "keepalives_idle": 3,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,
    # A connection prepares a statement when it runs it for the second time.
    "server_side_binding": True,
    "prepare_threshold": 1,
}
# Compiling a statement of some thousand keys took PostgreSQL longer than running it.
POSTGRES_SESSION = "-c jit=off"
POSTGRES_PORT = 5432
# PgBouncer may run each transaction on another server connection, and rejects `options`.
POOLED = {"DISABLE_SERVER_SIDE_CURSORS": True}
POOLED_OPTIONS = {"server_side_binding": False, "prepare_threshold": None, "options": ""}
# Values of `target_session_attrs`, which say what a server must be. The first is the default.
WRITABLE = ["read-write", "primary"]
STANDBY = ["standby", "read-only"]
READABLE = ["any", *STANDBY, *WRITABLE]
# What libpq refuses only when it connects.
SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
NUMBERS = {
    *("connect_timeout", "tcp_user_timeout", "keepalives"),
    *("keepalives_idle", "keepalives_interval", "keepalives_count"),
}


def read_database(name, default="", is_pooled=False, roles=WRITABLE):
    """The settings for the URL in the variable of this name.

    `roles` are the values that its `target_session_attrs` may have.
    """
    form = f"sqlite:///file or postgres://user:password@host/database {env.ENCODING_NOTE}"
    refusal = f"{name} is not of the form {form}."
    settings = env.read(name, default, lambda value: parse_database(value, roles), refusal)
    if settings["ENGINE"].endswith("sqlite3"):
        return settings | SQLITE
    options = POSTGRES_OPTIONS | {"target_session_attrs": roles[0]} | settings["OPTIONS"]
    if is_pooled:
        return settings | POSTGRES | POOLED | {"OPTIONS": options | POOLED_OPTIONS}
    # psycopg does not read PGOPTIONS if it is given `options`.
    session = options.get("options", os.environ.get("PGOPTIONS", ""))
    options["options"] = f"{POSTGRES_SESSION} {session}"
    return settings | POSTGRES | {"OPTIONS": options}


def parse_database(value, roles):
    parts = re.fullmatch(r"(\w+://([^/?#@]*@)?)([^/?#@]*)([/?#].*)?", value)
    env.check(parts)
    start, _, addresses, rest = parts.groups("")
    hosts = [parse_host(f"{start}{address}{rest}") for address in addresses.split(",")]
    settings = hosts[0]
    if len(hosts) > 1:
        env.check(all(host["HOST"] for host in hosts))
        settings["HOST"] = ",".join(host["HOST"] for host in hosts)
        settings["PORT"] = ",".join(str(host["PORT"] or POSTGRES_PORT) for host in hosts)
    env.check(settings["OPTIONS"].get("target_session_attrs", roles[0]) in roles)
    return settings


def parse_host(value):
    """The settings for a URL with one host."""
    settings = {"OPTIONS": {}} | dj_database_url.parse(value)
    env.check(settings["NAME"] not in {"", ":memory:"} and "#" not in value)
    if settings["ENGINE"] == "django.db.backends.sqlite3":
        env.check(value.startswith("sqlite:///") and "?" not in value)
        env.check(value.isprintable() and value == value.strip())
        return settings
    env.check(settings["ENGINE"] == "django.db.backends.postgresql")
    check_options(settings["OPTIONS"])
    _, host = env.split_url(value)
    # Without a host, or with a folder's path instead, PostgreSQL is reached through a socket.
    if unquote(host).startswith("/"):
        env.check("," not in unquote(host))
    elif host:
        env.check_host(host)
    env.check("%00" not in value)
    return settings


def check_options(options):
    """The parameters of libpq that the URL itself does not have."""
    env.check(not any(isinstance(option, list) for option in options.values()))
    env.check(not {"host", "hostaddr", "port", "user", "password", "dbname"} & options.keys())
    try:
        make_conninfo(**options)
    except psycopg.ProgrammingError as error:
        raise ValueError("There is no such parameter.") from error
    env.check(options.get("sslmode", SSL_MODES[0]) in SSL_MODES)
    for name in NUMBERS & options.keys():
        env.parse_integer(options[name], 0, 2**31 - 1)
