from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.mixins import RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from chats.caching import cached_page, get_conversation_key, get_flat_list_key
from chats.filters import ConversationMessageFilter, MessageFilter
from chats.idempotency import created_or_replayed, derive_message_id
from chats.models import Message, prefetch_participants
from chats.pagination import MessagePagination
from chats.permissions import IsParticipantOfConversation, IsSenderOrReadOnly
from chats.replica import read_page, shows_clocks
from chats.search import SearchListModelMixin
from chats.serializers import MessageBodySerializer, MessageSerializer, NewMessageSerializer
from chats.services import delete
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
    create=extend_schema(
        operation_id="send_message_to", summary="Send a message to a conversation"
    ),
    retrieve=extend_schema(operation_id="get_message", summary="Retrieve a message"),
    partial_update=extend_schema(operation_id="edit_message", summary="Edit a message"),
    destroy=extend_schema(operation_id="delete_message", summary="Delete a message"),
)
class MessageViewSet(SearchListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Message.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation, IsSenderOrReadOnly]
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

    def get_serializer_class(self):
        classes = {"create": NewMessageSerializer, "partial_update": MessageBodySerializer}
        return classes.get(self.action, self.serializer_class)

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
        return cached_page(
            request,
            self.get_list_key(),
            lambda: read_page(self.is_current, lambda: render(request).data),
        )

    def is_current(self):
        """Whether the database that is read from has the clocks that the key of the list holds."""
        return get_clocks(self.request.user) == self.clocks

    @extend_schema(responses={200: MessageSerializer, 201: MessageSerializer, 422: None})
    def create(self, request, *args, **kwargs):
        """The same as sending it to the message list of the conversation, which is named in the
        body. A conversation in which you do not take part is a 400."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.send(serializer, serializer.validated_data["conversation"])

    def send(self, serializer, conversation):
        serializer.save(
            sender=self.request.user,
            conversation=conversation,
            message_id=derive_message_id(self.request, conversation),
        )
        return created_or_replayed(self.request, serializer.data, serializer.created)

    @extend_schema(responses={200: MessageSerializer, 403: None, 409: None})
    def partial_update(self, request, *args, **kwargs):
        """Only the sender can edit a message. `updated_at` moves, unless the text is the same."""
        serializer = self.get_serializer(self.get_object(), data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save(author=request.user)
        return Response(serializer.data)

    @extend_schema(request=None, responses={204: None, 403: None})
    def destroy(self, request, *args, **kwargs):
        """Only the sender can delete a message. Its text is removed for good: `message_body` is
        `null` from then on, and `updated_at` moves. Deleting it again changes nothing."""
        delete(self.get_object(), request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(
        operation_id="list_conversation_messages",
        summary="List the messages of a conversation",
        description="The newest message comes first. To follow new messages, request "
        "`ordering=sent_at`, with `sent_at_after` set to the last `sent_at` that you received. To "
        "follow edits and deletions too, request `ordering=updated_at`, with `updated_at_after` "
        "set to the last `updated_at` that you received. You then miss nothing.",
    ),
    create=extend_schema(operation_id="send_message", summary="Send a message"),
    retrieve=extend_schema(
        operation_id="get_conversation_message", summary="Retrieve a message of a conversation"
    ),
    partial_update=extend_schema(
        operation_id="edit_conversation_message", summary="Edit a message of a conversation"
    ),
    destroy=extend_schema(
        operation_id="delete_conversation_message", summary="Delete a message of a conversation"
    ),
)
class ConversationMessageViewSet(MessageViewSet):
    filterset_class = ConversationMessageFilter
    is_expensive = False

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        # The query of the others checks the membership.
        if self.action not in {"retrieve", "partial_update", "destroy"}:
            self.conversation = get_conversation(request.user, kwargs["conversation_pk"])

    def get_messages(self):
        if self.action == "list":
            return self.conversation.messages.all()
        return super().get_messages().filter(conversation=self.kwargs["conversation_pk"])

    def get_serializer_class(self):
        return MessageBodySerializer if self.action == "create" else super().get_serializer_class()

    def get_list_key(self):
        return get_conversation_key(self.conversation)

    def is_current(self):
        return shows_clocks([self.conversation])

    @extend_schema(responses={200: MessageSerializer, 201: MessageSerializer, 422: None})
    def create(self, request, *args, **kwargs):
        """`message_body` is stored exactly as it is sent. It must contain something other than
        white space, and no NUL character."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return self.send(serializer, self.conversation)
