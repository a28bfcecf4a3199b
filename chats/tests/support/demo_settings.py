"""What DEBUG adds, in a server with several threads and an access log, which refuses DEBUG."""

from messaging_app.settings import *  # noqa: F403

DEBUG = False
# Standard output has nothing but the access log.
EMAIL_BACKEND = "messaging_app.backends.mail.NotSent"
