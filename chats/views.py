from contextlib import contextmanager

from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.mixins import RetrieveModelMixin
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from chats import services
from chats.caching import (
    INBOX_CACHE_SECONDS,
    cached_page,
    get_conversation_key,
    get_detail,
    get_detail_of_new,
    get_summaries,
    get_user_key,
)
from chats.filters import (
    ConversationFilter,
    ConversationMessageFilter,
    MessageFilter,
    read_date_time,
)
from chats.models import MAX_PARTICIPANTS, Conversation, Message, prefetch_participants
from chats.pagination import ConversationPagination, InboxMessagePagination, MessagePagination
from chats.permissions import IsHostOrAdmin, IsParticipantOfConversation, IsSenderOrReadOnly
from chats.rest.conditions import check_conditions
from chats.rest.exceptions import IdempotencyKeyConflict, MessageConflict
from chats.rest.generics import read_body
from chats.rest.idempotency import (
    created_or_replayed,
    derive_conversation_id,
    derive_message_id,
)
from chats.rest.openapi import describe_error
from chats.rest.search import LimitedListModelMixin
from chats.safety.report_views import ReportMessageMixin
from chats.serializers import (
    NOT_YOURS,
    ConversationListSerializer,
    ConversationSerializer,
    LeaveSerializer,
    MessageBodySerializer,
    MessageSerializer,
    NewConversationSerializer,
    NewMessageSerializer,
    NewParticipantSerializer,
    ReadStateSerializer,
    RemovedParticipantSerializer,
    TitleSerializer,
    describe_missing,
)
from chats.statements import get_clocks, get_conversation, get_inbox_rows

LEFT = describe_error(
    "You have left the conversation that this key started.", NotFound.default_detail
)
NOT_HOST = describe_error("You have the role guest.", IsHostOrAdmin.message)
NOT_SENDER = describe_error("Somebody else sent the message.", IsSenderOrReadOnly.message)
DELETED = describe_error("The message was deleted.", MessageConflict.default_detail)
KEY_REUSED = describe_error(
    "The key was used for another body.", IdempotencyKeyConflict.default_detail
)


