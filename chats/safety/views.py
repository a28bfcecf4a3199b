from django.http import StreamingHttpResponse
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from chats.filters import BlockedUserFilter
from chats.models import PUBLIC_PROFILE, User
from chats.pagination import KeysetPagination
from chats.rest.conditions import check_conditions
from chats.rest.negotiation import AcceptAnything
from chats.rest.throttling import ExportThrottle
from chats.safety import services
from chats.safety.export import start_export
from chats.safety.models import Block
from chats.serializers import ANN, PublicProfileSerializer


class PartsResponse(StreamingHttpResponse):
    """messaging_app/asgi.py reads each part when the client has taken the one before."""

    is_sent_in_parts = True


EXPORT_EXAMPLE = f"""\
{{"type":"profile","user_id":"{ANN["user_id"]}","email":"ann@example.com","first_name":"Ann"}}
{{"type":"end","lines":1,"sha256":"13ef0656ab37fa6a99aa3e51aa093e9546ecbc81921c8ab38e748829532d017a"}}
"""
EXPORT = OpenApiResponse(str, "Lines of JSON.", [OpenApiExample("Export", EXPORT_EXAMPLE)])


class ExportView(APIView):
    content_negotiation_class = AcceptAnything
    throttle_classes = [ExportThrottle]

    @extend_schema(
        operation_id="export_data",
        summary="Export your data",
        tags=["users"],
        responses={(200, "application/x-ndjson"): EXPORT, 429: None},
    )
    def get(self, request):
        """A file with a JSON object on each line, whose `type` is `profile`, `conversation`,
        `message` or `end`: your profile, your conversations, each message that you have written in
        any conversation, also in those you have left.

        The last line is of the type `end`. `lines` is the number of the lines before it, and
        `sha256` the checksum of their bytes. A file without it is not complete. Another export at
        the same time is a 429."""
        parts = start_export(request.user)
        if request.META["REQUEST_METHOD"] == "HEAD":
            parts.close()
        headers = {
            "Content-Disposition": 'attachment; filename="export.ndjson"',
            "Cache-Control": "no-store",
        }
        return PartsResponse(parts, content_type="application/x-ndjson", headers=headers)


class BlockMixin:
    """Actions of a view set of users."""

    @extend_schema(
        operation_id="block_user", summary="Block a user", request=None, responses={204: None}
    )
    @action(detail=True, methods=["post"])
    def block(self, request, pk):
        """From now on, the user cannot start a conversation with you, add you to one, or find you
        by your e-mail address. You leave the conversations that only you two share. The user is not
        told. Blocking them again changes nothing."""
        if pk == request.user.pk:
            raise ValidationError("You cannot block yourself.")
        services.block(pk, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="unblock_user", summary="Unblock a user", request=None, responses={204: None}
    )
    @block.mapping.delete
    def unblock(self, request, pk):
        """Also succeeds if you have not blocked the user."""
        caller = User.objects.filter(pk=request.user.pk)
        # A GET of this path shows nothing.
        with check_conditions(request, caller, dict):
            services.unblock(pk, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(
        operation_id="list_blocked_users",
        summary="List the users you have blocked",
        description="The users are ordered by `user_id`.",
    )
)
class BlockedUserViewSet(ListModelMixin, GenericViewSet):
    queryset = Block.objects.none()
    serializer_class = PublicProfileSerializer
    filterset_class = BlockedUserFilter
    pagination_class = KeysetPagination

    def get_queryset(self):
        """Blocks, not users, which the database would sort for each page."""
        profile = [f"blocked__{name}" for name in PUBLIC_PROFILE]
        blocks = Block.objects.filter(blocker=self.request.user).order_by("blocked_id")
        return blocks.select_related("blocked").only("blocked", *profile)

    def paginate_queryset(self, queryset):
        return [block.blocked for block in super().paginate_queryset(queryset) or []]
