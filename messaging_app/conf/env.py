"""Reads environment variables and refuses values of the wrong form.

There is one function for each kind of value. It returns what the variable holds, or the default if
the variable is not set. It raises ImproperlyConfigured with a sentence that names the variable and
says what to write. The `parse_…` and `check_…` functions raise ValueError.
"""

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port
from redis import ConnectionPool, RedisError

TRUE = {"1", "true", "t", "yes", "y", "on"}
FALSE = {"0", "false", "f", "no", "n", "off"}
RATE_PERIODS = {"s", "sec", "second", "m", "min", "minute", "h", "hour", "d", "day"}
RATE_MAX_REQUESTS = 999_999_999
ENCODING_NOTE = "(special characters in a password are percent-encoded)"
# As browsers send it.
ORIGIN_NOTE = "lower case, xn-- for other letters, no path, no default port"
DEFAULT_PORTS = {"http": 80, "https": 443}
# A segment like these would look like a path of the program.
SEGMENT = r"(?!(api|static|healthz|readyz)(/|$))(?!\.+(/|$))[\w.~-]+"
PATH_PREFIX = rf"(/(?!admin(/|$)){SEGMENT})*"
ADMIN_PATH = rf"({SEGMENT}/)+"
LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def boolean(name: str, default: str = "0") -> bool:
    return read(name, default, parse_boolean, f"{name} must be 1 or 0.")


def integer(name: str, default: int, low: int, high: int) -> int:
    refusal = f"{name} must be a whole number from {low} to {high}."
    return read(name, str(default), lambda value: parse_integer(value, low, high), refusal)


def log_level(name: str, default: str) -> str:
    refusal = f"{name} must be {', '.join(LOG_LEVELS[:-1])} or {LOG_LEVELS[-1]}."
    return read(name, default, parse_log_level, refusal)


def rate(name: str, default: str) -> str | None:
    """`10/min`; None for `off`."""
    refusal = f"{name} must be a rate such as 10/min, or off."
    return read(name, default, parse_rate, refusal)


def secret_key(name: str, min_characters: int) -> str:
    value = get(name)
    if len(value.strip()) < min_characters:
        raise ImproperlyConfigured(
            f"{name} is not set, or has fewer than {min_characters} characters. Set it to what "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(48))'` prints, or set "
            "DEBUG=1 for development."
        )
    return value


def host_list(name: str, default: str) -> list[str]:
    """As ALLOWED_HOSTS has them: `.example.com` for a domain and all below it, `*` for any host."""
    return read_list(name, default, check_allowed_host, "chat.example.com (no scheme, no port)")


def origin_list(name: str) -> list[str]:
    form = f"https://chat.example.com ({ORIGIN_NOTE}; any page can send the origin null)"
    return read_list(name, "", check_origin, form)


def trusted_origin_list(name: str) -> list[str]:
    """As CSRF_TRUSTED_ORIGINS has them: `https://*.example.com` for all below a domain."""
    form = f"https://chat.example.com or https://*.example.com ({ORIGIN_NOTE})"
    return read_list(name, "", check_trusted_origin, form)


def path_prefix(name: str) -> str:
    """An empty string if the variable is not set."""
    form = "/chat (no slash at its end, and none of the program's own paths, such as /api)"
    return read(name, "", parse_path_prefix, f"{name} is not of the form {form}.")


def admin_path(name: str, default: str, prefix: str) -> str:
    """Relative to the prefix, with which it does not begin: proxies may remove that, or not."""
    form = "staff-only/ (with a slash at its end, and none of the program's other paths)"
    parse = partial(parse_admin_path, prefix=prefix)
    return read(name, default, parse, f"{name} is not of the form {form}.")


def socket_address(name: str) -> tuple[str, int] | None:
    """A host and a port. None if the variable is not set."""
    form = "127.0.0.1:8001"
    return read(name, "", parse_socket_address, f"{name} is not of the form {form}.")


def redis_url(name: str) -> str:
    """An empty string if the variable is not set."""
    form = f"redis://:password@host:6379/0, rediss://… or unix:///path?db=0 {ENCODING_NOTE}"
    return read(name, "", parse_redis, f"{name} is not of the form {form}.")


