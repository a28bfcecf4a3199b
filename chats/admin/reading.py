import logging

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import OperationalError, connection, transaction
from django.template.response import TemplateResponse
from django.utils.text import smart_split

from chats.admin.rights import may_view
from chats.models import Message, User
from chats.safety.models import Report
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
            text = "Read." if row else self.describe_list(request, context.get("cl"))
            write_entry(request.user, self.model, row.pk if row else "list", text)
        return response

    def describe_list(self, request, changelist):
        """With the search, and the conversations whose texts the page shows."""
        rows = changelist.result_list if changelist else self.get_selected(request)
        ids = dict.fromkeys(str(get_conversation_id(row)) for row in rows)
        search = describe_search(changelist.query) if changelist else ""
        return " ".join(["Read.", *([search] if search else []), "Conversations:", *ids])

    def get_selected(self, request):
        """What an action asks about."""
        keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
        return self.get_queryset(request).filter(pk__in=keys)


def get_conversation_id(row):
    if isinstance(row, Report):
        return row.message.conversation_id
    return row.conversation_id


def describe_search(query):
    """An e-mail address is replaced by the user's id, so that it does not outlive an erasure."""
    words = [word.strip("\"'") for word in smart_split(query)]
    addresses = {word: normalize_email(word) for word in words if "@" in word}
    users = User.objects.filter(email__in=set(addresses.values())) if addresses else []
    ids = {user.email: str(user.pk) for user in users}
    shown = [
        ids.get(addresses[word], "(an address)") if word in addresses else word for word in words
    ]
    return f"Search: {' '.join(shown)}" if shown else ""


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
