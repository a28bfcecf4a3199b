from django.contrib import admin
from django.urls import include, path

from chats.views import UnknownPathView

urlpatterns = [
    path("api/", include("chats.urls")),
    path("api", UnknownPathView.as_view()),
    path("admin/", admin.site.urls),
]
