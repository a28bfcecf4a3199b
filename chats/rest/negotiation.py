from rest_framework.negotiation import DefaultContentNegotiation


class AcceptAnything(DefaultContentNegotiation):
    """The response has a type of its own, and errors are JSON."""

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type
