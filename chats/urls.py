from django.urls import path, re_path
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularAPIView
from rest_framework_nested.routers import NestedSimpleRouter, SimpleRouter
from rest_framework_simplejwt.views import (
    TokenBlacklistView,
    TokenObtainPairView,
    TokenRefreshView,
    TokenVerifyView,
)

from chats.throttling import SIGN_IN_THROTTLES
from chats.views import (
    ConversationViewSet,
    MessageViewSet,
    ProfileView,
    RootView,
    UnknownPathView,
    UserViewSet,
)

router = SimpleRouter(use_regex_path=False)
router.register("users", UserViewSet, "user")
router.register("conversations", ConversationViewSet, "conversation")

conversation_router = NestedSimpleRouter(
    router, "conversations", lookup="conversation", use_regex_path=False
)
conversation_router.register("messages", MessageViewSet, "conversation-message")

no_store = cache_control(no_store=True)

urlpatterns = [
    path("", RootView.as_view(), name="root"),
    path(
        "token/",
        no_store(TokenObtainPairView.as_view(throttle_classes=SIGN_IN_THROTTLES)),
        name="token-obtain",
    ),
    path("token/refresh/", no_store(TokenRefreshView.as_view()), name="token-refresh"),
    path("token/verify/", TokenVerifyView.as_view(), name="token-verify"),
    path("token/blacklist/", TokenBlacklistView.as_view(), name="token-blacklist"),
    *router.urls,
    path("users/me/", ProfileView.as_view(), name="profile"),
    *conversation_router.urls,
    path("messages/", MessageViewSet.as_view({"get": "list"}), name="message-list"),
    path(
        "messages/<uuid:pk>/",
        MessageViewSet.as_view({"get": "retrieve"}),
        name="message-detail",
    ),
    path(
        "schema/",
        SpectacularAPIView.as_view(renderer_classes=[OpenApiJsonRenderer2]),
        name="schema",
    ),
    path("docs/", csrf_exempt(TemplateView.as_view(template_name="chats/docs.html")), name="docs"),
    re_path("", UnknownPathView.as_view(), name="unknown-path"),
]
