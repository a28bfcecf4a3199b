"""All settings come from the environment and are read here alone; the README lists them."""

import re
from datetime import timedelta
from pathlib import Path

import dj_email_url
from corsheaders.defaults import default_methods
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env, validate
from redis.backoff import NoBackoff
from redis.retry import Retry

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()


HOST = r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])"
# What a browser sends as Origin: scheme, host and port, in lower case and without a path.
ORIGIN = r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?"


def items(name, pattern, example, default=()):
    """The values of a comma-separated list, each of which matches the pattern."""
    values = [value.strip() for value in env.list(name, list(default))]
    for value in values:
        if not re.fullmatch(pattern, value):
            raise ImproperlyConfigured(f"{name}: {value!r} is not of the form {example}.")
    return values


def matching(name, pattern, example, default):
    """The value, all of which matches the pattern."""
    value = env.str(name, default)
    if not re.fullmatch(pattern, value):
        raise ImproperlyConfigured(f"{name} is not of the form {example}.")
    return value


def rate(name, default):
    """`10/min`; None for `off`."""
    period = "s|sec|second|m|min|minute|h|hour|d|day"
    pattern = validate.Regexp(rf"(off|[1-9][0-9]{{0,8}}/({period}))\Z")
    value = env.str(name, default, validate=pattern)
    return None if value == "off" else value


def between(low, high):
    return validate.Range(min=low, max=high)


# --- Core

DEBUG = env.bool("DEBUG", False)

SECRET_KEY = env.str("SECRET_KEY", "development-only-" + "x" * 48 if DEBUG else "")
if not SECRET_KEY.strip():
    raise ImproperlyConfigured(
        "SECRET_KEY is not set: set it to a long random string, or DEBUG=1 for development."
    )

ALLOWED_HOSTS = items(
    "ALLOWED_HOSTS",
    rf"\*|\.?{HOST}",
    "chat.example.com (without scheme and port)",
    ["localhost", "127.0.0.1", "[::1]"],
)

ROOT_URLCONF = "messaging_app.urls"
WSGI_APPLICATION = "messaging_app.wsgi.application"

INSTALLED_APPS = [
    "messaging_app.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "csp",
    "django_filters",
    "django_guid",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "chats",
]

MIDDLEWARE = [
    "django_guid.middleware.guid_middleware",
    "messaging_app.health.HealthMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "messaging_app.middleware.ApiMiddleware",
    "messaging_app.middleware.ErrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"}}

# --- Database and cache


def database(name, default):
    parsed = env.dj_db_url(name, default, conn_max_age=60, conn_health_checks=True)
    if parsed["NAME"] in {"", ":memory:"} or parsed["ENGINE"] not in {
        "django.db.backends.sqlite3",
        "django.db.backends.postgresql",
    }:
        raise ImproperlyConfigured(
            f"{name} is not of the form sqlite:///file or postgres://user:password@host/database."
        )
    if parsed["ENGINE"] == "django.db.backends.sqlite3":
        parsed["OPTIONS"] = {
            # A transaction that reads first and writes later fails at once when another one has
            # written in between; IMMEDIATE queues it instead, for as long as the timeout.
            "transaction_mode": "IMMEDIATE",
            "timeout": 60,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    else:
        # So that a server that is gone is noticed. In seconds; the last one in milliseconds.
        parsed["OPTIONS"] = {
            "connect_timeout": 5,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        } | parsed.get("OPTIONS", {})
    return parsed


DATABASES = {"default": database("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if env.str("SOURCE_DATABASE_URL", ""):
    # For `manage.py copy_database`.
    DATABASES["source"] = database("SOURCE_DATABASE_URL", "")

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOCAL_CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        # With views.CACHED_PAGE_MAX_BYTES this keeps a process under 64 MiB of pages.
        "OPTIONS": {"MAX_ENTRIES": 1000},
    },
    "throttles": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "throttles",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}
CACHE_URL = env.str("CACHE_URL", "")
if not CACHE_URL:
    CACHES = LOCAL_CACHES
elif re.fullmatch(r"rediss?://([^\s/]*@)?" + HOST + r"(:[0-9]{1,5})?(/[0-9]*)?", CACHE_URL):
    CACHES = {f"local_{alias}": cache for alias, cache in LOCAL_CACHES.items()} | {
        alias: {
            "BACKEND": "messaging_app.cache.RedisCache",
            "LOCATION": CACHE_URL,
            "KEY_PREFIX": alias,
            "LOCAL": f"local_{alias}",
            # One more try at once, for a connection that Redis has closed in the meantime.
            "OPTIONS": {
                "socket_connect_timeout": 1,
                "socket_timeout": 1,
                "retry": Retry(NoBackoff(), 1),
            },
        }
        for alias in LOCAL_CACHES
    }
else:
    raise ImproperlyConfigured("CACHE_URL is not of the form redis://host:6379/0.")

# --- People

AUTH_USER_MODEL = "chats.User"
# Alone: how long a sign-in takes would tell accounts with another hash from unknown ones.
PASSWORD_HASHERS = ["messaging_app.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(
        minutes=env.int("ACCESS_TOKEN_MINUTES", 15, validate=between(1, 525_600))
    ),
    "REFRESH_TOKEN_LIFETIME": timedelta(
        days=env.int("REFRESH_TOKEN_DAYS", 14, validate=between(1, 3_650))
    ),
    # In seconds: another machine's clock may be ahead.
    "LEEWAY": 10,
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    # A token says which password it was issued under; another password ends it.
    "CHECK_REVOKE_TOKEN": True,
    "USER_ID_FIELD": "user_id",
    "AUTH_HEADER_TYPES": ("Bearer", "bearer"),
    "TOKEN_OBTAIN_SERIALIZER": "chats.auth.TokenObtainSerializer",
    "TOKEN_REFRESH_SERIALIZER": "chats.auth.TokenRefreshSerializer",
    "TOKEN_VERIFY_SERIALIZER": "chats.auth.TokenVerifySerializer",
    "TOKEN_BLACKLIST_SERIALIZER": "chats.auth.TokenBlacklistSerializer",
}

