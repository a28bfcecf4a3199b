from django.http import Http404
from rest_framework.permissions import SAFE_METHODS, BasePermission

from chats.models import User


class IsParticipantOfConversation(BasePermission):
    """Outsiders get 404, as if there were no such conversation."""

    def has_object_permission(self, request, view, obj):
        conversation = getattr(obj, "conversation", obj)
        if not conversation.has_participant(request.user):
            raise Http404
        return True


class IsSenderOrReadOnly(BasePermission):
    message = (
        "Only its sender can change a message. "
        "To mark it as read, use POST /api/conversations/{id}/read/."
    )

    def has_object_permission(self, request, view, message):
        return request.method in SAFE_METHODS or message.sender_id == request.user.pk


class IsNotSender(BasePermission):
    message = "You sent this message. To take it back, use DELETE."

    def has_object_permission(self, request, view, message):
        return message.sender_id != request.user.pk


class IsHostOrAdmin(BasePermission):
    """By the user's role. Only for objects, so that outsiders get 404."""

    message = (
        "Only participants with the role host or admin can remove others. "
        "To leave the conversation, use POST /api/conversations/{id}/leave/."
    )

    def has_object_permission(self, request, view, obj):
        return request.user.role in {User.Role.HOST, User.Role.ADMIN}
