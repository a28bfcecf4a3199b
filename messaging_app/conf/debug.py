import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def refuse_debug() -> None:
    """Raises ImproperlyConfigured in DEBUG, unless `manage.py runserver` runs."""
    if settings.DEBUG and "runserver" not in sys.argv:
        raise ImproperlyConfigured(
            "DEBUG is on: this server would show settings, and the passwords of the demo accounts. "
            "Unset it (`unset DEBUG`), or start `manage.py runserver` for development."
        )
