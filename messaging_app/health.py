"""/healthz and /readyz, without a token and for any host name."""

from django.core import checks
from django.core.cache import caches
from django.db import Error, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from messaging_app.backends.cache import RedisCache
from messaging_app.checks import count_missing_migrations
from messaging_app.middleware import RETRY_AFTER_SECONDS

OK = "ok"


@require_safe
@never_cache
def healthz(request):
    """The process is running."""
    return JsonResponse({"process": OK})


@require_safe
@never_cache
def readyz(request):
    """200 if the database, its migrations and the caches work, otherwise 503 with what does not."""
    database, migrations = check_database()
    checks = {"database": database, "migrations": migrations, "cache": check_caches()}
    if set(checks.values()) == {OK}:
        return JsonResponse(checks)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return JsonResponse(checks, status=503, headers=headers)


def check_database():
    try:
        missing = count_missing_migrations()
        issues = connection.validation.check()
    except Error:
        return "unavailable", "unknown"
    errors = [issue.msg for issue in issues if issue.level >= checks.ERROR]
    return " ".join(errors) or OK, f"{missing} not applied" if missing else OK


def check_caches():
    unavailable = [
        alias
        for alias in ("default", "throttles")
        if isinstance(caches[alias], RedisCache) and not caches[alias].works()
    ]
    return f"unavailable: {', '.join(unavailable)}" if unavailable else OK


class HealthMiddleware:
    """Comes before the check of the host name and the redirect to https, because probes use IP
    addresses."""

    views = {"/healthz": healthz, "/readyz": readyz}

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        view = self.views.get(request.path_info, self.get_response)
        return view(request)
