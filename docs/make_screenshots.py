"""Make docs/images/client.png from a running server.

Start the server with the first command of README.md, on a new database, then run
`.venv/bin/python docs/make_screenshots.py`.
"""

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
NEWEST = "Not me, I'm bringing the chairs."


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 560})
        page.goto(f"{options.url}/?as=alice")
        page.get_by_role("link", name="Saturday").click()
        page.locator("#messages").get_by_text(NEWEST).wait_for()
        page.get_by_text("2 unread").wait_for(state="detached")
        page.screenshot(path=IMAGES / "client.png")
        browser.close()


if __name__ == "__main__":
    main()
