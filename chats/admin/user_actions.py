from contextlib import suppress
from functools import partial

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import path, reverse
from django.utils import timezone

from chats import services
from chats.accounts.mail import mail_reset_link
from chats.accounts.sessions import end_sessions
from chats.admin.confirmation import Confirmation, ConfirmedActionsMixin
from chats.admin.rights import is_protected_from
from chats.clock import lock
from chats.models import User
from chats.passwords import ERASED_PASSWORD
from messaging_app.backends.mail import is_sent

ACCESS_TOKEN_MINUTES = int(settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"].total_seconds() // 60)
DEACTIVATE = Confirmation(
    "deactivate",
    "Deactivate users",
    "They cannot sign in, and their tokens are refused from the next request on. You can activate "
    "them again.",
    "Deactivate them",
)
ACTIVATE = Confirmation(
    "activate",
    "Activate users",
    "They can sign in again. Tokens from before, which have not expired, are accepted again.",
    "Activate them",
)
SEND_RESET_LINK = Confirmation(
    "send_reset_link",
    "Send a reset link",
    "Each of them gets an e-mail with a link that sets a new password. Until they use it, nothing "
    "changes.",
    "Send the links",
)
VERIFY_EMAIL = Confirmation(
    "verify_email",
    "Mark e-mail addresses as verified",
    "It is as if they had followed the link that was sent to them: where only verified addresses "
    "may sign in, they can.",
    "Mark them as verified",
)
SIGN_OUT = Confirmation(
    "sign_out",
    "Sign out everywhere",
    "Their sessions end on all devices: the refresh tokens are refused from now on. Access tokens "
    f"that were issued before work until they expire, for up to {ACCESS_TOKEN_MINUTES} minutes. To "
    "end these too, set another password or deactivate the user. Sessions in this admin go on.",
    "Sign them out",
)
ERASE = Confirmation(
    "erase",
    "Erase users",
    "The name, e-mail address, phone number and password of these users are deleted, and they "
    "leave all their conversations. Their messages stay, under “Deleted user”. This cannot be "
    "undone.",
    "Erase them",
)
NO_MAIL_SERVER = "No e-mail can be sent, because EMAIL_URL names no mail server."
CONFIRMATIONS = [DEACTIVATE, ACTIVATE, SEND_RESET_LINK, VERIFY_EMAIL, SIGN_OUT, ERASE]
LABELS = {
    "deactivate": "Deactivate",
    "activate": "Activate",
    "send_reset_link": "Send a reset link",
    "verify_email": "Mark the address as verified",
    "sign_out": "Sign out everywhere",
    "erase": "Erase",
}


class UserActionsMixin(ConfirmedActionsMixin):
    """What staff do with users, on the list and on a user's page. Each action asks first, and is
    written into the users' history."""

    actions = list(LABELS)

    def get_urls(self):
        return [
            *(
                path(
                    f"<path:object_id>/{confirmation.action}/",
                    self.admin_site.admin_view(partial(self.confirm_view, confirmation)),
                    name=f"chats_user_{confirmation.action}",
                )
                for confirmation in CONFIRMATIONS
            ),
            *super().get_urls(),
        ]

    def get_tools(self, request, user):
        """The links above a user's page. Others than senders need not be erased: they can be
        deleted."""
        return [
            {"label": LABELS[name], "url": reverse(f"admin:chats_user_{name}", args=[user.pk])}
            for name in LABELS
            if self.may_run(request, name, user)
            and (name != "erase" or user.sent_messages.exists())
        ]

    def may_run(self, request, name, user):
        """Whether the action does something with the user, and the staff member may run it."""
        if name == "erase":
            may_run = self.has_delete_permission(request, user)
        else:
            may_run = self.has_change_permission(request, user)
            may_run = may_run and user.is_active == (name != "activate")
            may_run = may_run and not (name == "verify_email" and user.email_verified_at)
        return may_run and self.may_change(request, user)

    def confirm_view(self, confirmation, request, object_id):
        """The confirmation page of the action, for one user."""
        user = self.get_object(request, unquote(object_id))
        if user is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        if not self.may_run(request, confirmation.action, user):
            raise PermissionDenied
        form_url = self.response_post_save_change(request, user).url
        return self.ask_about(request, confirmation, [user], form_url=form_url)

    def ask_about(self, request, confirmation, users, **options):
        names = {user.pk: f"{user.get_full_name()} ({user})" for user in users}
        if confirmation is DEACTIVATE:
            options.setdefault("form", self.get_reason_form(request))
        return self.ask(request, confirmation, names, **options)

    @admin.action(description="Deactivate selected users", permissions=["change"])
    def deactivate(self, request, users):
        users = self.keep_changeable(request, users).active()
        form = self.get_reason_form(request)
        if not form.is_valid():
            return self.ask_about(request, DEACTIVATE, users, form=form)
        self.deactivate_for(request, users, form.cleaned_data["reason"])
        return None

    def deactivate_for(self, request, users, reason):
        """Deactivate the users of a queryset. The reason is for their history."""
        text = f"Deactivated. Reason: {reason}" if reason else "Deactivated."
        count = self.change_all(request, users, text, is_active=False)
        self.message_user(request, f"Users deactivated: {count}.", messages.SUCCESS)

    @admin.action(description="Activate selected users", permissions=["change"])
    def activate(self, request, users):
        users = self.keep_changeable(request, users).filter(is_active=False)
        if not self.is_confirmed(request):
            return self.ask_about(request, ACTIVATE, users)
        count = self.change_all(request, users, "Activated.", is_active=True)
        self.message_user(request, f"Users activated: {count}.", messages.SUCCESS)
        return None

    def change_all(self, request, users, text, **fields):
        """Write these fields, and the text into the users' history. Returns their number."""
        with transaction.atomic():
            users = lock(users)
            User.objects.filter(pk__in=[user.pk for user in users]).update(**fields)
            for user in users:
                self.log_change(request, user, text)
        return len(users)

    @admin.action(description="Send a reset link to selected users", permissions=["change"])
    def send_reset_link(self, request, users):
        """Like `POST /api/users/reset_password/`, and counts for nobody's throttle."""
        users = self.keep_changeable(request, users).active()
        if not self.is_confirmed(request):
            return self.ask_about(request, SEND_RESET_LINK, users)
        if not is_sent():
            self.message_user(request, NO_MAIL_SERVER, messages.ERROR)
            return None
        sent, left_out = 0, []
        for user in users:
            if not mail_reset_link(user.email):
                left_out.append(user)
                continue
            self.log_change(request, user, "Reset link sent.")
            sent += 1
        if left_out:
            names = ", ".join(map(str, left_out))
            text = f"Without a password, no link can be sent. Set one instead: {names}."
            self.message_user(request, text, messages.WARNING)
        self.message_user(request, f"Reset links sent: {sent}.", messages.SUCCESS)
        return None

    @admin.action(
        description="Mark addresses of selected users as verified", permissions=["change"]
    )
    def verify_email(self, request, users):
        users = self.keep_changeable(request, users).active().filter(email_verified_at=None)
        if not self.is_confirmed(request):
            return self.ask_about(request, VERIFY_EMAIL, users)
        text, now = "Marked the address as verified.", timezone.now()
        count = self.change_all(request, users, text, email_verified_at=now)
        self.message_user(request, f"Addresses marked as verified: {count}.", messages.SUCCESS)
        return None

    @admin.action(description="Sign out selected users everywhere", permissions=["change"])
    def sign_out(self, request, users):
        users = self.keep_changeable(request, users).active()
        if not self.is_confirmed(request):
            return self.ask_about(request, SIGN_OUT, users)
        for user in users:
            end_sessions(user)
            self.log_change(request, user, "Signed out everywhere.")
        self.message_user(request, f"Users signed out: {len(users)}.", messages.SUCCESS)
        return None

    @admin.action(description="Erase selected users for good", permissions=["delete"])
    def erase(self, request, users):
        """Like `DELETE /api/users/me/`."""
        users = self.keep_changeable(request, users)
        if not self.is_confirmed(request):
            return self.ask_about(request, ERASE, users)
        erased = 0
        for user in users:
            with suppress(User.DoesNotExist):
                services.erase(user, users)
                self.log_change(request, user, "Erased.")
                erased += 1
        self.message_user(request, f"Users erased: {erased}.", messages.SUCCESS)
        return None

    def may_change(self, request, user):
        is_ones_own = user == request.user
        return not (is_ones_own or user.is_erased or is_protected_from(user, request.user))

    def keep_changeable(self, request, users):
        """The users whom the staff member may change, without the staff member."""
        kept, left_out = [], []
        for user in users:
            if self.may_change(request, user):
                kept.append(user)
            else:
                left_out.append(user)
        if left_out:
            text = f"Left as they were: {', '.join(map(str, left_out))}."
            self.message_user(request, text, messages.WARNING)
        # The database checks this again when the rows are locked.
        users = User.objects.filter(pk__in=[user.pk for user in kept])
        users = users.exclude(password=ERASED_PASSWORD)
        if request.user.is_superuser:
            return users
        return users.filter(is_staff=False, is_superuser=False)
