"""What DEBUG adds, in a server with several threads and an access log, which refuses DEBUG."""

import os

from messaging_app.settings import *  # noqa: F403

DEBUG = False
# Standard output has nothing but the access log.
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = os.environ.get("MAILS")
