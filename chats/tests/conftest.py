"""The cast: Alice and Bob talk, Carol joins them at times, Mallory is signed in and outside."""

from types import SimpleNamespace

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import caches
from playwright.sync_api import sync_playwright
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from chats.models import Conversation, User
from chats.tests import conformance
from chats.tests.servers import Database, Server, manage, serve_files
from chats.tests.services import find

PASSWORD = "a long enough password"


@pytest.fixture(scope="session", autouse=True)
def _every_answer_is_as_described():
    """But those to other processes that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        conformance.check_test_client(patch)
        conformance.check_requests(patch)
        yield


@pytest.fixture
def breaks_on_purpose(monkeypatch):
    """No 500 is described."""
    monkeypatch.setattr(conformance, "check_answer", lambda *_: None)


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
    conversation, _ = Conversation.objects.start(alice, {bob.pk})
    return conversation


@pytest.fixture
def message(conversation, alice):
    message, _ = conversation.send(alice, "Hello, Bob")
    return message


@pytest.fixture
def api():
    """`api(alice)` is a client with a real access token of hers; `api()` has none."""

    def api(user=None):
        client = APIClient()
        if user is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Bearer {AccessToken.for_user(user)}")
        return client

    return api


@pytest.fixture(scope="session")
def front_end(tmp_path_factory):
    """A folder whose files are served from another origin, which the server allows."""
    folder = tmp_path_factory.mktemp("front_end")
    with serve_files(folder) as origin:
        yield SimpleNamespace(folder=folder, origin=origin)


@pytest.fixture(scope="session")
def running_server(tmp_path_factory, django_db_blocker, front_end):
    folder = tmp_path_factory.mktemp("server")
    manage("collectstatic", "--noinput")
    with django_db_blocker.unblock():
        server = Server(Database(folder), folder, CORS_ALLOWED_ORIGINS=front_end.origin)
        try:
            server.start()
            yield server
        finally:
            server.kill()
            server.database.drop()


@pytest.fixture
def server(running_server):
    """Shared: each test has people of its own on it, and may restart it as it likes."""
    yield running_server
    if not running_server.is_as_usual:
        running_server.restart()


@pytest.fixture(scope="session")
def chromium(django_db_blocker):
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=options)
        # Playwright has an event loop, in which Django refuses to ask the database.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
            yield browser
        browser.close()
