from django.conf import settings
from django.contrib.staticfiles.management.commands import runserver


class Command(runserver.Command):
    """At PORT, like docker/serve."""

    default_port = str(settings.PORT)
