import os

from django.http import HttpResponse
from django.urls import include, path


def bare(request, size):
    """A response of `size` bytes, which shows what Django, the middleware and gunicorn cost."""
    headers = {"X-Worker": os.getpid()}
    return HttpResponse(b"x" * size, content_type="application/json", headers=headers)


urlpatterns = [
    path("api/bare/<int:size>/", bare),
    path("", include("messaging_app.urls")),
]
