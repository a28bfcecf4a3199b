from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from chats.filters import BlockedUserFilter
from chats.models import PUBLIC_PROFILE, User
from chats.pagination import KeysetPagination
from chats.rest.conditions import check_conditions
from chats.safety import services
from chats.safety.models import Block
from chats.serializers import PublicProfileSerializer


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
