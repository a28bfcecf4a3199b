from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

# A token is valid for SIMPLE_JWT's LEEWAY of ten seconds after it has expired, and the clocks of
# machines differ. Without the row of its session, it is refused.
MARGIN = timedelta(minutes=1)
TOKENS_PER_TRANSACTION = 1_000


class Command(BaseCommand):
    help = "Delete sessions whose refresh tokens expired over a minute ago. Replaces simplejwt's."

    def handle(self, *args, **options):
        expired = OutstandingToken.objects.filter(expires_at__lte=timezone.now() - MARGIN)
        while keys := list(expired.values_list("pk", flat=True)[:TOKENS_PER_TRANSACTION]):
            OutstandingToken.objects.filter(pk__in=keys).delete()
