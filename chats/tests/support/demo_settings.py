"""What DEBUG adds, in a server with several threads and an access log, which refuses DEBUG."""

from messaging_app.settings import *  # noqa: F403

DEBUG = False
