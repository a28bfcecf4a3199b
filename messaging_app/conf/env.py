"""Reads environment variables and refuses values that make no sense.

There is one function for each kind of value. It returns what the variable holds, or the default if
the variable is not set. It raises ImproperlyConfigured with a sentence that names the variable and
says what to write. The `parse_…` and `check_…` functions raise ValueError.
"""

import ipaddress
import os
import re
from email.utils import parseaddr
from urllib.parse import urlsplit

import dj_email_url
from django.core.exceptions import ImproperlyConfigured
from django.utils.encoding import punycode

TRUE = {"1", "true", "t", "yes", "y", "on"}
FALSE = {"0", "false", "f", "no", "n", "off"}
RATE_PERIODS = {"s", "sec", "second", "m", "min", "minute", "h", "hour", "d", "day"}
RATE_MAX_REQUESTS = 999_999_999
DEFAULT_PORTS = {"http": 80, "https": 443}
ENCODING_NOTE = "(special characters in a password are percent-encoded)"


def boolean(name, default="0"):
    return read(name, default, parse_boolean, f"{name} must be 1 or 0.")


def integer(name, default, low, high):
    refusal = f"{name} must be a whole number from {low} to {high}."
    return read(name, str(default), lambda value: parse_integer(value, low, high), refusal)


def rate(name, default):
    """`10/min`; None for `off`."""
    refusal = f"{name} must be a rate such as 10/min, or off."
    return read(name, default, parse_rate, refusal)


def secret_key(name, min_characters):
    value = os.environ.get(name, "")
    if len(value.strip()) < min_characters:
        raise ImproperlyConfigured(
            f"{name} is not set, or has fewer than {min_characters} characters. Set it to what "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(48))'` prints, or set "
            "DEBUG=1 for development."
        )
    return value


def host_list(name, default):
    """As ALLOWED_HOSTS has them: `.example.com` for a domain and all below it, `*` for any host."""
    return read_list(name, default, check_allowed_host, "chat.example.com (no scheme, no port)")


def origin_list(name):
    form = "https://chat.example.com (lower case, no path, no default port)"
    return read_list(name, "", check_origin, form)


def redis_url(name):
    """An empty string if the variable is not set."""
    form = f"redis://host:6379/0 or redis://:password@host:6379/0 {ENCODING_NOTE}"
    return read(name, "", parse_redis, f"{name} is not of the form {form}.")


def mail_url(name, default):
    """Django's EMAIL_… settings."""
    form = f"submission://user:password@mail.example.com {ENCODING_NOTE}"
    return read(name, default, parse_mail, f"{name} is not of the form {form}.")


def mail_address(name, default):
    form = "chat@example.com or Chat <chat@example.com>"
    return read(name, default, parse_mail_address, f"{name} is not of the form {form}.")


def page_url(name):
    """An empty string if the variable is not set."""
    form = "https://chat.example.com/new-password"
    return read(name, "", parse_page, f"{name} is not of the form {form}.")


def read(name, default, parse, refusal):
    try:
        return parse(os.environ.get(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(refusal) from error


def read_list(name, default, check_item, form):
    value = os.environ.get(name, default)
    items = [item.strip() for item in value.split(",")] if value else []
    for item in items:
        try:
            check_item(item)
        except ValueError as error:
            message = f"{name}: {item!r} is not of the form {form}."
            raise ImproperlyConfigured(message) from error
    return items


def check(condition):
    if not condition:
        raise ValueError


def parse_boolean(value):
    check(value.lower() in TRUE | FALSE)
    return value.lower() in TRUE


def parse_integer(value, low, high):
    check(low <= int(value) <= high)
    return int(value)


def parse_rate(value):
    if value == "off":
        return None
    requests, _, period = value.partition("/")
    check(requests.isdecimal() and period in RATE_PERIODS)
    parse_integer(requests, 1, RATE_MAX_REQUESTS)
    return value


def check_host(value):
    """A name, an IPv4 address, or an IPv6 address in brackets."""
    if value.startswith("["):
        check(value.endswith("]") and "%" not in value)
        ipaddress.IPv6Address(value[1:-1])
    elif value.rpartition(".")[2].isdecimal():
        ipaddress.IPv4Address(value)
    else:
        # Docker's names may have underscores.
        check(re.fullmatch(r"[\w-]+(\.[\w-]+)*", value, re.ASCII))


def check_allowed_host(value):
    if value.startswith("."):
        check("[" not in value)
    if value != "*":
        check_host(value.removeprefix("."))


def split_url(value):
    """The parts of the URL, and its host as it is written there."""
    # urlsplit() removes some white space without a word.
    check(value.isprintable() and " " not in value)
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        # The message may quote a part of a password.
        raise ValueError("The URL cannot be split into its parts.") from None
    check(port != 0)
    address = url.netloc.rpartition("@")[2]
    return url, address.removesuffix(f":{port}")


def split_server_url(value, *schemes):
    """The parts of the URL, which has one of the schemes, and a host."""
    check(value.startswith(tuple(f"{scheme}://" for scheme in schemes)))
    url, host = split_url(value)
    check_host(host)
    check("#" not in value)
    return url


def check_origin(value):
    """What a browser sends as `Origin`."""
    url = split_server_url(value, *DEFAULT_PORTS)
    check(value == f"{url.scheme}://{url.netloc}".lower())
    check("@" not in value and url.port != DEFAULT_PORTS[url.scheme])


def parse_page(value):
    if value:
        check("@" not in split_server_url(value, *DEFAULT_PORTS).netloc)
    return value


def parse_redis(value):
    if value:
        url = split_server_url(value, "redis", "rediss")
        check("@" not in url.netloc or url.password)
        check(re.fullmatch(r"(/\d*)?", url.path, re.ASCII) and "?" not in value)
        # Django splits the value there, into URLs of several servers.
        check("," not in value and ";" not in value)
    return value


def parse_mail(value):
    if value.startswith("file:"):
        check(re.fullmatch(r"file:///[^\s?#]+", value))
    elif value != "console:":
        url = split_server_url(value, "smtp", "submission")
        check("@" not in url.netloc or (url.username and url.password))
        check(url.path in {"", "/"} and url.query in {"", "tls=true", "ssl=true"})
    return dj_email_url.parse(value)


def parse_mail_address(value):
    name, address = parseaddr(value)
    check(value.replace('"', "") in {address, f"{name} <{address}>"})
    check(value.isprintable() and " " not in address)
    user, _, host = address.rpartition("@")
    check(user)
    check_host(punycode(host))
    return value
