"""The settings refuse what they do not understand, with a sentence that says what to set."""

import os
import re
import runpy
import subprocess
import sys
from functools import reduce
from operator import getitem

import pytest
from django.conf import global_settings, settings
from django.core.exceptions import ImproperlyConfigured

from chats.tests.support.servers import Database, environment, free_port
from messaging_app.backends.postgres.session import SESSION, as_options

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


@pytest.fixture
def load(monkeypatch):
    """`load(environment)`: the settings, read again with nothing but this environment."""

    def load(environment):
        monkeypatch.setattr(os, "environ", environment)
        return runpy.run_path(f"{settings.BASE_DIR}/messaging_app/settings.py")

    return load


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SECRET_KEY": ""}, "Set it to what `python3 -c 'import secrets; "),
        ({"SECRET_KEY": "x" * 49 + " "}, "SECRET_KEY is not set, or has fewer than 50 characters"),
        ({"DEBUG": "perhaps"}, "DEBUG must be "),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL."),
        ({"DATABASE_POOLER": "2"}, "DATABASE_POOLER must be "),
        ({"ACCESS_TOKEN_MINUTES": "0"}, "ACCESS_TOKEN_MINUTES must be "),
        ({"REFRESH_TOKEN_DAYS": "4000000"}, "REFRESH_TOKEN_DAYS must be "),
        ({"TRUSTED_PROXIES": "one"}, "TRUSTED_PROXIES must be "),
        ({"PORT": "http"}, "PORT must be "),
        ({"PORT": "0"}, "PORT must be "),
        ({"WORKERS": "0"}, "WORKERS must be "),
        ({"METRICS_ADDRESS": "9100"}, "METRICS_ADDRESS is not of the form 127.0.0.1:8001"),
        ({"METRICS_ADDRESS": ":9100"}, "METRICS_ADDRESS is not of the form"),
        ({"METRICS_ADDRESS": "127.0.0.1:0"}, "METRICS_ADDRESS is not of the form"),
        ({"METRICS_ADDRESS": "http://127.0.0.1:9100"}, "METRICS_ADDRESS is not of the form"),
        ({"THREADS": "-1"}, "THREADS must be "),
        ({"THROTTLE_SIGN_IN": "often"}, "THROTTLE_SIGN_IN must be "),
        ({"THROTTLE_WRITE": "0/min"}, "THROTTLE_WRITE must be "),
        ({"THROTTLE_RESET": "5/fortnight"}, "THROTTLE_RESET must be "),
        ({"ALLOWED_HOSTS": "http://a.example/x"}, "ALLOWED_HOSTS: 'http://a.example/x' is not"),
        ({"ALLOWED_HOSTS": "a.example:8000"}, "ALLOWED_HOSTS: 'a.example:8000' is not"),
        ({"ALLOWED_HOSTS": "a.example,"}, "ALLOWED_HOSTS: '' is not"),
        ({"CORS_ALLOWED_ORIGINS": "chat.example.com"}, "'chat.example.com' is not of the form"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example/x"}, "'https://a.example/x' is not of"),
        ({"CSRF_TRUSTED_ORIGINS": "https://[::1"}, "'https://[::1' is not of the form"),
        ({"DATABASE_URL": "mysql://a/b"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "sqlite://folder/file"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "postgres://"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "postgres://a,b:x/c"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "postgres://a/b?sslmod=require"}, "DATABASE_URL is not of the form"),
        ({"CACHE_URL": "memcached://x"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a,redis://b"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a?no_such_option=1"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a?protocol=9"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a?decode_responses=1"}, "CACHE_URL is not of the form redis://"),
        ({"DATABASE_URL": "postgres://a/b?connect_timeout=x"}, "DATABASE_URL is not of the form"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example:x"}, "'https://a.example:x' is not of"),
        ({"CORS_ALLOWED_ORIGINS": "https://u:p@a.example"}, "'https://u:p@a.example' is not of"),
        ({"CORS_ALLOWED_ORIGINS": "https://*.a.example"}, "'https://*.a.example' is not of"),
        ({"CORS_ALLOWED_ORIGINS": "https://bücher.example"}, "xn-- for other letters"),
        ({"CORS_ALLOWED_ORIGINS": "https://a.example:443"}, "'https://a.example:443' is not of"),
        ({"CORS_ALLOWED_ORIGINS": "http://a.example:80"}, "'http://a.example:80' is not of"),
        ({"CSRF_TRUSTED_ORIGINS": "https://*.bücher.example"}, "xn-- for other letters"),
        ({"CSRF_TRUSTED_ORIGINS": "https://a.example:443"}, "no default port"),
        ({"DEFAULT_FROM_EMAIL": "a@b.c, d@e.f"}, "DEFAULT_FROM_EMAIL is not of the form"),
        ({"DEFAULT_FROM_EMAIL": "garbage"}, "DEFAULT_FROM_EMAIL is not of the form"),
        ({"DEFAULT_FROM_EMAIL": "a@b.c\nBcc: x@y.z"}, "DEFAULT_FROM_EMAIL is not of the form"),
        (
            {"THROTTLE_CACHE_URL": "redis+socket:///x"},
            "THROTTLE_CACHE_URL is not of the form redis",
        ),
        ({"EMAIL_URL": "submission://"}, "EMAIL_URL is not of the form"),
        ({"EMAIL_URL": "smtp://h?ssl=true&tls=true"}, "EMAIL_URL is not of the form"),
        ({"EMAIL_URL": "smtp://h?tls=maybe"}, "EMAIL_URL is not of the form"),
        ({"EMAIL_URL": "smtp://h?ssl=true&timeout=5"}, "EMAIL_URL is not of the form"),
        ({"CORS_ALLOWED_ORIGINS": "null"}, "any page can send the origin null"),
        ({"CSRF_TRUSTED_ORIGINS": "https://*"}, "CSRF_TRUSTED_ORIGINS: 'https://*' is not of"),
        ({"CSRF_TRUSTED_ORIGINS": "https://a.*.example"}, "'https://a.*.example' is not of"),
        ({"SCRIPT_NAME": "chat"}, "SCRIPT_NAME is not of the form /chat"),
        ({"SCRIPT_NAME": "/chat/"}, "SCRIPT_NAME is not of the form /chat"),
        ({"SCRIPT_NAME": "/a b"}, "SCRIPT_NAME is not of the form /chat"),
        ({"SCRIPT_NAME": "/api"}, "none of the program's own paths"),
        ({"SCRIPT_NAME": "/static/chat"}, "none of the program's own paths"),
        *(
            ({"ADMIN_PATH": path}, "ADMIN_PATH is not of the form staff-only/")
            for path in [
                "staff",
                "/staff/",
                "/",
                "a b/",
                "a//",
                "../",
                "a/../",
                "a/?b/",
                "<a>/",
                "é/",
            ]
        ),
        *(
            ({"ADMIN_PATH": path}, "none of the program's other paths")
            for path in ["api/", "api/admin/", "static/", "healthz/", "readyz/"]
        ),
        ({"ADMIN_PATH": "chat/", "SCRIPT_NAME": "/chat"}, "ADMIN_PATH is not of the form"),
        ({"SCRIPT_NAME": "/.."}, "SCRIPT_NAME is not of the form /chat"),
        ({"PASSWORD_RESET_URL": "nonsense"}, "PASSWORD_RESET_URL is not of the form"),
        ({"VERIFY_EMAIL_URL": "nonsense"}, "VERIFY_EMAIL_URL is not of the form"),
        ({"EMAIL_VERIFICATION": "maybe"}, "EMAIL_VERIFICATION must be 1 or 0"),
        ({"DEFAULT_FROM_EMAIL": "Chat chat@example.com"}, "DEFAULT_FROM_EMAIL is not of the form"),
        ({"PASSWORD_RESET_URL": "https://a.example/a b"}, "PASSWORD_RESET_URL is not of the form"),
        ({"VERIFY_EMAIL_URL": "https://a.example/\n"}, "VERIFY_EMAIL_URL is not of the form"),
        ({"CORS_ALLOWED_ORIGINS": "https://a b.example"}, "'https://a b.example' is not of"),
        ({"EMAIL_URL": "smtp://a b"}, "EMAIL_URL is not of the form"),
        ({"THROTTLE_WRITE": "٣/min"}, "THROTTLE_WRITE must be "),
        ({"PORT": "٨٠٠٠"}, "PORT must be "),
        ({"PORT": "8_000"}, "PORT must be "),
        ({"CACHE_URL": "redis://a/abc"}, "CACHE_URL is not of the form redis://"),
        ({"CACHE_URL": "redis://a/1/2"}, "CACHE_URL is not of the form redis://"),
        ({"DATABASE_URL": "postgres://a:٣/b"}, "DATABASE_URL is not of the form"),
        ({"DATABASE_URL": "sqlite:////a%00b"}, "DATABASE_URL is not of the form"),
        # Bytes that are not UTF-8, as Python reads them.
        ({"SECRET_KEY": "\udcff" * 50}, "SECRET_KEY is not UTF-8."),
        ({"DEBUG": "1", "SECRET_KEY": "\udcff"}, "SECRET_KEY is not UTF-8."),
        ({"HOST": "\udcff"}, "HOST is not UTF-8."),
        ({"ALLOWED_HOSTS": "\udcff"}, "ALLOWED_HOSTS is not UTF-8."),
        ({"EMAIL_URL": "smtp://u:\udcff@h"}, "EMAIL_URL is not UTF-8."),
        ({"DATABASE_URL": "postgres://a/b", "PGOPTIONS": "\udcff"}, "PGOPTIONS is not UTF-8."),
    ],
    ids=lambda value: (
        ascii(" ".join(map("=".join, value.items()))) if isinstance(value, dict) else ""
    ),
)
def test_value_of_the_wrong_form_is_refused(load, environment, sentence):
    with pytest.raises(ImproperlyConfigured) as raised:
        load({"SECRET_KEY": SECRET_KEY} | environment)
    assert sentence in str(raised.value)


def test_refused_value_stops_the_start():
    started = manage("check", SECRET_KEY="x" * 49)
    assert started.returncode != 0
    assert "SECRET_KEY is not set, or has fewer than 50 characters" in started.stderr


@pytest.mark.parametrize(
    "command", [["docker/serve"], [sys.executable, "-m", "gunicorn", "messaging_app.wsgi"]]
)
def test_server_for_others_does_not_start_in_debug(tmp_path, command):
    """As after the README's first command, which exports DEBUG."""
    database = Database(tmp_path, f"sqlite:///{tmp_path}/db.sqlite3")
    started = subprocess.run(  # noqa: S603
        command,
        cwd=settings.BASE_DIR,
        env=environment(DEBUG="1", DATABASE_URL=database.url, PORT=str(free_port())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode != 0
    assert "DEBUG is on" in started.stderr
    assert "`unset DEBUG`" in started.stderr
    assert ("Traceback" in started.stderr) == ("gunicorn" in command)


PRODUCTION = {
    "SECRET_KEY": SECRET_KEY,
    "SECURE_SSL_REDIRECT": "1",
    "SECURE_HSTS_SECONDS": "31536000",
    "ALLOWED_HOSTS": "chat.example.com",
    "TRUSTED_PROXIES": "1",
    "EMAIL_URL": "submission://user:password@mail.example.com",
}


def check_deployment(**environment):
    return manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION | environment)


def test_production_environment_passes_the_deployment_check():
    checked = check_deployment()
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TRUSTED_PROXIES": "0"}, "messaging_app.I001"),
        ({"ALLOWED_HOSTS": "localhost,[::1]"}, "messaging_app.I002"),
        ({"EMAIL_URL": ""}, "messaging_app.I003"),
    ],
)
def test_deployment_check_reports_what_would_fail_in_silence(environment, message):
    checked = check_deployment(**environment)
    assert re.findall(r"\((messaging_app.*?)\)", checked.stderr) == [message]
    # A server that terminates TLS itself has no proxy.
    assert checked.returncode == 0


def test_verification_without_a_mail_server_fails_the_deployment_check():
    """Nobody who registers could sign in."""
    checked = check_deployment(EMAIL_VERIFICATION="1", EMAIL_URL="")
    assert checked.returncode != 0
    assert "(messaging_app.E002) EMAIL_VERIFICATION is on" in checked.stderr
    assert check_deployment(EMAIL_VERIFICATION="1").returncode == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SECRET_KEY": SECRET_KEY[:50], "DEBUG": ""}, {"DEBUG": False}),
        ({"SECRET_KEY": "short"}, {"SECRET_KEY": "short", "DEBUG": True}),
        ({}, {"DEBUG": True}),
        (
            {"ALLOWED_HOSTS": "a.example, .b.example,[::1]"},
            {"ALLOWED_HOSTS": ["a.example", ".b.example", "[::1]"]},
        ),
        (
            {"EMAIL_URL": "submission://chat%40example.com:pw@mail.example.com"},
            {
                "EMAIL_HOST": "mail.example.com",
                "EMAIL_PORT": 587,
                "EMAIL_HOST_USER": "chat@example.com",
                "EMAIL_USE_TLS": True,
                "EMAIL_TIMEOUT": 10,
            },
        ),
        (
            {"EMAIL_URL": "smtp://[::1]:2525?ssl=true"},
            {"EMAIL_HOST": "::1", "EMAIL_PORT": 2525, "EMAIL_USE_SSL": True},
        ),
        ({"CACHE_URL": "redis://u:%3B@[::1]/1"}, {"CACHE_URL": "redis://u:%3B@[::1]/1"}),
        ({"CACHE_URL": "redis:///"}, {"CACHE_URL": "redis:///"}),
        ({"CACHE_URL": "unix:///run/a?db=1"}, {"CACHE_URL": "unix:///run/a?db=1"}),
        (
            {"DEFAULT_FROM_EMAIL": '"Chat @ home" <chat@localhost>'},
            {"DEFAULT_FROM_EMAIL": '"Chat @ home" <chat@localhost>'},
        ),
        (
            {"CACHE_URL": "rediss://a?ssl_cert_reqs=none"},
            {"CACHE_URL": "rediss://a?ssl_cert_reqs=none"},
        ),
        (
            {"DATABASE_URL": "postgres:///b?host=/socket"},
            {"DATABASES.default.HOST": "/socket", "DATABASES.default.NAME": "b"},
        ),
        (
            {"DATABASE_URL": "postgresql://u:p%40@%2Fvar%2Frun/b"},
            {"DATABASES.default.PASSWORD": "p@", "DATABASES.default.HOST": "/var/run"},
        ),
        (
            {"CORS_ALLOWED_ORIGINS": "http://localhost:3000,https://[::1],capacitor://localhost"},
            {
                "CORS_ALLOWED_ORIGINS": [
                    "http://localhost:3000",
                    "https://[::1]",
                    "capacitor://localhost",
                ]
            },
        ),
        (
            {"CACHE_URL": "unix:///run/redis.sock?db=1"},
            {"CACHE_URL": "unix:///run/redis.sock?db=1"},
        ),
        ({"CACHE_URL": "redis:///1"}, {"CACHE_URL": "redis:///1"}),
        (
            {"DATABASE_URL": "postgres://?service=chat"},
            {"DATABASES.default.OPTIONS.service": "chat", "DATABASES.default.NAME": ""},
        ),
        (
            {"CSRF_TRUSTED_ORIGINS": "https://*.example.com,https://a.example:8443"},
            {"CSRF_TRUSTED_ORIGINS": ["https://*.example.com", "https://a.example:8443"]},
        ),
        ({"PASSWORD_RESET_URL": "chat://new"}, {"PASSWORD_RESET_URL": "chat://new"}),
        ({"VERIFY_EMAIL_URL": "chat://new"}, {"VERIFY_EMAIL_URL": "chat://new"}),
        ({"EMAIL_VERIFICATION": "1"}, {"EMAIL_VERIFICATION": True}),
        ({}, {"EMAIL_VERIFICATION": False}),
        ({}, {"ADMIN_PATH": "admin/"}),
        ({"ADMIN_PATH": ""}, {"ADMIN_PATH": "admin/"}),
        (
            {"ADMIN_PATH": "api-1/staff-only/", "SCRIPT_NAME": "/api-1/staff"},
            {"ADMIN_PATH": "api-1/staff-only/"},
        ),
        (
            {"PORT": "8001", "SCRIPT_NAME": "/chat"},
            {
                "PASSWORD_RESET_URL": "http://127.0.0.1:8001/chat/#reset",
                "VERIFY_EMAIL_URL": "http://127.0.0.1:8001/chat/#verify",
            },
        ),
        (
            {"DEBUG": "0", "SECRET_KEY": SECRET_KEY},
            {"PASSWORD_RESET_URL": "", "VERIFY_EMAIL_URL": ""},
        ),
        (
            {"DEBUG": "0", "SECRET_KEY": SECRET_KEY, "EMAIL_URL": "console:"},
            {"EMAIL_BACKEND": "messaging_app.backends.mail.NotSent"},
        ),
        (
            {"EMAIL_URL": "submit://h?tls=1"},
            {"EMAIL_HOST": "h", "EMAIL_PORT": 587, "EMAIL_USE_TLS": True},
        ),
        ({}, {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}),
        (
            {"DEBUG": "0", "SECRET_KEY": SECRET_KEY},
            {"EMAIL_BACKEND": "messaging_app.backends.mail.NotSent"},
        ),
        ({}, {"FORCE_SCRIPT_NAME": None, "SESSION_COOKIE_PATH": "/", "CSRF_COOKIE_PATH": "/"}),
        (
            {"SCRIPT_NAME": "/api-1/chat"},
            {"FORCE_SCRIPT_NAME": "/api-1/chat", "SESSION_COOKIE_PATH": "/api-1/chat/"},
        ),
        (
            {"THROTTLE_WRITE": "off"},
            {"REST_FRAMEWORK.DEFAULT_THROTTLE_RATES.write": None},
        ),
        ({}, {"REST_FRAMEWORK.NUM_PROXIES": 0, "SECURE_PROXY_SSL_HEADER": None}),
        (
            {"DATABASE_URL": "postgres://a/b", "PGOPTIONS": "-c statement_timeout=7s"},
            {"DATABASES.default.OPTIONS.options": f"{as_options(SESSION)} -c statement_timeout=7s"},
        ),
        (
            {"DATABASE_URL": "postgres://a/b"},
            {
                "DATABASES.default.OPTIONS.server_side_binding": True,
                "DATABASES.default.OPTIONS.prepare_threshold": 1,
            },
        ),
        (
            {"DATABASE_URL": "postgres://a/b", "DATABASE_POOLER": "1", "PGOPTIONS": "-c a=b"},
            {
                "DATABASES.default.OPTIONS.server_side_binding": False,
                "DATABASES.default.OPTIONS.prepare_threshold": None,
                "DATABASES.default.OPTIONS.options": "",
                "DATABASES.default.OPTIONS.target_session_attrs": "any",
                "DATABASES.default.DISABLE_SERVER_SIDE_CURSORS": True,
            },
        ),
        (
            {"DATABASE_URL": "postgres://u:p,w@a:6543,10.0.0.1,[::1]:1/b?sslmode=require"},
            {
                "DATABASES.default.PASSWORD": "p,w",
                "DATABASES.default.HOST": "a,10.0.0.1,::1",
                "DATABASES.default.PORT": "6543,,1",
                "DATABASES.default.OPTIONS.sslmode": "require",
                "DATABASES.default.OPTIONS.target_session_attrs": "read-write",
            },
        ),
        (
            {"DATABASE_URL": "postgres://a,b/c?target_session_attrs=primary"},
            {"DATABASES.default.OPTIONS.target_session_attrs": "primary"},
        ),
        (
            {"DATABASE_URL": "postgres://a/b?options=-c%20a%3Db", "PGOPTIONS": "-c c=d"},
            {"DATABASES.default.OPTIONS.options": f"{as_options(SESSION)} -c a=b"},
        ),
        (
            {"TRUSTED_PROXIES": "2"},
            {
                "REST_FRAMEWORK.NUM_PROXIES": 2,
                "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
            },
        ),
    ],
)
def test_value_becomes_a_setting(load, environment, expected):
    environment = {name: value for name, value in ({"DEBUG": "1"} | environment).items() if value}
    defaults = {"SECURE_PROXY_SSL_HEADER": global_settings.SECURE_PROXY_SSL_HEADER}
    loaded = defaults | load(environment)
    read = {name: reduce(getitem, name.split("."), loaded) for name in expected}
    assert read == expected


class TestCrossOrigin:
    LOCAL = [
        "http://localhost",
        "https://localhost",
        "http://localhost:3000",
        "https://localhost:65535",
        "http://127.0.0.1",
        "http://127.0.0.1:5173",
        "https://127.0.0.1:8443",
    ]
    OTHERS = [
        "http://localhost.evil.com",
        "http://localhost:3000.evil.com",
        "http://localhost:3000@evil.com",
        "http://localhost:x",
        "http://localhost:",
        "http://localhost/",
        "http://evil.localhost",
        "http://notlocalhost:3000",
        "http://127.0.0.1.evil.com",
        "http://127.0.0.1:80.evil.com",
        "http://127a0b0c1",
        "http://127.0.0.10",
        "ftp://localhost",
        "file://localhost",
        "https://chat.example.com",
        "null",
    ]

    @pytest.fixture
    def get_allowed(self, load, settings, client):
        """`get_allowed(environment)`: the origins above that a response lets read it."""

        def get_allowed(environment):
            loaded = load(environment)
            for name in ("CORS_ALLOWED_ORIGINS", "CORS_ALLOWED_ORIGIN_REGEXES"):
                setattr(settings, name, loaded.get(name, []))
            allowed = []
            for origin in self.LOCAL + self.OTHERS:
                response = client.get("/api/", HTTP_ORIGIN=origin)
                if "Access-Control-Allow-Origin" in response.headers:
                    allowed.append(response.headers["Access-Control-Allow-Origin"])
            return allowed

        return get_allowed

    @pytest.mark.parametrize("empty", [{}, {"CORS_ALLOWED_ORIGINS": ""}])
    def test_local_origins_are_allowed_in_debug(self, get_allowed, empty):
        assert get_allowed({"DEBUG": "1"} | empty) == self.LOCAL

    @pytest.mark.parametrize("debug", [{}, {"DEBUG": "0"}])
    def test_local_origins_are_not_allowed_outside_debug(self, get_allowed, debug):
        assert get_allowed({"SECRET_KEY": SECRET_KEY} | debug) == []

    @pytest.mark.parametrize("debug", ["0", "1"])
    def test_setting_replaces_local_origins(self, get_allowed, debug):
        environment = {"DEBUG": debug, "SECRET_KEY": SECRET_KEY}
        for origin in ("https://chat.example.com", "http://localhost:3000"):
            assert get_allowed(environment | {"CORS_ALLOWED_ORIGINS": origin}) == [origin]


def test_seed_demo_runs_in_debug_only(tmp_path):
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/demo.sqlite3"}
    assert manage("migrate", DEBUG="1", **environment).returncode == 0
    refused = manage("seed_demo", SECRET_KEY=SECRET_KEY, **environment)
    assert refused.returncode == 1
    assert "DEBUG=1" in refused.stderr
    made = manage("seed_demo", DEBUG="1", **environment)
    assert made.returncode == 0
    assert "curl" in made.stdout


def test_command_does_not_use_the_metrics_folder_of_another_program():
    done = manage("check", DEBUG="1", PROMETHEUS_MULTIPROC_DIR="/nonexistent")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/db.sqlite3", "unable to open database file"),
        ("", "unable to open database file"),
        ("text.sqlite3", "file is not a database"),
    ],
)
def test_sqlite_file_that_cannot_be_used_is_an_error(tmp_path, name, reason):
    (tmp_path / "text.sqlite3").write_text(100 * "This is text.\n")
    url = f"sqlite:///{tmp_path}/{name}"
    done = manage("check", "--database", "default", DEBUG="1", DATABASE_URL=url)
    assert done.returncode == 1
    text = f"The SQLite file of the database “default” cannot be used: {reason}."
    assert text in done.stderr


def test_sqlite_file_that_is_read_only_is_an_error(tmp_path):
    file = tmp_path / "db.sqlite3"
    variables = {"DEBUG": "1", "DATABASE_URL": f"sqlite:///{file}"}
    assert manage("migrate", **variables).returncode == 0
    file.chmod(0o400)
    if os.access(file, os.W_OK):
        pytest.skip("root can write to every file.")
    done = manage("check", "--database", "default", **variables)
    assert done.returncode == 1
    assert "the file and its folder have to be writable" in done.stderr


def test_sqlite_commits_are_on_disk(tmp_path):
    """WAL with synchronous=FULL (2): an acknowledged commit survives a power cut (SQLite's
    documentation of PRAGMA synchronous)."""
    pragmas = (
        "from django.db import connection; cursor = connection.cursor();"
        "print([cursor.execute(f'PRAGMA {name}').fetchone()[0]"
        " for name in ('journal_mode', 'synchronous', 'busy_timeout')])"
    )
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "DEBUG": "1"}
    assert manage("shell", "-v0", "-c", pragmas, **environment).stdout == "['wal', 2, 60000]\n"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        # A slash in the password makes a part of it the port, which Python's error quotes.
        ("CACHE_URL", "redis://u:hunter2/@a"),
        ("EMAIL_URL", "smtp://u:hunter2/@a"),
        ("DATABASE_URL", "postgres://u:hunter2/@a/b"),
        ("DATABASE_URL", "postgres://u:1@hunter2@a/b"),
        ("DATABASE_URL", "postgres://u:1/hunter2@a/b"),
    ],
)
def test_error_does_not_quote_the_password_of_a_url(name, url):
    started = manage("check", SECRET_KEY=SECRET_KEY, **{name: url})
    assert f"{name} is not of the form" in started.stderr
    assert "hunter2" not in started.stderr
