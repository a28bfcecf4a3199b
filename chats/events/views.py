from collections.abc import Iterable

from django.conf import settings
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.views import APIView
from rest_framework_simplejwt.settings import api_settings

from chats.events.runserver import open_stream
from chats.events.streams import Subscriber
from chats.rest.negotiation import AcceptAnything
from chats.rest.openapi import describe_error
from chats.statements import get_parameters

# The key in `request.META` of a server's list of subscribers, if the server can stream.
SUBSCRIBERS = "chats.subscribers"
NOT_SERVED = "This server does not stream events. Poll the lists instead."
NO_STREAMS = describe_error("The server does not stream events.", NOT_SERVED)
CONVERSATION_ID = "a5044f5c-44f0-4974-b3b4-62705898dd36"
EXAMPLE = f"""\
event: ready
data: {{}}

event: conversation
data: {{"conversation_id":"{CONVERSATION_ID}","updated_at":"2026-05-04T10:15:30.123456Z"}}

event: read
data: {{"conversation_id":"{CONVERSATION_ID}","read_at":"2026-05-04T10:15:30.123456Z"}}

event: left
data: {{"conversation_id":"{CONVERSATION_ID}"}}

"""
STREAM = OpenApiResponse(str, "A stream of events.", [OpenApiExample("Events", EXAMPLE)])


class EventsView(APIView):
    content_negotiation_class = AcceptAnything

    @extend_schema(
        operation_id="stream_events",
        summary="Stream events",
        tags=["events"],
        responses={(200, "text/event-stream"): STREAM, 404: NO_STREAMS, 429: None},
    )
    def get(self, request):
        """Server-sent events that say when to ask. They hold nothing of what was written.

        - `ready` comes first. From now on, no change is left out: request your lists once.

        - `conversation`: its messages, title or participants have changed. Several changes may be
        one event.

        - `read`: you have marked messages as read elsewhere.

        - `left`: you do not take part in the conversation any more.

        A comment comes at least every 15 seconds. The stream ends within 15 seconds when the access
        token expires or is revoked. You can have 10 streams. Under a server that cannot stream, the
        response is a 404: poll instead."""
        parts: Iterable[bytes] = ()
        can_stream = SUBSCRIBERS in request.META
        if not (can_stream or settings.DEBUG):
            raise NotFound(NOT_SERVED)
        if request.META["REQUEST_METHOD"] == "HEAD":
            pass
        elif can_stream:
            request.META[SUBSCRIBERS].append(get_subscriber(request))
        else:
            parts = open_stream(get_subscriber(request))
        headers = {"X-Accel-Buffering": "no"}
        return StreamingHttpResponse(parts, content_type="text/event-stream", headers=headers)


def get_subscriber(request):
    [key] = get_parameters(request.user.pk)
    issued_under = request.auth[api_settings.REVOKE_TOKEN_CLAIM]
    return Subscriber(request.user.pk, key, issued_under, request.auth["exp"])
