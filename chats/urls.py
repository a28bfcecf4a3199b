from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import TemplateView
from rest_framework_nested.routers import NestedSimpleRouter, SimpleRouter

from chats import views
from chats.accounts import tokens
from chats.accounts.views import UserViewSet
from chats.events.views import EventsView
from chats.rest.schema import SchemaView
from chats.safety.views import BlockedUserViewSet, ExportView

router = SimpleRouter(use_regex_path=False)
router.register("users/blocked", BlockedUserViewSet, "blocked-user")
router.register("users", UserViewSet, "user")
router.register("conversations", views.ConversationViewSet, "conversation")

conversation_router = NestedSimpleRouter(
    router, "conversations", lookup="conversation", use_regex_path=False
)
conversation_router.register("messages", views.ConversationMessageViewSet, "conversation-message")

message_router = SimpleRouter(use_regex_path=False)
message_router.register("messages", views.MessageViewSet, "message")

no_store = cache_control(no_store=True)

urlpatterns = [
    path("token/", no_store(tokens.TokenObtainPairView.as_view()), name="token-obtain"),
    path("token/refresh/", no_store(tokens.TokenRefreshView.as_view()), name="token-refresh"),
    path("token/verify/", tokens.TokenVerifyView.as_view(), name="token-verify"),
    path("token/blacklist/", tokens.TokenBlacklistView.as_view(), name="token-blacklist"),
    *router.urls,
    *conversation_router.urls,
    *message_router.urls,
    path("users/me/export/", ExportView.as_view(), name="export"),
    path("events/", EventsView.as_view(), name="events"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", csrf_exempt(TemplateView.as_view(template_name="chats/docs.html")), name="docs"),
]
