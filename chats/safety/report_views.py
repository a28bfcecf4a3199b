from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from chats.permissions import IsNotSender, IsParticipantOfConversation
from chats.rest.exceptions import ReportConflict
from chats.rest.field_hints import REPORT_FIELDS
from chats.rest.fields import StringField
from chats.rest.generics import read_body
from chats.rest.openapi import describe_error
from chats.rest.serializers import HintsSerializer
from chats.safety.models import REASON_MAX_CHARACTERS
from chats.safety.reports import report
from chats.validators import is_blank

OWN_MESSAGE = describe_error("You sent the message.", IsNotSender.message)
NOTHING_LEFT = describe_error(
    "The message was deleted before you reported it.", ReportConflict.default_detail
)


@extend_schema_serializer(examples=[OpenApiExample("Reason", {"reason": "This is an insult."})])
class ReportSerializer(HintsSerializer):
    field_hints = REPORT_FIELDS
    reason = StringField(
        default="", allow_blank=True, trim_whitespace=False, max_length=REASON_MAX_CHARACTERS
    )

    def validate_reason(self, reason):
        return "" if is_blank(reason) else reason


class ReportMessageMixin:
    @extend_schema(
        summary="Report a message",
        request=ReportSerializer,
        responses={204: None, 403: OWN_MESSAGE, 409: NOTHING_LEFT},
    )
    @action(
        detail=True,
        methods=["post"],
        permission_classes=[IsAuthenticated, IsParticipantOfConversation, IsNotSender],
    )
    def report(self, request, *args, **kwargs):
        """Asks staff to look at the message. They see its text as it is now, also if it is edited
        or deleted later. No participant can see that you reported it.

        Reporting it again changes nothing, unless the text was edited after staff closed your
        report: then it is reported anew."""
        message = self.get_object()
        reason = read_body(request, ReportSerializer)["reason"]
        report(message, reason, actor=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)