@extend_schema_view(
    list=extend_schema(
        operation_id="list_conversations",
        summary="List your conversations",
        description="The conversation with the latest activity comes first.",
    )
)
class ConversationViewSet(LimitedListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Conversation.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation]
    serializer_class = ConversationListSerializer
    filterset_class = ConversationFilter
    pagination_class = ConversationPagination
    lookup_value_converter = "uuid"
    # The rows of an unfiltered first page, once they are read.
    first_rows = None

    def get_queryset(self):
        return Conversation.objects.as_seen_by(self.request.user).latest_activity_first()

    def list(self, request, *args, **kwargs):
        parameters = request.query_params
        if parameters.keys() - {"page_size"} or not parameters.get("page_size", "1").isdecimal():
            return super().list(request)
        count = self.paginator.get_page_size(request) + 1
        self.first_rows = get_inbox_rows(request.user, count)
        key = get_user_key(request.user, self.first_rows)
        return cached_page(request, key, super().list, INBOX_CACHE_SECONDS)

    def paginate_queryset(self, queryset):
        return get_summaries(self.request.user, super().paginate_queryset(queryset))

    def get_object(self):
        conversation = get_conversation(self.request.user, self.kwargs["pk"])
        self.check_object_permissions(self.request, conversation)
        return conversation

    @extend_schema(
        operation_id="get_conversation",
        summary="Retrieve a conversation",
        parameters=[
            OpenApiParameter(
                "updated_at_after",
                OpenApiTypes.DATETIME,
                description="`messages` are those sent, edited or deleted after this ISO 8601 date "
                "and time. For example `2026-11-22T10:33:35.109943Z`.",
            )
        ],
        responses=ConversationSerializer,
    )
    def retrieve(self, request, *args, **kwargs):
        """`messages` is the first page of the conversation's message list. For older messages,
        request that list with `sent_at_before` set to the last `sent_at`.

        With `updated_at_after`, one request tells a client what is new: `messages` are those that
        have changed since, in the order of the changes. If the last one's `updated_at` is not that
        of the conversation, there may be more: set `updated_at_after` to it."""
        conversation = self.get_object()
        return self.respond(conversation, read_date_time(request, "updated_at_after"))

    @extend_schema(
        operation_id="start_conversation",
        summary="Start a conversation",
        request=NewConversationSerializer,
        responses={200: ConversationSerializer, 201: ConversationSerializer, 404: LEFT},
    )
    def create(self, request, *args, **kwargs):
        """You are always a participant, and at least one other user is required. Duplicate ids are
        ignored.

        A repeated request with the same `Idempotency-Key` and the same participants returns the
        same conversation. If you have left it since, the response is a 404. With other
        participants, the request starts another conversation. With `distinct`, the key changes
        nothing."""
        data = read_body(request, NewConversationSerializer)
        user_ids, title = data["participants"], data.get("title", "")
        conversation_id = derive_conversation_id(request, user_ids)
        with errors_on("participants"):
            if data.get("distinct"):
                conversation, is_new = services.start_distinct(
                    user_ids, actor=request.user, title=title
                )
            else:
                conversation, is_new = services.start(
                    user_ids, actor=request.user, title=title, conversation_id=conversation_id
                )
        if is_new:
            shown = get_detail_of_new(conversation)
        else:
            shown = get_detail(request.user, get_conversation(request.user, conversation.pk))
        return created_or_replayed(request, ConversationSerializer(shown).data, is_new)

    @extend_schema(
        operation_id="rename_conversation",
        summary="Change the title of a conversation",
        request=TitleSerializer,
        responses=ConversationSerializer,
    )
    def partial_update(self, request, *args, **kwargs):
        """Every participant can change the title. An empty string removes it."""
        conversation = self.get_object()
        title = read_body(request, TitleSerializer)["title"]
        with check_conditions_of(self, conversation):
            services.rename(conversation, title, actor=request.user)
        return self.respond(self.get_object())

    @extend_schema(
        operation_id="add_participant",
        summary="Add a participant",
        description="A new participant sees the whole history. If the user already takes part, "
        f"nothing changes. If the conversation already has {MAX_PARTICIPANTS} participants, the "
        "response is a 400.",
        responses=ConversationSerializer,
    )
    @action(detail=True, methods=["post"], serializer_class=NewParticipantSerializer)
    def add_participant(self, request, pk):
        conversation = self.get_object()
        user_id = read_body(request, NewParticipantSerializer)["user_id"]
        with errors_on("user_id"):
            services.add_participant(conversation, user_id, actor=request.user)
        return self.respond(self.get_object())

    @extend_schema(
        operation_id="remove_participant",
        summary="Remove a participant",
        responses={200: ConversationSerializer, 403: NOT_HOST},
    )
    @action(
        detail=True,
        methods=["post"],
        serializer_class=RemovedParticipantSerializer,
        permission_classes=[IsAuthenticated, IsParticipantOfConversation, IsHostOrAdmin],
    )
    def remove_participant(self, request, pk):
        """For participants with the role `host` or `admin`. If the user does not take part, nothing
        changes."""
        conversation = self.get_object()
        user_id = read_body(request, RemovedParticipantSerializer)["user_id"]
        services.remove_participant(conversation, user_id, actor=request.user)
        return self.respond(self.get_object())

    @extend_schema(
        operation_id="leave_conversation",
        summary="Leave a conversation",
        request=None,
        responses={204: None, 415: None},
    )
    @action(detail=True, methods=["post"])
    def leave(self, request, pk):
        conversation = self.get_object()
        read_body(request, LeaveSerializer)
        services.leave(conversation, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="mark_conversation_as_read",
        summary="Mark messages as read",
    )
    @action(detail=True, methods=["post"], serializer_class=ReadStateSerializer)
    def read(self, request, pk):
        """Marks the messages up to `read_at` as read by you. `read_at` only moves forward, and not
        beyond the `updated_at` of the conversation. Nobody else can see it."""
        conversation = self.get_object()
        read_at = read_body(request, ReadStateSerializer)["read_at"]
        state = services.mark_as_read(conversation, read_at, actor=request.user)
        return Response(ReadStateSerializer(state).data)

    def respond(self, conversation, changed_after=None):
        shown = get_detail(self.request.user, conversation, changed_after)
        return Response(ConversationSerializer(shown).data)


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
    report=extend_schema(operation_id="report_message"),
)
class MessageViewSet(ReportMessageMixin, LimitedListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Message.objects.none()
    permission_classes = [IsAuthenticated, IsParticipantOfConversation, IsSenderOrReadOnly]
    serializer_class = MessageSerializer
    filterset_class = MessageFilter
    pagination_class = InboxMessagePagination
    lookup_value_converter = "uuid"

    def get_queryset(self):
        messages = self.get_messages().as_shown()
        if self.action == "list":
            return messages.newest_first()
        participants = prefetch_participants("conversation__participants")
        return messages.select_related("conversation").prefetch_related(participants)

    def get_messages(self):
        return Message.objects.for_user(self.request.user)

    @cached_property
    def clocks(self):
        return get_clocks(self.request.user)

    def count_conversations(self):
        return self.clocks.number

    def get_list_key(self):
        return get_user_key(self.request.user, self.clocks.digest)

    def list(self, request, *args, **kwargs):
        return cached_page(request, self.get_list_key(), super().list)

    @extend_schema(
        request=NewMessageSerializer,
        responses={200: MessageSerializer, 201: MessageSerializer, 422: KEY_REUSED},
    )
    def create(self, request, *args, **kwargs):
        """Sends a message to the conversation that the body names. Otherwise the same as
        `POST /api/conversations/{id}/messages/`. A conversation in which you do not take part is a
        400."""
        data = read_body(request, NewMessageSerializer)
        try:
            return self.send(data["conversation"], data["message_body"])
        except Conversation.DoesNotExist as error:
            # The caller was removed after the validation.
            raise ValidationError({"conversation": [NOT_YOURS]}) from error

    def send(self, conversation, message_body):
        message_id = derive_message_id(self.request, conversation)
        message, is_new = services.send(
            conversation, message_body, actor=self.request.user, message_id=message_id
        )
        return created_or_replayed(self.request, MessageSerializer(message).data, is_new)

    @extend_schema(
        request=MessageBodySerializer,
        responses={200: MessageSerializer, 403: NOT_SENDER, 409: DELETED},
    )
    def partial_update(self, request, *args, **kwargs):
        """Only the sender can edit a message. `updated_at` moves, unless the text is the same."""
        message = self.get_object()
        message_body = read_body(request, MessageBodySerializer)["message_body"]
        with check_conditions_of(self, message):
            message = services.edit(message, message_body, actor=request.user)
        return Response(MessageSerializer(message).data)

    @extend_schema(request=None, responses={204: None, 403: NOT_SENDER})
    def destroy(self, request, *args, **kwargs):
        """Only the sender can delete a message. Its text is removed for good: `message_body` is
        `null` from then on, and `updated_at` moves. Deleting it again changes nothing."""
        message = self.get_object()
        with check_conditions_of(self, message):
            services.delete(message, actor=request.user)
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
    report=extend_schema(
        operation_id="report_conversation_message", summary="Report a message of a conversation"
    ),
)
class ConversationMessageViewSet(MessageViewSet):
    filterset_class = ConversationMessageFilter
    pagination_class = MessagePagination

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        # For these, `create()` and `get_queryset()` check the membership.
        if self.action not in {"create", "retrieve", "partial_update", "destroy", "report"}:
            self.conversation = get_conversation(request.user, kwargs["conversation_pk"])

    def get_messages(self):
        if self.action == "list":
            return self.conversation.messages.all()
        return super().get_messages().filter(conversation=self.kwargs["conversation_pk"])

    def count_conversations(self):
        return 1

    def get_list_key(self):
        return get_conversation_key(self.conversation)

    @extend_schema(
        request=MessageBodySerializer,
        responses={200: MessageSerializer, 201: MessageSerializer, 422: KEY_REUSED},
    )
    def create(self, request, *args, **kwargs):
        """`message_body` is stored exactly as it is sent. It must contain something other than
        white space, and no NUL character."""
        conversation_id = kwargs["conversation_pk"]
        try:
            message_body = read_body(request, MessageBodySerializer)["message_body"]
            return self.send(Conversation(pk=conversation_id), message_body)
        except APIException:
            # An outsider gets a 404, whatever the body.
            get_conversation(request.user, conversation_id)
            raise


def check_conditions_of(view, row):
    """`row` is a conversation, or a message of the conversation to lock."""
    conversations = Conversation.objects.filter(pk=row.conversation_id)
    return check_conditions(view.request, conversations, lambda: view.retrieve(view.request).data)


@contextmanager
def errors_on(field):
    """Raises ValidationError on the field that names users who cannot take part."""
    try:
        yield
    except services.UnknownUsers as error:
        raise ValidationError({field: describe_missing(error.user_ids)}) from error
    except services.ConversationFull as error:
        message = f"The conversation has {MAX_PARTICIPANTS} participants; it is full."
        raise ValidationError({field: [message]}) from error
