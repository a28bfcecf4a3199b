import math

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from chats.accounts.password_forms import OwnPasswordForm, PasswordNotReplaced
from chats.models import User
from chats.rest.search import limited_admin_search
from chats.rest.throttling import SignInThrottle

# The `action_flag` of an entry for a page that was read, beside Django's three.
READING = 4
NOT_VERIFIED = "Follow the link that was sent to your e-mail address first."


class AutocompleteView(AutocompleteJsonView):
    def process_request(self, request):
        """Refuses the reverse side of a relation, on which Django fails, and all but users: of
        messages, it would search the texts."""
        found = super().process_request(request)
        model_admin, source_field = found[1:3]
        if source_field.auto_created or model_admin.model is not User:
            raise PermissionDenied
        return found


class SignInForm(AdminAuthenticationForm):
    def confirm_login_allowed(self, user):
        super().confirm_login_allowed(user)
        if user.must_verify_email:
            raise ValidationError(NOT_VERIFIED, "email_not_verified")


class AdminSite(admin.AdminSite):
    login_form = SignInForm
    site_header = site_title = "Messaging"
    site_url = None

    def get_urls(self):
        """Removes "view on site": no row has a page there."""
        return [url for url in super().get_urls() if getattr(url, "name", None) != "view_on_site"]

    def autocomplete_view(self, request):
        with limited_admin_search():
            return AutocompleteView.as_view(admin_site=self)(request)

    def login(self, request, extra_context=None):
        """Shares the throttle's counts with sign-ins to the API."""
        if request.method == "POST":
            throttle = SignInThrottle()
            if not throttle.allow_request(request, None):
                seconds = math.ceil(throttle.wait())
                return HttpResponse(
                    f"Too many attempts. Try again in {seconds} seconds.",
                    status=429,
                    content_type="text/plain",
                    headers={"Retry-After": str(seconds)},
                )
        return super().login(request, extra_context)

    def get_log_entries(self, request):
        """The recent actions on the first page: what was changed, not what was read."""
        return self.get_visible_entries(request).exclude(action_flag=READING)

    def get_visible_entries(self, request):
        """Leaves out entries about users, which name them, for staff who may not view users."""
        entries = super().get_log_entries(request)
        if self.get_model_admin(User).has_view_permission(request):
            return entries
        return entries.exclude(content_type__app_label="chats", content_type__model="user")

    def password_change(self, request, extra_context=None):
        """Django's view, with a form that writes only the password."""
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        try:
            return view(request)
        except PasswordNotReplaced:
            text = "Somebody else has just changed your account. The password was not set."
            messages.error(request, text)
            return HttpResponseRedirect(request.path)
