from django.http import HttpResponsePermanentRedirect
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.serializers import URLField
from rest_framework.views import APIView

from messaging_app.unknown_paths import describe, is_endpoint

LINKS = {
    "users": "user-list",
    "token": "token-obtain",
    "conversations": "conversation-list",
    "messages": "message-list",
    "schema": "schema",
    "docs": "docs",
}


class RootView(APIView):
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        operation_id="root",
        summary="List the collections",
        tags=["root"],
        responses=inline_serializer("Root", {name: URLField() for name in LINKS}),
        examples=[
            OpenApiExample("Root", {name: f"http://127.0.0.1:8000/api/{name}/" for name in LINKS})
        ],
    )
    def get(self, request):
        """Returns the URLs of the collections and of this documentation."""
        return Response({name: reverse(view, request=request) for name, view in LINKS.items()})


class UnknownPathView(APIView):
    """Every other path under /api/. In DEBUG, APPEND_SLASH would make a POST a 500."""

    authentication_classes = []
    permission_classes = []
    schema = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if not is_endpoint(f"{request.path_info}/"):
            raise NotFound(describe(request.path_info))
        if request.method not in {"GET", "HEAD"}:
            raise NotFound(f"Not found: the path ends with a slash, {request.path}/.")

    def get(self, request, *args, **kwargs):
        return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))
