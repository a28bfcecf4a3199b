import orjson
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer


class JSONRenderer(BaseRenderer):
    """Renders with orjson."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        return b"" if data is None else orjson.dumps(data, default=evaluate)


def evaluate(value):
    """The text of what Django translates lazily."""
    if not isinstance(value, Promise):
        raise TypeError
    return str(value)