def page_url(name: str, default: str) -> str:
    form = "https://chat.example.com/#reset"
    return read(name, default, parse_page, f"{name} is not of the form {form}.")


def get(name: str, default: str = "") -> str:
    """The text of the variable, or the default if it is not set."""
    value = os.environ.get(name, default)
    # Python reads other bytes as surrogates, which nothing can encode.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ImproperlyConfigured(f"{name} is not UTF-8.")
    return value


def read(name: str, default: str, parse: Callable[[str], Any], refusal: str) -> Any:
    try:
        return parse(get(name) or default)
    except ValueError:
        # The error may quote a part of a password.
        raise ImproperlyConfigured(refusal) from None


def read_list(name: str, default: str, check_item: Callable[[str], None], form: str) -> list[str]:
    value = get(name, default)
    items = [item.strip() for item in value.split(",")] if value else []
    for item in items:
        try:
            check_item(item)
        except ValueError as error:
            message = f"{name}: {item!r} is not of the form {form}."
            raise ImproperlyConfigured(message) from error
    return items


def check(condition: object) -> None:
    if not condition:
        raise ValueError


def parse_boolean(value: str) -> bool:
    check(value.lower() in TRUE | FALSE)
    return value.lower() in TRUE


def parse_integer(value: str, low: int, high: int) -> int:
    check(value.isascii() and value.strip().isdecimal() and low <= int(value) <= high)
    return int(value)


def parse_log_level(value: str) -> str:
    check(value.upper() in LOG_LEVELS)
    return value.upper()


def parse_rate(value: str) -> str | None:
    if value == "off":
        return None
    requests, _, period = value.partition("/")
    check(requests.isdecimal() and period in RATE_PERIODS)
    parse_integer(requests, 1, RATE_MAX_REQUESTS)
    return value


def check_allowed_host(value: str) -> None:
    check(value == "*" or (value and split_domain_port(value) == (value.lower(), "")))


def is_one_word(value: str) -> bool:
    return value.isprintable() and " " not in value


def check_url(value: str, *schemes: str) -> SplitResult:
    """The parts of the URL, which has one of the schemes, and a host."""
    check(value.startswith(tuple(f"{scheme}://" for scheme in schemes)))
    url = urlsplit(value)
    # Reading a port that is not a number raises ValueError.
    check(url.hostname and is_one_word(url.hostname) and url.port != 0)
    return url


def check_origin(value: str) -> None:
    """What a browser sends as `Origin`, which has any scheme."""
    url = urlsplit(value)
    check(url.scheme and url.hostname and value == f"{url.scheme}://{url.netloc}".lower())
    check(url.port not in {0, DEFAULT_PORTS.get(url.scheme, 0)})
    check(value.isascii() and is_one_word(value) and "@" not in value and "*" not in value)


def check_trusted_origin(value: str) -> None:
    check_origin(value.replace("://*.", "://", 1))


def parse_path_prefix(value: str) -> str:
    check(re.fullmatch(PATH_PREFIX, value, re.ASCII))
    return value


def parse_admin_path(value: str, prefix: str) -> str:
    check(re.fullmatch(ADMIN_PATH, value, re.ASCII))
    check(not prefix or not f"/{value}".startswith(f"{prefix}/"))
    return value


def parse_page(value: str) -> str:
    """An app's link has a scheme of its own."""
    url = urlsplit(value)
    check(not value or (url.scheme and url.hostname and url.port != 0 and is_one_word(value)))
    return value


def parse_socket_address(value: str) -> tuple[str, int] | None:
    if not value:
        return None
    url = urlsplit(f"//{value}")
    check(url.hostname and url.port and value == url.netloc and "@" not in value)
    return str(url.hostname), int(url.port or 0)


def parse_redis(value: str) -> str:
    if value:
        # Django splits the value there, into URLs of several servers.
        check("," not in value and ";" not in value)
        try:
            pool = ConnectionPool.from_url(value)
            pool.make_connection()
        except (TypeError, RedisError) as error:
            raise ValueError("redis-py refuses an option.") from error
        # redis-py would use database 0 instead of a name, and 12 for /1/2.
        path = urlsplit(value).path
        check(value.startswith("unix:") or re.fullmatch("/?[0-9]*", path))
        # The cache stores bytes.
        check(not pool.connection_kwargs.get("decode_responses"))
    return value
