from functools import cache
from threading import Lock

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.response import Response

building = Lock()


@cache
def build():
    return SchemaGenerator().get_schema(public=True)


class SchemaView(SpectacularAPIView):
    """The description is built once in each process, because only a release changes it.
    drf-spectacular cannot build two at the same time."""

    renderer_classes = [OpenApiJsonRenderer2]

    @extend_schema(exclude=True)
    def get(self, request):
        with building:
            return Response(build())
