"""Middleware for pages: the admin, the documentation and the demo client."""

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from messaging_app.middleware import is_api

DOCS_PATH = "/api/docs/"


class PagesOnly:
    """Skips a middleware for JSON, which has no session, form, script or static file."""

    def __call__(self, request):
        if is_api(request) and request.path_info != DOCS_PATH:
            return self.get_response(request)
        return super().__call__(request)


class PagesCSPMiddleware(PagesOnly, CSPMiddleware):
    pass


class PagesWhiteNoiseMiddleware(PagesOnly, WhiteNoiseMiddleware):
    pass


class PagesSessionMiddleware(PagesOnly, SessionMiddleware):
    pass


class PagesAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware):
    pass


class PagesMessageMiddleware(PagesOnly, MessageMiddleware):
    pass
