"""E-mails that were sent, and the links in them."""

import re
from urllib.parse import parse_qs, urlsplit

from django.core import mail

from chats.accounts.mail import MAIL


def read_mail():
    """Every e-mail that was queued before. One thread sends them in their order."""
    MAIL.submit(int).result()
    return mail.outbox


def read_link(message, page):
    """The values in the e-mail's link to the page."""
    [link] = re.findall(rf"{re.escape(page)}\S+", message.body)
    return {name: value for name, [value] in parse_qs(urlsplit(link).query).items()}
