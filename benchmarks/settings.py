"""The program's own settings, and a bare view beside it."""

from messaging_app.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
