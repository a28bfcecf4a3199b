"""What DEBUG adds: the demo client at /, and a demo account in the documentation of the API."""

import html
import json

from django.conf import settings
from django.http import HttpResponse
from django.urls import path, re_path
from django.views.static import serve

from chats.management.commands.seed_demo import PASSWORD, PEOPLE

NO_ACCOUNTS = '<meta name="demo" content="[]">'
API = '<meta name="api" content="{}/api">'


def index(request):
    """The page with the accounts that seed_demo makes, so that one click signs in."""
    accounts = [
        {"name": first_name.lower(), "first_name": first_name, "email": email, "password": PASSWORD}
        for email, (first_name, _) in PEOPLE.items()
    ]
    content = html.escape(json.dumps(accounts))
    page = (settings.FRONTEND_ROOT / "index.html").read_text()
    page = page.replace(API.format(""), API.format(settings.PATH_PREFIX))
    return HttpResponse(page.replace(NO_ACCOUNTS, f'<meta name="demo" content="{content}">'))


def sign_in_as_demo(result, **kwargs):
    """A hook of drf-spectacular: the documentation page signs in with a demo account."""
    body = result["paths"]["/api/token/"]["post"]["requestBody"]
    email = next(iter(PEOPLE))
    body["content"]["application/json"]["example"] = {"email": email, "password": PASSWORD}
    return result


urlpatterns = [
    path("", index),
    re_path(
        r"^(?P<path>[a-z]+\.(?:js|css|svg))$", serve, {"document_root": settings.FRONTEND_ROOT}
    ),
]
