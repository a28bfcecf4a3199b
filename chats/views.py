import hashlib
import re

from django.http import HttpResponse, HttpResponsePermanentRedirect
from django.urls import resolve
from django.views.decorators.cache import cache_page
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import RetrieveUpdateDestroyAPIView
from rest_framework.mixins import CreateModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from chats.exceptions import IdempotencyKeyConflict
from chats.filters import ConversationFilter, MessageFilter, UserFilter
from chats.models import (
    Conversation,
    IdempotencyKeyReused,
    Message,
    User,
    prefetch_participants,
)
from chats.pagination import ConversationPagination, MessagePagination, UserPagination
from chats.permissions import IsParticipantOfConversation
from chats.serializers import (
    ConversationListSerializer,
    ConversationSerializer,
    CurrentPasswordSerializer,
    MessageSerializer,
    NewConversationSerializer,
    NewParticipantSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
    ProfileSerializer,
    PublicProfileSerializer,
    RegistrationSerializer,
    SetPasswordSerializer,
)
from chats.throttling import PasswordResetThrottle, RegistrationThrottle

MESSAGE_LIST_CACHE_SECONDS = 60
# With the 1,000 entries of the local-memory cache, 64 MiB a process.
CACHED_PAGE_MAX_BYTES = 64 * 1024


class UserViewSet(CreateModelMixin, ListModelMixin, GenericViewSet):
    queryset = User.objects.none()
    filterset_class = UserFilter
    pagination_class = UserPagination
    open_actions = {"create", "reset_password", "reset_password_confirm"}

    def get_queryset(self):
        """A whole address finds anybody, so that a conversation with them can be started."""
        if "email" in self.request.query_params:
            users = User.objects.active()
        else:
            users = User.objects.contacts_of(self.request.user)
        return users.public().order_by("user_id")

    def get_serializer_class(self):
        return {
            "list": PublicProfileSerializer,
            "set_password": SetPasswordSerializer,
            "reset_password": PasswordResetSerializer,
            "reset_password_confirm": PasswordResetConfirmSerializer,
        }.get(self.action, RegistrationSerializer)

    @property
    def is_open(self):
        """Whether the call, or if there is no such call, whatever else this path has."""
        actions = set(self.action_map.values())
        return (actions & {self.action} or actions) <= self.open_actions

    def get_permissions(self):
        return [AllowAny()] if self.is_open else super().get_permissions()

    def get_throttles(self):
        throttles = {
            "create": [RegistrationThrottle],
            "reset_password": [PasswordResetThrottle],
            "reset_password_confirm": [PasswordResetThrottle],
        }
        return [throttle() for throttle in throttles.get(self.action, self.throttle_classes)]

    def perform_authentication(self, request):
        """What is open to anyone does not look at a token."""
        if not self.is_open:
            super().perform_authentication(request)

    @action(detail=False, methods=["post"])
    def set_password(self, request):
        return self.save_without_content(request)

    @action(detail=False, methods=["post"])
    def reset_password(self, request):
        return self.save_without_content(request)

    @action(detail=False, methods=["post"])
    def reset_password_confirm(self, request):
        return self.save_without_content(request)

    def save_without_content(self, request):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(status=status.HTTP_204_NO_CONTENT)


class ProfileView(RetrieveUpdateDestroyAPIView):
    http_method_names = ["get", "head", "options", "patch", "delete"]

    def get_object(self):
        return self.request.user

    def get_serializer_class(self):
        return CurrentPasswordSerializer if self.request.method == "DELETE" else ProfileSerializer

    def perform_destroy(self, user):
        serializer = self.get_serializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        user.erase()


class ConversationViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Conversation.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation]
    filterset_class = ConversationFilter
    pagination_class = ConversationPagination
    lookup_value_converter = "uuid"

    def get_queryset(self):
        conversations = Conversation.objects.for_user(self.request.user)
        if self.action == "list":
            conversations = conversations.latest_activity_first()
        return conversations.prefetch_related(prefetch_participants())

    def get_serializer_class(self):
        return {
            "list": ConversationListSerializer,
            "create": NewConversationSerializer,
            "add_participant": NewParticipantSerializer,
        }.get(self.action, ConversationSerializer)

    def paginate_queryset(self, queryset):
        conversations = super().paginate_queryset(queryset)
        last_messages = {
            message.conversation_id: message
            for message in Message.objects.last_of(conversations).with_sender()
        }
        for conversation in conversations:
            conversation.last_message = last_messages.get(conversation.pk)
        return conversations

    def retrieve(self, request, *args, **kwargs):
        return Response(full(self.get_object()))

    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        conversation, created = serializer.start(request.user, get_idempotency_key(request))
        self.check_object_permissions(request, conversation)
        return created_or_replayed(full(conversation, created), created)

    @action(detail=True, methods=["post"])
    def add_participant(self, request, pk):
        conversation = self.get_object()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.add_to(conversation, by=request.user)
        return Response(full(self.get_object()))

    @action(detail=True, methods=["post"])
    def leave(self, request, pk):
        self.get_object().participants.remove(request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MessageViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """The messages of one conversation, or of all of the caller's; the URL says which."""

    queryset = Message.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation]
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = MessagePagination
    lookup_value_converter = "uuid"
    conversation = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        # One message is looked up within its conversation, and its membership with it.
        if "conversation_pk" in kwargs and self.action != "retrieve":
            pk = kwargs["conversation_pk"]
            self.conversation = Conversation.objects.get_for_user(request.user, pk)

    def get_queryset(self):
        if self.conversation:
            messages = self.conversation.messages.all()
        else:
            messages = Message.objects.for_user(self.request.user)
        messages = messages.with_sender().select_related("conversation")
        if self.action == "list":
            return messages.newest_first()
        if "conversation_pk" in self.kwargs:
            messages = messages.filter(conversation=self.kwargs["conversation_pk"])
        return messages.prefetch_related(prefetch_participants("conversation__participants"))

    def list(self, request, *args, **kwargs):
        """`cache_page` under a key that every change moves; to the client, never `max-age`."""
        cached = cache_page(MESSAGE_LIST_CACHE_SECONDS, key_prefix=self.get_cache_key_prefix())
        response = cached(self.get_page)(request)
        response.headers["Cache-Control"] = "private, no-cache"
        for header in ("Age", "Expires"):
            response.headers.pop(header, None)
        return response

    def get_page(self, request):
        """Rendered, so that it is known how large it is, and nothing but its bytes is stored."""
        data = super().list(request).data
        content = request.accepted_renderer.render(data)
        response = HttpResponse(content, content_type=request.accepted_renderer.media_type)
        # `public` has cache_page store one page for all callers: their membership is checked.
        small = len(content) <= CACHED_PAGE_MAX_BYTES
        response.headers["Cache-Control"] = "public" if small else "private"
        return response

    def get_cache_key_prefix(self):
        """The clock of the conversation; the caller, and the clocks of all of theirs."""
        if self.conversation:
            return self.conversation.updated_at.isoformat()
        user = self.request.user
        clocks = Conversation.objects.for_user(user).order_by("pk").values_list("pk", "updated_at")
        return hashlib.sha256(repr([user.pk, *clocks]).encode()).hexdigest()

    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        message_body = serializer.validated_data["message_body"]
        key = get_idempotency_key(request)
        try:
            message, created = self.conversation.send(request.user, message_body, key)
        except IdempotencyKeyReused as error:
            raise IdempotencyKeyConflict from error
        return created_or_replayed(self.get_serializer(message).data, created)


class RootView(APIView):
    authentication_classes = []
    permission_classes = []

    def get(self, request):
        names = {"users": "user-list", "token": "token-obtain"}
        names |= {"conversations": "conversation-list", "messages": "message-list"}
        names |= {"schema": "schema", "docs": "docs"}
        return Response({name: reverse(view, request=request) for name, view in names.items()})


class UnknownPathView(APIView):
    """Every other path under /api/. In DEBUG, Django's APPEND_SLASH answers a POST with a 500."""

    authentication_classes = []
    permission_classes = []
    schema = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        path = f"{request.path}/"
        if resolve(path).view_name == "unknown-path":
            raise NotFound
        if request.method not in {"GET", "HEAD"}:
            raise NotFound(f"Not found: the path ends with a slash, {path}.")

    def get(self, request, *args, **kwargs):
        return HttpResponsePermanentRedirect(request.get_full_path(force_append_slash=True))


def full(conversation, is_new=False):
    """The full conversation: with the first page of its messages."""
    newest = newest_messages(conversation)[: MessagePagination.page_size]
    messages = [] if is_new else list(newest)
    conversation.newest_messages = messages
    conversation.last_message = messages[0] if messages else None
    return ConversationSerializer(conversation).data


def newest_messages(conversation):
    return conversation.messages.with_sender().newest_first()


def get_idempotency_key(request):
    """The header's value; None without it."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[ -~]{1,255}", key):
        message = "Send 1 to 255 printable ASCII characters, or leave the header out."
        raise ValidationError({"Idempotency-Key": [message]})
    return key


def created_or_replayed(data, created):
    if created:
        return Response(data, status.HTTP_201_CREATED)
    return Response(data, headers={"Idempotent-Replayed": "true"})
