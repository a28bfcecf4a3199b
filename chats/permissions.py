from django.http import Http404
from rest_framework.permissions import BasePermission


class IsParticipantOfConversation(BasePermission):
    """Outsiders are told that there is no such conversation, not that it is closed to them."""

    def has_object_permission(self, request, view, obj):
        conversation = getattr(obj, "conversation", obj)
        if not conversation.has_participant(request.user):
            raise Http404
        return True
