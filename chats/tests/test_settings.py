"""The settings refuse what they do not understand, with a sentence that says what to set."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

pytestmark = pytest.mark.once

SECRET_KEY = "not-so-secret-but-long-enough-for-a-token-signature"


def manage(*arguments, **environment):
    """Run `manage.py` with nothing but this environment."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set: set it to a long random string, or DEBUG=1"),
        ({"DEBUG": "perhaps"}, 'Environment variable "DEBUG" invalid'),
        ({"SECRET_KEY": "   "}, "SECRET_KEY is not set"),
        ({"ALLOWED_HOSTS": "http://a.example/x"}, "ALLOWED_HOSTS: 'http://a.example/x' is not"),
        ({"ALLOWED_HOSTS": "a.example:8000"}, "ALLOWED_HOSTS: 'a.example:8000' is not"),
        ({"DATABASE_URL": "nonsense://x"}, "nonsense"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "postgres://"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "mysql://a/b"}, "DATABASE_URL is not of the form"),
        ({"CACHE_URL": "memcached://x"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a:port/0"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a/name"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://"}, "CACHE_URL is not of the form redis://"),
        ({"ACCESS_TOKEN_MINUTES": "9999999999"}, 'variable "ACCESS_TOKEN_MINUTES" invalid'),
        ({"REFRESH_TOKEN_DAYS": "4000000"}, 'variable "REFRESH_TOKEN_DAYS" invalid'),
        ({"TRUSTED_PROXIES": "one"}, 'Environment variable "TRUSTED_PROXIES" invalid'),
        ({"THROTTLE_SIGN_IN": "often"}, 'Environment variable "THROTTLE_SIGN_IN" invalid'),
        ({"THROTTLE_WRITE": "0/min"}, 'Environment variable "THROTTLE_WRITE" invalid'),
        ({"THROTTLE_RESET": "5/fortnight"}, 'Environment variable "THROTTLE_RESET" invalid'),
        ({"EMAIL_URL": "pigeon://x"}, "EMAIL_URL is not of the form"),
        ({"EMAIL_URL": "smtp://h?tls=maybe"}, "EMAIL_URL is not of the form"),
        ({"EMAIL_URL": "submission://"}, "EMAIL_URL is not of the form"),
        ({"DEFAULT_FROM_EMAIL": "garbage"}, "DEFAULT_FROM_EMAIL is not of the form"),
        ({"DEFAULT_FROM_EMAIL": "a@b.c\nBcc: x@y.z"}, "DEFAULT_FROM_EMAIL is not of the form"),
        ({"PASSWORD_RESET_URL": "nonsense"}, "PASSWORD_RESET_URL is not of the form"),
        ({"PASSWORD_RESET_URL": "https://x/#f"}, "PASSWORD_RESET_URL is not of the form"),
        ({"ACCESS_TOKEN_MINUTES": "0"}, 'Environment variable "ACCESS_TOKEN_MINUTES" invalid'),
        ({"ACCESS_TOKEN_MINUTES": "soon"}, 'Environment variable "ACCESS_TOKEN_MINUTES" invalid'),
        ({"REFRESH_TOKEN_DAYS": "-1"}, 'Environment variable "REFRESH_TOKEN_DAYS" invalid'),
        ({"SECURE_SSL_REDIRECT": "2"}, 'Environment variable "SECURE_SSL_REDIRECT" invalid'),
        ({"SECURE_HSTS_SECONDS": "-1"}, 'Environment variable "SECURE_HSTS_SECONDS" invalid'),
        ({"CORS_ALLOWED_ORIGINS": "chat.example.com"}, "'chat.example.com' is not of the form"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example/x"}, "'https://a.example/x' is not of"),
        ({"CORS_ALLOWED_ORIGINS": "https://*.a.example"}, "'https://*.a.example' is not of"),
        ({"CORS_ALLOWED_ORIGINS": "https://u:p@a.example"}, "'https://u:p@a.example' is not of"),
        ({"CSRF_TRUSTED_ORIGINS": "a.example"}, "'a.example' is not of the form"),
    ],
    ids=lambda value: "=".join(*value.items()) if isinstance(value, dict) else "",
)
def test_nonsense_stops_the_start(environment, sentence):
    started = manage("check", **{"SECRET_KEY": SECRET_KEY} | environment)
    assert started.returncode != 0
    assert sentence in started.stderr


def test_a_production_environment_passes_the_deployment_check():
    started = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        SECRET_KEY=SECRET_KEY,
        SECURE_SSL_REDIRECT="1",
        SECURE_HSTS_SECONDS="31536000",
        ALLOWED_HOSTS="chat.example.com",
    )
    assert started.returncode == 0, started.stderr
    assert started.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("environment", "names", "values"),
    [
        ({"SECRET_KEY": SECRET_KEY, "DEBUG": ""}, "DEBUG", "False"),
        ({}, "DEBUG", "True"),
        (
            {"ALLOWED_HOSTS": "a.example, .b.example,[::1]"},
            "ALLOWED_HOSTS",
            "['a.example', '.b.example', '[::1]']",
        ),
        (
            {"EMAIL_URL": "submission://chat%40example.com:pw@mail.example.com"},
            "EMAIL_HOST EMAIL_PORT EMAIL_HOST_USER EMAIL_USE_TLS EMAIL_TIMEOUT",
            "mail.example.com 587 chat@example.com True 10",
        ),
        ({}, "REST_FRAMEWORK['NUM_PROXIES'] SECURE_PROXY_SSL_HEADER", "0 None"),
        (
            {"TRUSTED_PROXIES": "2"},
            "REST_FRAMEWORK['NUM_PROXIES'] SECURE_PROXY_SSL_HEADER",
            "2 ('HTTP_X_FORWARDED_PROTO', 'https')",
        ),
    ],
)
def test_the_environment_is_understood(environment, names, values):
    shown = ", ".join(f"settings.{name}" for name in names.split())
    environment = {name: value for name, value in ({"DEBUG": "1"} | environment).items() if value}
    show = f"from django.conf import settings; print({shown})"
    assert manage("shell", "-v0", "-c", show, **environment).stdout == f"{values}\n"


def test_demo_people_are_made_in_debug_only(tmp_path):
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/demo.sqlite3"}
    assert manage("migrate", DEBUG="1", **environment).returncode == 0
    refused = manage("seed_demo", SECRET_KEY=SECRET_KEY, **environment)
    assert refused.returncode == 1
    assert "DEBUG=1" in refused.stderr
    for _ in ("once", "twice"):
        made = manage("seed_demo", DEBUG="1", **environment)
        assert made.returncode == 0
        assert "alice@example.com" in made.stdout
        assert "curl" in made.stdout
    count = "from chats.models import *; print(User.objects.count(), Message.objects.count())"
    shown = manage("shell", "-v0", "-c", count, DEBUG="1", **environment)
    assert shown.stdout == "4 5\n"


def test_sqlite_waits_for_the_disk(tmp_path):
    """WAL with synchronous=FULL (2): an acknowledged commit survives a power cut (SQLite's
    documentation of PRAGMA synchronous)."""
    pragmas = (
        "from django.db import connection; cursor = connection.cursor();"
        "print([cursor.execute(f'PRAGMA {name}').fetchone()[0]"
        " for name in ('journal_mode', 'synchronous', 'busy_timeout')])"
    )
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "DEBUG": "1"}
    assert manage("shell", "-v0", "-c", pragmas, **environment).stdout == "['wal', 2, 60000]\n"
