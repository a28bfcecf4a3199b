"""What `check --deploy` says about the settings and the database of this project."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from messaging_app.backends.mail import is_sent

LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]"}
REDIRECT = checks.Info(
    "SECURE_SSL_REDIRECT is on without TRUSTED_PROXIES, so X-Forwarded-Proto is ignored. Behind a "
    "proxy that terminates TLS, every request is redirected for ever.",
    hint="Set TRUSTED_PROXIES to the number of proxies.",
    id="messaging_app.I001",
)
HOSTS = checks.Info(
    "ALLOWED_HOSTS has only names of this machine. If a proxy does not pass Host, links in "
    "responses name this machine, and nothing reports it.",
    hint="Set ALLOWED_HOSTS to the host names of the site.",
    id="messaging_app.I002",
)
MAIL = checks.Info(
    "EMAIL_URL names no mail server, so e-mails are not sent, and nobody can reset a forgotten "
    "password.",
    hint="Set EMAIL_URL to a mail server.",
    id="messaging_app.I003",
)
VERIFICATION = checks.Error(
    "EMAIL_VERIFICATION is on, but EMAIL_URL names no mail server: nobody who registers can sign "
    "in.",
    hint="Set EMAIL_URL to a mail server.",
    id="messaging_app.E002",
)


@checks.register(checks.Tags.security, deploy=True)
def check_deployment(**kwargs: Any) -> list[checks.CheckMessage]:
    found = [
        (REDIRECT, settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXIES),
        (HOSTS, LOCAL_HOSTS.issuperset(settings.ALLOWED_HOSTS)),
        (MAIL, not is_sent()),
        (VERIFICATION, settings.EMAIL_VERIFICATION and not is_sent()),
    ]
    return [message for message, is_found in found if is_found]


@checks.register(checks.Tags.database, deploy=True)
def check_migrations(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """As docker/serve runs it. `migrate` runs the checks of databases without --deploy."""
    try:
        counts = {alias: count_missing_migrations(alias) for alias in databases or []}
    except DatabaseError:
        # The check of the database's settings says so.
        return []
    text = "{} migrations of the database “{}” are not applied. Run `manage.py migrate` first."
    return [
        checks.Error(text.format(count, alias), id="messaging_app.E001")
        for alias, count in counts.items()
        if count
    ]


def count_missing_migrations(alias: str = "default") -> int:
    executor = MigrationExecutor(connections[alias])
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
