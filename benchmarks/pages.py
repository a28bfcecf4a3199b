"""`python -m benchmarks.pages`: how soon a message is seen in another person's page.

Two people have their conversation open in the demo client, in two pages of one Chromium. They take
turns. The time is from the press of Enter in one page to the frame in which the other one shows the
text. Both pages read the clock of this machine.
"""

import argparse
import os
from contextlib import ExitStack
from io import StringIO
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import django
from playwright.sync_api import sync_playwright

from benchmarks.server import BASE_DIR, Server, environment

COMMAND = "python manage.py runserver --noreload $PORT 2> /dev/null"
WARM_UP = 10  # messages
NOW = "performance.timeOrigin + performance.now()"
# The first frame that has the text ends when the next one begins.
WATCH = f"""() => {{
    addEventListener("keydown", ({{ key }}) => {{
        if (key === "Enter") window.pressed = {NOW};
    }}, true);
    const look = () => {{
        const {{ textContent }} = document.querySelector("#messages > :last-child .text");
        requestAnimationFrame(() => requestAnimationFrame(() => {{
            if (window.seen?.text !== textContent) window.seen = {{ text: textContent, at: {NOW} }};
        }}));
    }};
    new MutationObserver(look).observe(document.querySelector("#messages"), {{ childList: true }});
}}"""


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--database", help="the URL of an empty database")
    parser.add_argument("--cache", default="", help="the URL of Redis")
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        url = options.database or f"sqlite:///{folder}/pages.sqlite3"
        variables = environment(url) | {"CACHE_URL": options.cache, "DEBUG": "1"}
        os.environ.update(variables)
        django.setup()
        prepare()
        server = stack.enter_context(Server(COMMAND, BASE_DIR, variables))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        times = measure(browser, server, options.messages)
        browser.close()
    p95 = quantiles(times, n=20)[-1]
    print(f"{len(times)} messages: median {median(times):.0f} ms, 95th percentile {p95:.0f} ms.")


def prepare():
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("seed_demo", stdout=StringIO())


def measure(browser, server, messages):
    """Milliseconds."""
    pages = [
        open_page(browser, server, *names)
        for names in (("alice", "Bob Baker"), ("bob", "Alice Archer"))
    ]
    times = []
    for n in range(WARM_UP + messages):
        writer, reader = pages if n % 2 else reversed(pages)
        writer.keyboard.type(f"No. {n}")
        writer.keyboard.press("Enter")
        seen = "text => window.seen?.text === text"
        reader.wait_for_function(seen, arg=f"No. {n}", polling=50)
        times.append(reader.evaluate("window.seen.at") - writer.evaluate("window.pressed"))
    return times[WARM_UP:]


def open_page(browser, server, name, other):
    page = browser.new_context().new_page()
    page.goto(f"{server.url}/?as={name}")
    page.locator("#inbox").get_by_role("link", name=other).first.click()
    page.get_by_label("Message", exact=True).focus()
    page.evaluate(WATCH)
    return page


if __name__ == "__main__":
    main()
