from django.http import HttpResponse
from django.urls import include, path


def bare(request, size):
    """What Django, the middleware and gunicorn cost: an answer of so many bytes."""
    return HttpResponse(b"x" * size, content_type="application/json")


urlpatterns = [
    path("api/bare/<int:size>/", bare),
    path("", include("messaging_app.urls")),
]
