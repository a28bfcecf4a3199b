import os

from django.http import HttpResponse
from django.urls import include, path


def bare(request, size):
    """What Django, the middleware and gunicorn cost: an answer of so many bytes."""
    headers = {"X-Worker": os.getpid()}
    return HttpResponse(b"x" * size, content_type="application/json", headers=headers)


urlpatterns = [
    path("api/bare/<int:size>/", bare),
    path("", include("messaging_app.urls")),
]
