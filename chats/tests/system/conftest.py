"""A running server, a browser, and the demo client on two origins."""

import fcntl
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright
from requests import Session

from chats.tests.support.conformance import CheckedSession
from chats.tests.support.machines import find
from chats.tests.support.proxies import RedirectingServer
from chats.tests.support.servers import Database, Server, manage, running, serve_files
from chats.tests.support.windows import FRONTEND, IS_FIREFOX, Browser

# Browsers wait for as long as this when the machine is busy.
expect.set_options(timeout=30_000)


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
def running_server(tmp_path_factory, django_db_blocker, static_files, document):
    folder = tmp_path_factory.mktemp("server")
    with (
        django_db_blocker.unblock(),
        running(Server(Database(folder), folder, CheckedSession)) as server,
    ):
        yield server


@pytest.fixture
def server(running_server):
    """Shared: each test has people of its own on it, and may restart it as it likes."""
    yield running_server
    if not running_server.is_as_usual:
        running_server.restart()


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory, django_db_blocker):
    """With the demo data and the demo client, as `manage.py runserver` has them in DEBUG."""
    folder = tmp_path_factory.mktemp("demo")
    database = Database(folder, f"sqlite:///{folder}/demo.sqlite3")
    manage("seed_demo", DATABASE_URL=database.url, DEBUG="1")
    # A search sends two requests, of which one waits.
    variables = {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "chats.tests.support.demo_settings"}
    variables |= {"CACHE_URL": "", "THROTTLE_SEARCH": "1/s", "MAILS": str(folder / "mails")}
    server = Server(database, folder, Session, **variables)
    server.mails = folder / "mails"
    with running(server, workers=1):
        yield server


@pytest.fixture(scope="module")
def proxied_server(tmp_path_factory, static_files, django_db_blocker):
    folder = tmp_path_factory.mktemp("proxied")
    url = f"sqlite:///{folder}/proxied.sqlite3"
    with django_db_blocker.unblock():
        server = RedirectingServer(Database(folder, url), folder, Session, CACHE_URL="")
    with running(server, workers=1):
        yield server


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


def launch(playwright):
    """Chromium's headless shell, or else Chromium; with BROWSER=firefox, Firefox."""
    if IS_FIREFOX:
        firefox = find("firefox-esr")
        return playwright.firefox.launch(channel="moz-firefox", executable_path=firefox)
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    chromium = shutil.which("chromium-headless-shell") or find("chromium")
    return playwright.chromium.launch(executable_path=chromium, args=options)


@pytest.fixture(scope="module")
def browser_engine(django_db_blocker):
    """Ends with the module, because tests of others run event loops of their own."""
    with sync_playwright() as playwright:
        engine = launch(playwright)
        # Playwright has an event loop, in which Django refuses to ask the database.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
            yield engine
        engine.close()


@pytest.fixture(scope="session")
def other_origin(demo_server, tmp_path_factory):
    """The demo client as files on another origin than the API."""
    folder = tmp_path_factory.mktemp("hosted")
    for file in FRONTEND.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    page = folder / "index.html"
    html = page.read_text()
    assert '<meta name="api" content="/api">' in html
    page.write_text(html.replace('content="/api"', f'content="{demo_server.url}"'))
    with serve_files(folder) as origin:
        yield origin


@pytest.fixture
def open_browser(browser_engine, demo_server):
    """`open_browser(alice)` is a Browser in which Alice is signed in."""
    browsers = []

    def open_browser(person=None, origin=demo_server.site, **options):
        browsers.append(Browser(browser_engine, origin, demo_server, person, **options))
        return browsers[-1]

    yield open_browser
    for browser in browsers:
        browser.context.close()
    assert [complaint for browser in browsers for complaint in browser.complaints] == []


@pytest.fixture
def alice(demo_server):
    return demo_server.sign_up("Alice")


@pytest.fixture
def bob(demo_server):
    return demo_server.sign_up("Bob")
