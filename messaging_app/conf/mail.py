"""Django's settings for e-mails, from the environment."""

import re
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import dj_email_url
from django.core.mail.message import sanitize_address

from messaging_app.conf import env

NOT_SENT = dj_email_url.parse("") | {"EMAIL_BACKEND": "messaging_app.backends.mail.NotSent"}
PRINTED = dj_email_url.parse("console:")


def read_mail_address(name: str, default: str) -> str:
    form = "chat@example.com or Chat <chat@example.com>"
    return env.read(name, default, parse_mail_address, f"{name} is not of the form {form}.")


def read_mail(name: str, *, is_debug: bool) -> dict[str, Any]:
    """A dictionary of Django's EMAIL_… settings. If the variable is not set or `console:`, e-mails
    are printed in DEBUG, and otherwise not sent."""
    form = f"submission://user:password@mail.example.com {env.ENCODING_NOTE}"
    default = "console:" if is_debug else ""
    parse = partial(parse_mail, is_debug=is_debug)
    return env.read(name, default, parse, f"{name} is not of the form {form}.")


def parse_mail_address(value: str) -> str:
    sanitize_address(value, "utf-8")
    env.check(re.fullmatch(r"(.*<)?[^\s@<>]+@[^\s@<>]+>?", value) and value.isprintable())
    return value


def parse_mail(value: str, *, is_debug: bool) -> dict[str, Any]:
    if value in ("", "console:"):
        return PRINTED if value and is_debug else NOT_SENT
    url = env.check_url(value, "smtp", "submission", "submit")
    # dj_email_url ignores any other value, and the password would be sent without TLS.
    for name, option in parse_qsl(
        url.query, keep_blank_values=True, strict_parsing=bool(url.query)
    ):
        env.check(name in {"tls", "ssl"} and option in dj_email_url.TRUTHY)
    env.check(not ("tls=" in url.query and "ssl=" in url.query))
    return dj_email_url.parse(value)
