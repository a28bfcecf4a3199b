from rest_framework.negotiation import DefaultContentNegotiation


class ContentNegotiation(DefaultContentNegotiation):
    """DRF's, but without what it repeats of the client's `Accept` in the `Content-Type`."""

    def select_renderer(self, request, renderers, format_suffix=None):
        renderer, _ = super().select_renderer(request, renderers, format_suffix)
        return renderer, renderer.media_type
