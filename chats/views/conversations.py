from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from chats.filters import ConversationFilter
from chats.idempotency import created_or_replayed, derive_conversation_id
from chats.models import MAX_PARTICIPANTS, Conversation
from chats.pagination import ConversationPagination
from chats.permissions import IsParticipantOfConversation
from chats.search import SearchListModelMixin
from chats.serializers import (
    ConversationListSerializer,
    ConversationSerializer,
    NewConversationSerializer,
    NewParticipantSerializer,
    ReadStateSerializer,
    TitleSerializer,
)
from chats.services import leave
from chats.statements import get_conversation
from chats.summaries import attach_detail, attach_detail_of_new, attach_summaries


@extend_schema_view(
    list=extend_schema(
        operation_id="list_conversations",
        summary="List your conversations",
        description="The conversation with the latest activity comes first.",
    )
)
class ConversationViewSet(SearchListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Conversation.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation]
    serializer_class = ConversationSerializer
    filterset_class = ConversationFilter
    pagination_class = ConversationPagination
    lookup_value_converter = "uuid"

    def get_queryset(self):
        return Conversation.objects.as_seen_by(self.request.user).latest_activity_first()

    def paginate_queryset(self, queryset):
        conversations = super().paginate_queryset(queryset)
        attach_summaries(self.request.user, conversations)
        return conversations

    def get_object(self):
        conversation = get_conversation(self.request.user, self.kwargs["pk"])
        self.check_object_permissions(self.request, conversation)
        return conversation

    def get_serializer_class(self):
        classes = {
            "create": NewConversationSerializer,
            "list": ConversationListSerializer,
            "partial_update": TitleSerializer,
        }
        return classes.get(self.action, self.serializer_class)

    @extend_schema(operation_id="get_conversation", summary="Retrieve a conversation")
    def retrieve(self, request, *args, **kwargs):
        """`messages` is the first page of the conversation's message list. For older messages,
        request that list with `sent_at_before` set to the last `sent_at`."""
        return self.respond(self.get_object())

    @extend_schema(
        operation_id="start_conversation",
        summary="Start a conversation",
        responses={200: ConversationSerializer, 201: ConversationSerializer, 404: None},
    )
    def create(self, request, *args, **kwargs):
        """You are always a participant, and at least one other user is required. Duplicate ids are
        ignored.

        A repeated request with the same `Idempotency-Key` and the same participants returns the
        same conversation. If you have left it since, the response is a 404. With other
        participants, the request starts another conversation. With `distinct`, the key changes
        nothing."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user_ids = serializer.validated_data["participants"]
        conversation = serializer.save(
            creator=request.user, conversation_id=derive_conversation_id(request, user_ids)
        )
        if serializer.created:
            attach_detail_of_new(conversation)
        else:
            conversation = get_conversation(request.user, conversation.pk)
            attach_detail(request.user, conversation)
        data = ConversationSerializer(conversation).data
        return created_or_replayed(request, data, serializer.created)

    @extend_schema(
        operation_id="rename_conversation",
        summary="Change the title of a conversation",
        responses=ConversationSerializer,
    )
    def partial_update(self, request, *args, **kwargs):
        """Every participant can change the title. An empty string removes it."""
        serializer = self.get_serializer(self.get_object(), data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save(by=request.user)
        return self.respond(self.get_object())

    @extend_schema(
        operation_id="add_participant",
        summary="Add a participant",
        description="A new participant sees the whole history. If the user already takes part, "
        f"nothing changes. If the conversation already has {MAX_PARTICIPANTS} participants, the "
        "response is a 400.",
        responses={200: ConversationSerializer},
    )
    @action(detail=True, methods=["post"], serializer_class=NewParticipantSerializer)
    def add_participant(self, request, pk):
        serializer = self.get_serializer(self.get_object(), data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save(by=request.user)
        return self.respond(self.get_object())

    @extend_schema(
        operation_id="leave_conversation",
        summary="Leave a conversation",
        request=None,
        responses={204: None},
    )
    @action(detail=True, methods=["post"])
    def leave(self, request, pk):
        leave(self.get_object(), request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="mark_conversation_as_read",
        summary="Mark messages as read",
    )
    @action(detail=True, methods=["post"], serializer_class=ReadStateSerializer)
    def read(self, request, pk):
        """Marks the messages up to `read_at` as read by you. `read_at` only moves forward, and not
        beyond the `updated_at` of the conversation. Nobody else can see it."""
        serializer = self.get_serializer(self.get_object(), data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save(user=request.user)
        return Response(serializer.data)

    def respond(self, conversation):
        attach_detail(self.request.user, conversation)
        return Response(ConversationSerializer(conversation).data)
