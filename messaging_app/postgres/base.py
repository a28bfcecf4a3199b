from time import monotonic

from django.db.backends.postgresql import base

HEALTHY_SECONDS = 1


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with a health check at most every HEALTHY_SECONDS instead of in each request."""

    healthy_until = 0

    def is_usable(self):
        if not self.errors_occurred and monotonic() < self.healthy_until:
            return True
        usable = super().is_usable()
        self.healthy_until = monotonic() + HEALTHY_SECONDS if usable else 0
        return usable
