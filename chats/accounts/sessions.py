from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from chats.clock import lock
from chats.models import User

# Ending 1,000 sessions in one transaction blocks SQLite's other writers for some 10 ms.
SESSIONS_PER_TRANSACTION = 1_000


def end_sessions(user: User) -> None:
    """End all sessions of the user, SESSIONS_PER_TRANSACTION at a time, so that others write in
    between. Access tokens live out their minutes."""
    running = OutstandingToken.objects.filter(
        user=user, blacklistedtoken=None, expires_at__gt=timezone.now()
    ).order_by("pk")
    while True:
        with transaction.atomic():
            # As a refresh does, which so sees either all of a session or its end.
            lock(User.objects.filter(pk=user.pk))
            sessions = list(running[:SESSIONS_PER_TRANSACTION])
            BlacklistedToken.objects.bulk_create(
                BlacklistedToken(token=session) for session in sessions
            )
        if len(sessions) < SESSIONS_PER_TRANSACTION:
            return
