import math
from functools import wraps

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.http import HttpResponse

from chats.throttling import SIGN_IN_THROTTLES


class AdminSite(admin.AdminSite):
    site_header = site_title = "Messaging"
    site_url = None

    def admin_view(self, view, cacheable=False):
        """PostgreSQL takes no NUL, and not every parameter goes through a form."""

        @wraps(view)
        def checked_view(request, *args, **kwargs):
            if "%00" in request.META["QUERY_STRING"]:
                raise BadRequest("There is a NUL in the query string.")
            return view(request, *args, **kwargs)

        return super().admin_view(checked_view, cacheable)

    def login(self, request, extra_context=None):
        """Throttled as signing in to the API is, with the same counts."""
        if request.method == "POST":
            throttles = [throttle() for throttle in SIGN_IN_THROTTLES]
            waits = [t.wait() for t in throttles if not t.allow_request(request, None)]
            if waits:
                seconds = math.ceil(max(waits))
                return HttpResponse(
                    f"Too many tries. Try again in {seconds} seconds.",
                    status=429,
                    content_type="text/plain",
                    headers={"Retry-After": str(seconds)},
                )
        return super().login(request, extra_context)
