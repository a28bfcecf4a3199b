from django.db import IntegrityError
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from chats.accounts.mail import mail_change_link, resend_verification_link
from chats.accounts.serializers import (
    DEAD_LINK,
    AddressSerializer,
    SetEmailConfirmSerializer,
    SetEmailSerializer,
    VerifyEmailSerializer,
)
from chats.models import EMAIL_TAKEN
from chats.rest.generics import read_body
from chats.rest.throttling import EmailChangeThrottle, LinkThrottle, LinkUseThrottle
from chats.services import confirm_email

# For endpoints that mail a link. The Authorization header is ignored.
LINK_ACTION = {
    "detail": False,
    "methods": ["post"],
    "throttle_classes": [LinkThrottle],
    "authentication_classes": [],
    "permission_classes": [AllowAny],
}
LINK_USE_ACTION = LINK_ACTION | {"throttle_classes": [LinkUseThrottle]}
# To somebody who receives the e-mails of this address.
TAKEN = (
    f"{EMAIL_TAKEN} If you did not create that account, reset its password by e-mail: then it is "
    "yours."
)
LINK_SCHEMA = {"responses": {204: None, 429: None}, "auth": []}


class EmailMixin:
    """For the view set of users: verifying an e-mail address, and changing it."""

    @extend_schema(
        operation_id="verify_email",
        summary="Verify your e-mail address",
        **LINK_SCHEMA,
    )
    @action(serializer_class=VerifyEmailSerializer, **LINK_USE_ACTION)
    def verify_email(self, request):
        """Takes the `uid` and `token` of the link that was sent after the registration. It works
        once, within three days, and only until the address or the password is changed."""
        user = read_body(request, VerifyEmailSerializer)["user"]
        return self.confirm(user, user.email)

    @extend_schema(
        operation_id="resend_verification",
        summary="Request another link to verify your e-mail address",
        **LINK_SCHEMA,
    )
    @action(serializer_class=AddressSerializer, **LINK_ACTION)
    def resend_verification(self, request):
        """Sends an e-mail if a user has this address and has not verified it. The response is
        always the same."""
        resend_verification_link(read_body(request, AddressSerializer)["email"])
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="set_email",
        summary="Request a change of your e-mail address",
        responses={204: None},
    )
    @action(
        detail=False,
        methods=["post"],
        serializer_class=SetEmailSerializer,
        throttle_classes=[EmailChangeThrottle],
    )
    def set_email(self, request):
        """Sends a link to the new address, and a notice to the current one, which stays until the
        link is followed. The response is the same whether or not another user has the address."""
        data = read_body(request, SetEmailSerializer)
        mail_change_link(request.user, data["new_email"])
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="confirm_email_change",
        summary="Change your e-mail address",
        **LINK_SCHEMA,
    )
    @action(serializer_class=SetEmailConfirmSerializer, **LINK_USE_ACTION)
    def set_email_confirm(self, request):
        """Takes the `token` of the link that was sent to the new address. It works once, within
        three days, and only until the address or the password is changed. The new address is
        verified. If another user has it by now, the response is a 400."""
        change = read_body(request, SetEmailConfirmSerializer)["change"]
        return self.confirm(change.user, change.new_email)

    def confirm(self, user, email):
        """After the user has followed a link to this address."""
        try:
            is_confirmed = confirm_email(user, email)
        except IntegrityError as error:
            raise ValidationError({"token": [TAKEN]}) from error
        if not is_confirmed:
            raise ValidationError({"token": [DEAD_LINK]})
        return Response(status=status.HTTP_204_NO_CONTENT)
