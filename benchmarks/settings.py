"""The program's own settings, and a bare view beside it."""

import os
from itertools import count

from messaging_app.settings import *  # noqa: F403
from messaging_app.settings import CACHES

ROOT_URLCONF = "benchmarks.urls"

numbers = count()


def never_the_same_key(key, prefix, version):
    """The cache stores as usual and never finds anything."""
    return f"{prefix}:{version}:{key}:{next(numbers)}"


if "PAST_THE_CACHE" in os.environ:
    CACHES["default"]["KEY_FUNCTION"] = never_the_same_key
