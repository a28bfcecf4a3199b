"""Serves the demo client of frontend/ at /, the address that `manage.py runserver` prints."""

import html
import json

from django.conf import settings
from django.http import HttpResponse
from django.urls import path, re_path
from django.views.static import serve

from chats.management.commands.seed_demo import PASSWORD, PEOPLE

NO_ACCOUNTS = '<meta name="demo" content="[]">'


def index(request):
    """The page with the accounts that seed_demo makes, so that one click signs in."""
    accounts = [
        {"name": first_name.lower(), "first_name": first_name, "email": email, "password": PASSWORD}
        for email, (first_name, _) in PEOPLE.items()
    ]
    content = html.escape(json.dumps(accounts))
    page = (settings.FRONTEND_ROOT / "index.html").read_text()
    return HttpResponse(page.replace(NO_ACCOUNTS, f'<meta name="demo" content="{content}">'))


urlpatterns = [
    path("", index),
    re_path(
        r"^(?P<path>[a-z]+\.(?:js|css|svg))$", serve, {"document_root": settings.FRONTEND_ROOT}
    ),
]
