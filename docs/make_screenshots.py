"""Make docs/images/docs-page.png from a running server.

Start the server with the first command of README.md, then run
`.venv/bin/python docs/make_screenshots.py`.
"""

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 1100})
        page.goto(f"{options.url}/api/docs/")
        # Collapsed, so that conversations and messages fit into the picture.
        for tag in ("users", "token"):
            page.locator(f"#operations-tag-{tag}").click()
        page.get_by_text("/api/users/", exact=True).first.wait_for(state="hidden")
        page.screenshot(path=IMAGES / "docs-page.png")
        browser.close()


if __name__ == "__main__":
    main()
