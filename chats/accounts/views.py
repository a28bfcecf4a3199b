from django.db import IntegrityError
from django.db.models import Exists, OuterRef, Q
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import RetrieveModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from chats.accounts.email_views import LINK_ACTION, LINK_SCHEMA, LINK_USE_ACTION, EmailMixin
from chats.accounts.mail import (
    mail_reset_link,
    mail_verification_link,
)
from chats.accounts.serializers import (
    DEAD_LINK,
    NOT_CURRENT,
    AddressSerializer,
    CurrentPasswordSerializer,
    PasswordResetConfirmSerializer,
    ProfileSerializer,
    RegistrationSerializer,
    SetPasswordSerializer,
)
from chats.auth import UserInactive, UserNotFound
from chats.filters import UserFilter
from chats.models import EMAIL_TAKEN, Conversation, User
from chats.pagination import KeysetPagination
from chats.rest.conditions import check_conditions
from chats.rest.generics import read_body
from chats.rest.search import LimitedListModelMixin
from chats.rest.throttling import RegistrationThrottle
from chats.safety.views import BlockMixin
from chats.serializers import PublicProfileSerializer
from chats.services import change_profile, erase
from messaging_app.backends.mail import is_sent


@extend_schema_view(
    list=extend_schema(
        operation_id="list_users",
        summary="List the users you share a conversation with",
        description="The users are ordered by `user_id`, and you are not in the list. With "
        "`email`, the list contains only the active user with this address, even if you do not "
        "share a conversation.",
    ),
    retrieve=extend_schema(
        operation_id="get_user",
        summary="Retrieve a user's public profile",
        description="Returns your own public profile, or that of a user you share a conversation "
        "with. For anybody else the response is a 404.",
    ),
)
class UserViewSet(
    EmailMixin, BlockMixin, LimitedListModelMixin, RetrieveModelMixin, GenericViewSet
):
    queryset = User.objects.none()
    serializer_class = RegistrationSerializer
    filterset_class = UserFilter
    pagination_class = KeysetPagination
    lookup_value_converter = "uuid"

    def get_queryset(self):
        """A complete address finds any active user, so that the caller can start a conversation
        with them."""
        caller = self.request.user
        if self.action == "retrieve":
            # Cheaper than contacts_of(), which reads every participant of these conversations.
            shared = Conversation.objects.for_user(caller).filter(participants=OuterRef("pk"))
            users = User.objects.filter(Q(pk=caller.pk) | Exists(shared))
        elif "email" in self.request.query_params:
            users = User.objects.reachable_by(caller)
        else:
            users = User.objects.contacts_of(caller)
        return users.public().order_by("user_id")

    def count_conversations(self):
        if "email" in self.request.query_params:
            return 0
        return self.request.user.conversations.all().count()

    # Registration shares its path with the list, so it has no @action to configure it.

    def perform_authentication(self, request):
        if self.action != "create":
            super().perform_authentication(request)

    def get_permissions(self):
        return [AllowAny()] if self.action == "create" else super().get_permissions()

    def get_throttles(self):
        return [RegistrationThrottle()] if self.action == "create" else super().get_throttles()

    def get_serializer_class(self):
        is_public = self.action in {"list", "retrieve"}
        return PublicProfileSerializer if is_public else self.serializer_class

    @extend_schema(
        operation_id="register",
        summary="Register",
        request=RegistrationSerializer,
        responses={201: ProfileSerializer, 429: None},
        auth=[],
    )
    def create(self, request, *args, **kwargs):
        """Creates a user with the role `guest`; staff set other roles. The e-mail address is stored
        in lower case and must be new; a link to verify it is sent. White space around names is
        removed."""
        data = read_body(request, RegistrationSerializer)
        try:
            user = User.objects.create_user(**data, email_verified_at=None)
        except IntegrityError as error:
            # Somebody else registered the address after it was validated.
            raise ValidationError({"email": [EMAIL_TAKEN]}) from error
        if is_sent():
            # Otherwise each registration would be a warning about a mail that nobody asked for.
            mail_verification_link(user)
        return Response(ProfileSerializer(user).data, status.HTTP_201_CREATED)

    @extend_schema(operation_id="get_profile", summary="Retrieve your profile")
    @action(detail=False, serializer_class=ProfileSerializer)
    def me(self, request):
        return Response(self.get_serializer(request.user).data)

    @extend_schema(operation_id="change_profile", summary="Update your profile")
    @me.mapping.patch
    def update_me(self, request):
        """Changes your name or phone number. `user_id`, `email`, `role`, `created_at` and
        `password` are a 400 on that field, which says whether and where it can be changed."""
        data = read_body(request, ProfileSerializer, instance=request.user, partial=True)
        try:
            with self.check_conditions():
                user = change_profile(request.user, **data)
        except User.DoesNotExist as error:
            raise UserInactive from error
        return Response(ProfileSerializer(user).data)

    @extend_schema(
        operation_id="erase_profile",
        summary="Delete your account",
        request=CurrentPasswordSerializer,
        responses={204: None},
    )
    @me.mapping.delete
    def erase_me(self, request):
        """Removes you from every conversation and makes your e-mail address available again. Your
        messages remain, with “Deleted user” as their sender."""
        read_body(request, CurrentPasswordSerializer)
        try:
            with self.check_conditions():
                # Erasing takes several transactions.
                pass
            erase(request.user)
        except User.DoesNotExist as error:
            raise UserNotFound from error
        return Response(status=status.HTTP_204_NO_CONTENT)

    def check_conditions(self):
        caller = User.objects.filter(pk=self.request.user.pk)
        return check_conditions(self.request, caller, lambda: ProfileSerializer(caller.get()).data)

    @extend_schema(
        operation_id="set_password", summary="Change your password", responses={204: None}
    )
    @action(detail=False, methods=["post"], serializer_class=SetPasswordSerializer)
    def set_password(self, request):
        """Invalidates every token that was issued before. Sign in again to get new tokens."""
        data = read_body(request, SetPasswordSerializer)
        if not request.user.replace_password(data["new_password"]):
            raise ValidationError({"current_password": [NOT_CURRENT]})
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="reset_password",
        summary="Request a password reset",
        **LINK_SCHEMA,
    )
    @action(serializer_class=AddressSerializer, **LINK_ACTION)
    def reset_password(self, request):
        """Sends an e-mail with a link. It works once, within three days, and only until the user
        next signs in. The response is the same whether or not a user has this address."""
        mail_reset_link(read_body(request, AddressSerializer)["email"])
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="confirm_password_reset",
        summary="Reset your password",
        **LINK_SCHEMA,
    )
    @action(serializer_class=PasswordResetConfirmSerializer, **LINK_USE_ACTION)
    def reset_password_confirm(self, request):
        """Sets a new password with the `uid` and `token` of the link, which works once. The e-mail
        address is verified from then on."""
        data = read_body(request, PasswordResetConfirmSerializer)
        if not data["user"].reset_password(data["new_password"]):
            raise ValidationError({"token": [DEAD_LINK]})
        return Response(status=status.HTTP_204_NO_CONTENT)
