"""The cast: Alice and Bob talk, Carol joins them at times, Mallory is signed in and outside."""

from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.db import connection
from django.test import Client, override_settings
from rest_framework_simplejwt.tokens import AccessToken

from chats.models import User
from chats.services import send, start
from chats.tests.support.conformance import CheckedAPIClient, get_schema

END_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
PASSWORD = "a long enough password"
# The body with which Dora registers.
NEWCOMER = {
    "email": "Dora@Example.com",
    "password": "  tide over the moor  ",
    "first_name": "Dora",
    "last_name": "Diaz",
}


def pytest_collection_modifyitems(items):
    """The long files come first, so that no process works alone at the end."""
    items.sort(key=lambda item: "system" not in item.path.parts)


@pytest.fixture(scope="session", autouse=True)
def _redis_of_this_process(worker_id):
    """Clearing a Redis cache clears its database, so each process of pytest-xdist has its own."""
    if not settings.CACHE_URL or worker_id == "master":
        yield
        return
    url = urlsplit(settings.CACHE_URL)
    number = int(url.path.removeprefix("/") or 0) + int(worker_id.removeprefix("gw"))
    url = url._replace(path=f"/{number}").geturl()
    caches = {
        alias: cache | {"LOCATION": url} if cache.get("LOCATION") == settings.CACHE_URL else cache
        for alias, cache in settings.CACHES.items()
    }
    with override_settings(CACHE_URL=url, CACHES=caches):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix):
    """pytest-django would put a file per process where SQLite's test database is in memory."""
    for database in settings.DATABASES.values():
        if database["ENGINE"] == "messaging_app.backends.sqlite":
            database.setdefault("TEST", {})["NAME"] = None


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """A pooler's connections would keep the test database from being dropped."""
    yield
    if settings.DATABASE_POOLER:
        with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
            cursor.execute(END_CONNECTIONS, [connection.settings_dict["NAME"]])


@pytest.fixture(scope="session", autouse=True)
def _no_static_files(tmp_path_factory):
    """Each new client would list the collected files again, which takes longer than most tests."""
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static")):
        yield


@pytest.fixture(scope="session")
def hashed_password():
    return make_password(PASSWORD)


@pytest.fixture(autouse=True)
def _empty_caches():
    for cache in caches.all():
        cache.clear()


@pytest.fixture
def make_user(db, hashed_password):
    def make_user(name, **fields):
        defaults = {
            "email": f"{name.lower()}@example.com",
            "first_name": name,
            "last_name": "Test",
            "password": hashed_password,
        }
        return User.objects.create(**defaults | fields)

    return make_user


@pytest.fixture
def alice(make_user):
    return make_user("Alice", phone_number="+14155552671")


@pytest.fixture
def bob(make_user):
    return make_user("Bob", phone_number="+14155552672")


@pytest.fixture
def carol(make_user):
    return make_user("Carol")


@pytest.fixture
def mallory(make_user):
    return make_user("Mallory")


@pytest.fixture
def conversation(alice, bob):
    conversation, _ = start({bob.pk}, actor=alice)
    return conversation


@pytest.fixture
def message(conversation, alice):
    message, _ = send(conversation, "Hello, Bob", actor=alice)
    return message


@pytest.fixture(scope="session")
def document():
    """The OpenAPI description. Building it takes a second."""
    return get_schema().raw_schema


@pytest.fixture
def api(document):
    """`api(alice)` is a client with an access token of Alice, `api(access=token)` one with this
    token; `api()` sends none.

    Both check every response against the OpenAPI description.
    """

    def api(user=None, access=None):
        client = CheckedAPIClient()
        if user is not None:
            access = AccessToken.for_user(user)
        if access is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
        return client

    return api


@pytest.fixture
def before_each(monkeypatch):
    """`before_each(owner, "method", call)`: the real method runs after `call()`."""

    def before_each(owner, name, call):
        method = getattr(owner, name)

        def call_first(*args, **kwargs):
            call()
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, call_first)

    return before_each


@pytest.fixture
def root(make_user):
    return make_user("Root", is_staff=True, is_superuser=True, role="admin")


@pytest.fixture
def staff(client, root):
    client.force_login(root)
    return client


@pytest.fixture
def make_staff(make_user):
    """`make_staff("view_user")` is a client of staff with only this permission."""

    def make_staff(*codenames):
        user = make_user(f"Sam{User.objects.count()}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return make_staff
