"""For load balancers and those who watch: without a token, whatever host name is asked for."""

from django.core.cache import caches
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from messaging_app.cache import RedisCache

OK = "ok"
RETRY_AFTER_SECONDS = 5


@require_safe
@never_cache
def healthz(request):
    """The process answers."""
    return JsonResponse({"process": OK})


@require_safe
@never_cache
def readyz(request):
    """What the process needs answers: 200, or 503 with what is wrong."""
    database, migrations = check_database()
    checks = {"database": database, "migrations": migrations, "cache": check_cache()}
    if set(checks.values()) == {OK}:
        return JsonResponse(checks)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return JsonResponse(checks, status=503, headers=headers)


def check_database():
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "does not answer", "unknown"
    return OK, f"{len(missing)} not applied" if missing else OK


def check_cache():
    cache = caches["default"]
    try:
        if isinstance(cache, RedisCache):
            cache.ping()
    except RedisError:
        return "does not answer"
    return OK


class HealthMiddleware:
    """Before what looks at the host name and redirects to https: probes ask by IP address."""

    views = {"/healthz": healthz, "/readyz": readyz}

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        view = self.views.get(request.path_info, self.get_response)
        return view(request)
