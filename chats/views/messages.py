from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.mixins import RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.viewsets import GenericViewSet

from chats.caching import cached_page, get_conversation_key, get_flat_list_key
from chats.filters import MessageFilter
from chats.idempotency import created_or_replayed, derive_message_id
from chats.models import Message, prefetch_participants
from chats.pagination import MessagePagination
from chats.permissions import IsParticipantOfConversation
from chats.search import SearchListModelMixin
from chats.serializers import MessageSerializer
from chats.statements import get_clocks, get_conversation

# A page of the flat list reads a few index entries in each conversation, which takes a second for
# 16,000.
MANY_CONVERSATIONS = 1_000


@extend_schema_view(
    list=extend_schema(
        operation_id="list_messages",
        summary="List the messages of all your conversations",
        description="The newest message comes first.",
    ),
    retrieve=extend_schema(operation_id="get_message", summary="Retrieve a message"),
)
class MessageViewSet(SearchListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Message.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation]
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = MessagePagination
    lookup_value_converter = "uuid"

    def get_queryset(self):
        messages = self.get_messages().with_sender().select_related("conversation")
        if self.action == "list":
            return messages.newest_first()
        return messages.prefetch_related(prefetch_participants("conversation__participants"))

    def get_messages(self):
        return Message.objects.for_user(self.request.user)

    @cached_property
    def clocks(self):
        return get_clocks(self.request.user)

    @property
    def is_expensive(self):
        return self.clocks[0] > MANY_CONVERSATIONS

    def get_list_key(self):
        return get_flat_list_key(self.request.user, self.clocks[1])

    def list(self, request, *args, **kwargs):
        render = super().list
        return cached_page(request, self.get_list_key(), lambda: render(request).data)


@extend_schema_view(
    list=extend_schema(
        operation_id="list_conversation_messages",
        summary="List the messages of a conversation",
        description="The newest message comes first. To follow the conversation, request "
        "`ordering=sent_at`, with `sent_at_after` set to the last `sent_at` that you received. "
        "You then receive every message exactly once.",
    ),
    retrieve=extend_schema(
        operation_id="get_conversation_message", summary="Retrieve a message of a conversation"
    ),
)
class ConversationMessageViewSet(MessageViewSet):
    is_expensive = False

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        # The query of `retrieve` checks the membership.
        if self.action != "retrieve":
            self.conversation = get_conversation(request.user, kwargs["conversation_pk"])

    def get_messages(self):
        if self.action == "list":
            return self.conversation.messages.all()
        return super().get_messages().filter(conversation=self.kwargs["conversation_pk"])

    def get_list_key(self):
        return get_conversation_key(self.conversation)

    @extend_schema(
        operation_id="send_message",
        summary="Send a message",
        responses={200: MessageSerializer, 201: MessageSerializer, 422: None},
    )
    def create(self, request, *args, **kwargs):
        """`message_body` is stored exactly as it is sent. It must contain something other than
        white space, and no NUL character."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        message_id = derive_message_id(request, self.conversation)
        serializer.save(sender=request.user, conversation=self.conversation, message_id=message_id)
        return created_or_replayed(serializer.data, serializer.created)