# --- E-mail

EMAIL = matching(
    "EMAIL_URL",
    rf"console:|file:///\S+|(smtp|submission)://([^\s/@]+@)?{HOST}(:[0-9]{{1,5}})?/?(\?(tls|ssl)=true)?",
    "submission://user:password@mail.example.com",
    "console:",
)
globals().update(dj_email_url.parse(EMAIL))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = matching(
    "DEFAULT_FROM_EMAIL",
    r"[^\s<>@]+@[^\s<>@,]+|[^\r\n<>]+ <[^\s<>@]+@[^\s<>@,]+>",
    "Chat <chat@example.com>",
    "webmaster@localhost",
)
PASSWORD_RESET_URL = matching(
    "PASSWORD_RESET_URL",
    rf"(https?://{HOST}(:[0-9]{{1,5}})?(/[^\s#]*)?)?",
    "https://chat.example.com/new-password",
    "",
)

# --- API

TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0, validate=between(0, 100))

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["chats.auth.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["chats.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["chats.filters.QueryParameterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["chats.throttling.WriteThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "sign_in": rate("THROTTLE_SIGN_IN", "10/min"),
        "register": rate("THROTTLE_REGISTER", "20/hour"),
        "reset": rate("THROTTLE_RESET", "5/hour"),
        "write": rate("THROTTLE_WRITE", "120/min"),
    },
    "NUM_PROXIES": TRUSTED_PROXIES,
    "EXCEPTION_HANDLER": "chats.exceptions.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "chats.openapi.schema.AutoSchema",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Messaging API",
    "DESCRIPTION": """\
Conversations between people. Register, sign in with `POST /api/token/`, and send the `access`
token with every further call: `Authorization: Bearer …`.

All bodies are JSON, errors too; times are UTC. Every path ends with a slash: without it `GET` is
redirected, and any other verb gets a 404 that names the right path. A verb that a path does not
have is a 405; `HEAD` answers as `GET` does. Every answer of the program has an `X-Request-ID`. What
the server in front of it refuses, a path over 8,000 bytes or headers that are too long, is a 414 or
431 in HTML.
""",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/",
    "SCHEMA_COERCE_PATH_PK_SUFFIX": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENFORCE_NON_BLANK_FIELDS": True,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "ENUM_NAME_OVERRIDES": {"Role": "chats.models.User.Role"},
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "TAGS": [{"name": name} for name in ("users", "token", "conversations", "messages", "root")],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "chats.openapi.schema.add_components",
    ],
}

API_REQUEST_MAX_BYTES = 1024 * 1024

CORS_ALLOWED_ORIGINS = items("CORS_ALLOWED_ORIGINS", ORIGIN, "https://chat.example.com")
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_METHODS = default_methods
CORS_ALLOW_HEADERS = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
]
CORS_EXPOSE_HEADERS = ["ETag", "Retry-After", "Idempotent-Replayed"]

# --- Behind TLS

if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CSRF_TRUSTED_ORIGINS = items("CSRF_TRUSTED_ORIGINS", ORIGIN, "https://chat.example.com")
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", False)
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 0, validate=between(0, 2**31))
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Logging: to standard error; a 4xx is the client's affair and is not logged

DJANGO_GUID = {"GUID_HEADER_NAME": "X-Request-ID", "EXPOSE_HEADER": False}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "django_guid.log_filters.CorrelationId"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {correlation_id} {name} {message}", "style": "{"}
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        }
    },
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO"},
        "django.request": {"level": "ERROR"},
    },
}
