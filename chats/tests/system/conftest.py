"""A running server, a browser, and a front end on another origin."""

import fcntl
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect, sync_playwright

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.servers import Database, Server, manage, serve_files
from chats.tests.support.services import find

# Browsers wait for as long as this when the machine is busy.
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items):
    """One process runs the tests of a module that share a running server."""
    for item in items:
        if "running_server" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))


@pytest.fixture(scope="session")
def front_end(tmp_path_factory):
    """A folder whose files are served from another origin, which the server allows."""
    folder = tmp_path_factory.mktemp("front_end")
    with serve_files(folder) as origin:
        yield SimpleNamespace(folder=folder, origin=origin)


@pytest.fixture(scope="session")
def static_files(tmp_path_factory, worker_id):
    """Collected by the first process of pytest-xdist, before any server reads them."""
    if worker_id == "master":
        manage("collectstatic", "--noinput")
        return
    shared = tmp_path_factory.getbasetemp().parent
    with (shared / "static_files.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        collected = shared / "static_files.collected"
        if not collected.exists():
            manage("collectstatic", "--noinput")
            collected.touch()


@pytest.fixture(scope="session")
def running_server(tmp_path_factory, django_db_blocker, front_end, static_files):
    folder = tmp_path_factory.mktemp("server")
    with django_db_blocker.unblock():
        server = Server(
            Database(folder), folder, CheckedSession, CORS_ALLOWED_ORIGINS=front_end.origin
        )
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


@pytest.fixture
def people(server):
    return [server.sign_up(name) for name in ("alice", "bob", "carol", "dora")]


@pytest.fixture
def conversation_id(people):
    alice, *others = people
    return alice.start(*others).json()["conversation_id"]


@pytest.fixture
def path(conversation_id):
    return f"/conversations/{conversation_id}/messages/"


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
