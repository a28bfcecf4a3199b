import orjson
from rest_framework.renderers import BaseRenderer


class JSONRenderer(BaseRenderer):
    """Renders with orjson, which takes JSON as it is where it is an `orjson.Fragment`."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        # `str` for texts that Django translates lazily.
        return b"" if data is None else orjson.dumps(data, default=str)
