from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

from messaging_app.views import RootView, UnknownPathView

urlpatterns = [
    path("api/", RootView.as_view(), name="root"),
    path("api/", include("chats.urls")),
    re_path("^api(/|$)", UnknownPathView.as_view(), name="unknown-path"),
    path(settings.ADMIN_PATH, admin.site.urls),
]
if settings.FRONTEND_ROOT:
    urlpatterns.append(path("", include("messaging_app.frontend")))
