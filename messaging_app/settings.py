"""Django's settings. `env` and `databases` read the environment; README.md lists the variables."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from csp.constants import NONE, SELF

from messaging_app.conf import env
from messaging_app.conf.caches import build_caches
from messaging_app.conf.databases import read_database
from messaging_app.conf.log import build_logging
from messaging_app.conf.mail import read_mail, read_mail_address
from messaging_app.conf.spectacular import SPECTACULAR_SETTINGS

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.boolean("DEBUG")
LOGGING = build_logging(env.log_level("LOG_LEVEL", "INFO"), is_debug=DEBUG)
# Signs the tokens: whoever guesses it can sign in as anybody.
if DEBUG:
    SECRET_KEY = env.get("SECRET_KEY") or "development-only-" + "x" * 48
else:
    SECRET_KEY = env.secret_key("SECRET_KEY", min_characters=50)
ALLOWED_HOSTS = env.host_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

ROOT_URLCONF = "messaging_app.urls"
WSGI_APPLICATION = "messaging_app.wsgi.application"
# The path at which a proxy serves the program.
PATH_PREFIX = env.path_prefix("SCRIPT_NAME")
ADMIN_PATH = env.admin_path("ADMIN_PATH", "admin/", PATH_PREFIX)
FORCE_SCRIPT_NAME = PATH_PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PATH_PREFIX}/"
if PATH_PREFIX:
    SPECTACULAR_SETTINGS = SPECTACULAR_SETTINGS | {"SERVERS": [{"url": PATH_PREFIX}]}
# What docker/serve starts. Each of the THREADS of a process has a connection to the database.
HOST = env.get("HOST") or "127.0.0.1"
PORT = env.integer("PORT", 8000, 1, 65_535)
WORKERS = env.integer("WORKERS", 2, 1, 100)
THREADS = env.integer("THREADS", 4, 1, 100)
METRICS_ADDRESS = env.socket_address("METRICS_ADDRESS")

INSTALLED_APPS = [
    "messaging_app.apps.AdminConfig",
    # Before Django's auth and simplejwt, because it replaces one command of each.
    "chats",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # WhiteNoise serves these files in DEBUG, too.
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "csp",
    "django_filters",
    "django_guid",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
]

MIDDLEWARE = [
    "django_guid.middleware.guid_middleware",
    "messaging_app.health.HealthMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "messaging_app.middleware.ApiMiddleware",
    "messaging_app.middleware.ErrorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "messaging_app.pages.PagesCSPMiddleware",
    "messaging_app.pages.PagesWhiteNoiseMiddleware",
    "messaging_app.pages.PagesSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "messaging_app.pages.PagesAuthenticationMiddleware",
    "messaging_app.pages.PagesMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if METRICS_ADDRESS:
    MIDDLEWARE.insert(0, "messaging_app.metrics.EndpointMiddleware")

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

TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "messaging_app.conf"
STATIC_URL = f"{PATH_PREFIX}/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"}}

# The demo client, which is served at /.
FRONTEND_ROOT = BASE_DIR / "frontend" if DEBUG else None
if DEBUG:
    SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"].append("messaging_app.frontend.sign_in_as_demo")

SQLITE_URL = f"sqlite:///{quote(str(BASE_DIR / 'db.sqlite3'))}"
DATABASE_POOLER = env.boolean("DATABASE_POOLER")
DATABASES = {"default": read_database("DATABASE_URL", SQLITE_URL, DATABASE_POOLER)}
if env.get("SOURCE_DATABASE_URL"):
    # For `manage.py copy_database`.
    DATABASES["source"] = read_database("SOURCE_DATABASE_URL")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SERIALIZATION_MODULES = {
    name: f"messaging_app.backends.fixtures.{name}" for name in ("json", "jsonl", "yaml", "xml")
}

CACHE_URL = env.redis_url("CACHE_URL")
CACHES = build_caches(CACHE_URL, env.redis_url("THROTTLE_CACHE_URL"))

AUTH_USER_MODEL = "chats.User"
# Only one: with a second, the time of a sign-in would reveal which accounts have the other hash.
PASSWORD_HASHERS = ["messaging_app.backends.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "chats.passwords.NormalizedPasswordValidator",
        "OPTIONS": {"name": f"django.contrib.auth.password_validation.{name}"},
    }
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.integer("ACCESS_TOKEN_MINUTES", 15, 1, 525_600)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.integer("REFRESH_TOKEN_DAYS", 14, 1, 3_650)),
    # In seconds: another machine's clock may be ahead.
    "LEEWAY": 10,
    # A token says which password it was issued under; another password ends it.
    "CHECK_REVOKE_TOKEN": True,
    "USER_ID_FIELD": "user_id",
    "AUTH_HEADER_TYPES": ("Bearer", "bearer"),
    "TOKEN_OBTAIN_SERIALIZER": "chats.auth.TokenObtainSerializer",
    "TOKEN_REFRESH_SERIALIZER": "chats.auth.TokenRefreshSerializer",
    "TOKEN_VERIFY_SERIALIZER": "chats.auth.TokenVerifySerializer",
    "TOKEN_BLACKLIST_SERIALIZER": "chats.auth.TokenBlacklistSerializer",
}

mail = read_mail("EMAIL_URL", is_debug=DEBUG)
EMAIL_BACKEND = mail["EMAIL_BACKEND"]
EMAIL_HOST = mail["EMAIL_HOST"]
EMAIL_PORT = mail["EMAIL_PORT"]
EMAIL_HOST_USER = mail["EMAIL_HOST_USER"]
EMAIL_HOST_PASSWORD = mail["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = mail["EMAIL_USE_TLS"]
EMAIL_USE_SSL = mail["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = read_mail_address("DEFAULT_FROM_EMAIL", "webmaster@localhost")
# In DEBUG, links in e-mails lead to the demo client.
DEMO_CLIENT = f"http://127.0.0.1:{PORT}{PATH_PREFIX}/"
PASSWORD_RESET_URL = env.page_url("PASSWORD_RESET_URL", f"{DEMO_CLIENT}#reset" if DEBUG else "")
VERIFY_EMAIL_URL = env.page_url("VERIFY_EMAIL_URL", f"{DEMO_CLIENT}#verify" if DEBUG else "")
# Whether users sign in, and can be found, only after they have followed a link to their address.
EMAIL_VERIFICATION = env.boolean("EMAIL_VERIFICATION")

TRUSTED_PROXIES = env.integer("TRUSTED_PROXIES", 0, 0, 100)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["chats.auth.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["chats.rest.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["chats.rest.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["chats.rest.filters.QueryParameterBackend"],
    "DEFAULT_THROTTLE_CLASSES": ["chats.rest.throttling.UserThrottle"],
    "DEFAULT_THROTTLE_RATES": {
        "sign_in": env.rate("THROTTLE_SIGN_IN", "10/min"),
        "register": env.rate("THROTTLE_REGISTER", "20/hour"),
        "reset": env.rate("THROTTLE_RESET", "5/hour"),
        "write": env.rate("THROTTLE_WRITE", "120/min"),
        "search": env.rate("THROTTLE_SEARCH", "60/min"),
        "refresh": env.rate("THROTTLE_REFRESH", "60/min"),
    },
    "NUM_PROXIES": TRUSTED_PROXIES,
    "EXCEPTION_HANDLER": "chats.rest.exceptions.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "chats.rest.openapi.AutoSchema",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["chats.rest.renderers.JSONRenderer"],
}

API_REQUEST_MAX_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

CORS_ALLOWED_ORIGINS = env.origin_list("CORS_ALLOWED_ORIGINS")
if DEBUG and not CORS_ALLOWED_ORIGINS:
    # The development server of a front end.
    CORS_ALLOWED_ORIGIN_REGEXES = [r"https?://(localhost|127\.0\.0\.1)(:[0-9]+)?\Z"]
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [
    *["authorization", "content-type", "idempotency-key", "if-match", "if-none-match"],
    *["x-csrftoken", "x-requested-with"],
]
CORS_EXPOSE_HEADERS = ["ETag", "Retry-After", "Idempotent-Replayed", "X-Request-ID"]

if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CSRF_TRUSTED_ORIGINS = env.trusted_origin_list("CSRF_TRUSTED_ORIGINS")
SECURE_SSL_REDIRECT = env.boolean("SECURE_SSL_REDIRECT")
SECURE_HSTS_SECONDS = env.integer("SECURE_HSTS_SECONDS", 0, 0, 2**31)
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

DJANGO_GUID = {"GUID_HEADER_NAME": "X-Request-ID", "EXPOSE_HEADER": False}
