import logging
from typing import Any

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from messaging_app.metrics import MAIL_FAILURES

logger = logging.getLogger(__name__)


class NotSent(BaseEmailBackend):
    """Sends no e-mail, and logs that."""

    def send_messages(self, email_messages: Any) -> int:
        MAIL_FAILURES.inc(len(email_messages))
        logger.warning("An e-mail was not sent, because EMAIL_URL names no mail server.")
        return 0


def is_sent() -> bool:
    """Whether e-mails are sent at all."""
    return f"{__name__}.{NotSent.__name__}" != settings.EMAIL_BACKEND
