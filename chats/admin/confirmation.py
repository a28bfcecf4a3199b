from typing import NamedTuple

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.template.response import TemplateResponse

from chats.safety.models import REASON_MAX_CHARACTERS


class Confirmation(NamedTuple):
    """The page that asks before an action runs."""

    # The name of the action.
    action: str
    title: str
    text: str
    button: str


class ReasonForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=REASON_MAX_CHARACTERS,
        widget=forms.Textarea({"rows": 3, "cols": 60}),
        help_text="Optional. It is kept in the user's history.",
    )


class ConfirmedActionsMixin:
    """For a ModelAdmin with actions that ask first."""

    def is_confirmed(self, request):
        return "confirmed" in request.POST

    def get_reason_form(self, request):
        return ReasonForm(request.POST if self.is_confirmed(request) else None)

    def ask(self, request, confirmation, names, *, form=None, form_url=None):
        """`names` has a text for each key of the selected rows. The page's form runs the action on
        the list at `form_url`, which is this one if it is None."""
        context = self.admin_site.each_context(request) | {
            "confirmation": confirmation,
            "title": confirmation.title,
            "selected": names,
            "form": form,
            "form_url": form_url or request.get_full_path(),
            "opts": self.opts,
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/chats/confirm.html", context)
