"""The commands and examples of README.md and docs/, for the tests that run them."""

import re

from django.conf import settings

README = settings.BASE_DIR / "README.md"
API_GUIDE = settings.BASE_DIR / "docs/api.md"
OPERATING = settings.BASE_DIR / "docs/operating.md"


def section(page, title):
    return page.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(language, text):
    return re.findall(rf"^```{language}\n(.*?)```", text, re.DOTALL | re.MULTILINE)
