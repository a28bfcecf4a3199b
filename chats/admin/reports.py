from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count
from django.utils.text import Truncator

from chats.admin.confirmation import Confirmation, ConfirmedActionsMixin
from chats.admin.links import link_conversation, link_message, link_user
from chats.admin.lists import LargeTableAdmin
from chats.admin.messages import EXCERPT_CHARACTERS
from chats.admin.reading import LoggedReadingMixin
from chats.admin.rights import may_view
from chats.models import Conversation, Message, User
from chats.safety.models import Report
from chats.safety.reports import close, dismiss

DELETE_MESSAGES = Confirmation(
    "delete_messages",
    "Delete reported messages",
    "The text of these messages is removed for good, as when their senders delete them. All "
    "reports of these messages are closed. They keep the text that was reported.",
    "Delete the messages",
)
DEACTIVATE_SENDERS = Confirmation(
    "deactivate_senders",
    "Deactivate the senders",
    "They cannot sign in, and their tokens are refused from the next request on. The reports stay "
    "open: delete the messages or dismiss the reports.",
    "Deactivate them",
)
RELATED = ["message__sender", "message__conversation", "reporter"]
DELETED, EDITED, UNCHANGED = "Deleted", "Edited", "As reported"


class StateFilter(admin.SimpleListFilter):
    """Open reports unless closed ones are asked for. An index serves only the open ones."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("closed", "Closed")]

    def choices(self, changelist):
        [everything, *others] = super().choices(changelist)
        return [everything | {"display": "Open"}, *others]

    def queryset(self, request, queryset):
        return queryset.filter(closed_at__isnull=self.value() != "closed")


class ReportList(ChangeList):
    def get_results(self, request):
        """Sets how often each message was reported. One query."""
        super().get_results(request)
        counts = count_reports(row.message_id for row in self.result_list)
        for row in self.result_list:
            row.times = counts[row.message_id]


def count_reports(message_ids):
    found = Report.objects.filter(message__in=set(message_ids)).order_by().values("message")
    return dict(found.annotate(times=Count("pk")).values_list("message", "times"))


@admin.register(Report)
class ReportAdmin(LoggedReadingMixin, ConfirmedActionsMixin, LargeTableAdmin):
    """The queue of reported messages. Staff decide by the list's actions."""

    actions = ["delete_messages", "deactivate_senders", "dismiss"]
    list_filter = [StateFilter]
    sortable_by = []
    search_fields = ["reason"]
    search_help_text = (
        "Words of a reason, or the id of a message, conversation, sender or reporter."
    )
    id_fields = ["message", "message__conversation", "message__sender", "reporter"]

    def get_ordering(self, request):
        """The latest first. The index of open reports serves the first one."""
        return ["-pk"] if request.GET.get("state") == "closed" else ["-created_at"]

    def get_changelist(self, request, **kwargs):
        return ReportList

    def get_queryset(self, request):
        return super().get_queryset(request).select_related(*RELATED)

    def get_columns(self, request):
        sender = "sender" if may_view(User, request) else "sender_name"
        conversations = ["conversation"] if may_view(Conversation, request) else []
        return [sender, "times_reported", "state_now", *conversations]

    def get_list_display(self, request):
        texts = ["excerpt"] if may_view(Message, request) else []
        return ["created_at", *texts, "reason_excerpt", *self.get_columns(request)]

    def get_fields(self, request, obj=None):
        texts = ["text", "text_now", "message_link"] if may_view(Message, request) else []
        reporter = "reporter" if may_view(User, request) else "reporter_name"
        return ["reason", *texts, *self.get_columns(request), reporter, "created_at", "closed_at"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    has_delete_permission = has_change_permission

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) or self.has_decide_permission(request)

    def has_decide_permission(self, request):
        return request.user.has_perm("chats.change_report")

    def has_delete_messages_permission(self, request):
        messages_admin = self.admin_site.get_model_admin(Message)
        return self.has_decide_permission(request) and messages_admin.has_delete_permission(request)

    def has_deactivate_permission(self, request):
        users_admin = self.admin_site.get_model_admin(User)
        return self.has_decide_permission(request) and users_admin.has_change_permission(request)

    @admin.action(description="Dismiss selected reports", permissions=["decide"])
    def dismiss(self, request, reports):
        """Closes all reports of these messages and texts."""
        closed = 0
        for report in reports:
            if number := dismiss(report):
                self.log_change(request, report, "Dismissed.")
            closed += number
        self.say_closed(request, closed)

    @admin.action(description="Delete the reported messages", permissions=["delete_messages"])
    def delete_messages(self, request, reports):
        if not self.is_confirmed(request):
            names = {row.pk: self.describe(request, row) for row in reports}
            return self.ask(request, DELETE_MESSAGES, names)
        reports = list(reports)
        chosen = Message.objects.filter(pk__in={row.message_id for row in reports})
        messages_admin = self.admin_site.get_model_admin(Message)
        messages_admin.log_deletions(request, chosen)
        messages_admin.delete_queryset(request, chosen)
        close({row.message_id for row in reports})
        for row in reports:
            self.log_change(request, row, "Message deleted.")
        self.say_closed(request, len(reports))
        return None

    @admin.action(description="Deactivate the senders", permissions=["deactivate"])
    def deactivate_senders(self, request, reports):
        users_admin = self.admin_site.get_model_admin(User)
        senders = User.objects.filter(pk__in={row.message.sender_id for row in reports})
        senders = users_admin.keep_changeable(request, senders).active()
        form = self.get_reason_form(request)
        if form.is_valid():
            users_admin.deactivate_for(request, senders, form.cleaned_data["reason"])
            return None
        kept = {sender.pk for sender in senders}
        # One of the reports for each sender.
        rows = {row.message.sender: row for row in reports if row.message.sender_id in kept}
        names = {row.pk: f"{sender.get_full_name()} ({sender})" for sender, row in rows.items()}
        return self.ask(request, DEACTIVATE_SENDERS, names, form=form)

    def say_closed(self, request, number):
        self.message_user(request, f"Reports closed: {number}.", messages.SUCCESS)

    def describe(self, request, report):
        label = str if may_view(User, request) else User.get_full_name
        text = self.excerpt(report) if may_view(Message, request) else report.message_id
        return f"{label(report.message.sender)}: {text}"

    @admin.display(description="reported text")
    def excerpt(self, report):
        return Truncator(self.text(report)).chars(EXCERPT_CHARACTERS)

    @admin.display(description="reported text")
    def text(self, report):
        # Empty after the erasure of a sender who had deleted the message.
        return report.message_body or "Deleted"

    @admin.display(description="reason")
    def reason_excerpt(self, report):
        return Truncator(report.reason).chars(EXCERPT_CHARACTERS)

    @admin.display(description="sender")
    def sender(self, report):
        return link_user(report.message.sender)

    @admin.display(description="sender")
    def sender_name(self, report):
        return report.message.sender.get_full_name()

    @admin.display(description="reporter")
    def reporter_name(self, report):
        return report.reporter and report.reporter.get_full_name()

    @admin.display(description="times")
    def times_reported(self, report):
        if not hasattr(report, "times"):
            report.times = count_reports([report.message_id])[report.message_id]
        return report.times

    @admin.display(description="message now")
    def state_now(self, report):
        if report.message.is_deleted:
            return DELETED
        is_same = report.message.message_body == report.message_body
        return UNCHANGED if is_same else EDITED

    @admin.display(description="message")
    def message_link(self, report):
        return link_message(report.message)

    @admin.display(description="text now")
    def text_now(self, report):
        return report.message.shown_body or "Deleted"

    @admin.display(description="conversation")
    def conversation(self, report):
        return link_conversation(report.message.conversation)
