"""Before docker/serve starts: checks the settings, the database and its migrations.

In a process of its own, because it loads more than the main process of the server needs.
"""

import logging
import os
import sys

import django
from django.core import checks

from messaging_app.conf.log import log_uncaught

logger = logging.getLogger("messaging_app")


def main() -> None:
    log_uncaught()
    django.setup()
    issues = checks.run_checks(
        tags=[checks.Tags.database], databases=["default"], include_deployment_checks=True
    )
    for issue in issues:
        logger.log(issue.level, "%s", issue)
    sys.exit(any(issue.is_serious() for issue in issues))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "messaging_app.settings")
    main()
