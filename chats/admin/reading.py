import logging

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction
from django.template.response import TemplateResponse

from chats.admin.rights import may_view
from chats.models import Message, User
from chats.validators import normalize_email
from messaging_app.admin import READING

# For SQLite's queue of writers.
PATIENCE_SECONDS = 2

logger = logging.getLogger(__name__)


class LoggedReadingMixin:
    """For a ModelAdmin whose pages show texts of messages to staff who may view messages.

    Each such page is written down before it is sent.
    """

    def changelist_view(self, request, extra_context=None):
        return self.log_reading(request, super().changelist_view(request, extra_context))

    def changeform_view(self, request, object_id=None, *args, **kwargs):
        response = super().changeform_view(request, object_id, *args, **kwargs)
        return self.log_reading(request, response) if object_id else response

    def log_reading(self, request, response):
        if isinstance(response, TemplateResponse) and may_view(Message, request):
            response.render()
            context = response.context_data
            row = context.get("original") or context.get("object")
            text = "Read." if row else describe_list(context.get("cl"))
            write_entry(request.user, self.model, row.pk if row else "list", text)
        return response


def describe_list(changelist):
    """With the search. An e-mail address is replaced by the user's id, so that it does not outlive
    an erasure."""
    words = changelist.query.split() if changelist else []
    if not words:
        return "Read."
    addresses = {word: normalize_email(word) for word in words}
    users = User.objects.filter(email__in=set(addresses.values()))
    ids = {user.email: str(user.pk) for user in users}
    return f"Read. Search: {' '.join(ids.get(addresses[word], word) for word in words)}"


def write_entry(user, model, name, text):
    """If the database does not write now, a line on standard error takes the place of the entry, so
    that staff can go on reading. The thread, which is one for reads, does not wait for long."""
    entry = LogEntry(
        user=user,
        content_type=ContentType.objects.get_for_model(model),
        # Without `object_id`, so that it is not in the history that all viewers of the row see.
        object_repr=str(name),
        action_flag=READING,
        change_message=text,
    )
    connection.patience_seconds = PATIENCE_SECONDS
    try:
        # Only transactions wait in SQLite's queue of writers.
        with transaction.atomic():
            entry.save()
    except OperationalError:
        words = user.pk, model._meta.model_name, name, text
        logger.warning("Not in the log of staff: user %s, %s %s: %s", *words)
    finally:
        connection.patience_seconds = None
