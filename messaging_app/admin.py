import math

from django.contrib import admin
from django.http import HttpResponse

from chats.throttling import SIGN_IN_THROTTLES


class AdminSite(admin.AdminSite):
    site_header = site_title = "Messaging"
    site_url = None

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
