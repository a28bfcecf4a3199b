import hashlib
import time
from unicodedata import normalize

from django.core.cache import caches
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class RateThrottle(SimpleRateThrottle):
    """DRF's, but for the counting: by the cache's atomic operations, so that racing requests do
    not pass uncounted, and from the first request to the end of the rate's period.

    A subclass has a `scope`, whose rate is None where it is switched off, and a
    `get_cache_key()`: what is counted together, or None for a request that does not count.
    """

    cache = caches["throttles"]

    def allow_request(self, request, view):
        if self.rate is None or (ident := self.get_cache_key(request, view)) is None:
            return True
        # Hashed, because it holds what a client has sent.
        key = hashlib.sha256(f"{type(self).__name__} {ident}".encode()).hexdigest()
        self.end = self.cache.get_or_set(key, time.time() + self.duration, self.duration)
        # The count has the end in its name, and outlives it: increasing it never brings back
        # one that has just expired.
        count_key = f"{key}.{self.end}"
        if self.cache.add(count_key, 1, 2 * self.duration):
            return True
        try:
            return self.cache.incr(count_key) <= self.num_requests
        except ValueError:
            # The cache was emptied in between.
            return True

    def wait(self):
        return max(1, self.end - time.time())


class RegistrationThrottle(RateThrottle):
    scope = "register"

    def get_cache_key(self, request, view):
        return self.get_ident(request)


class PasswordResetThrottle(RegistrationThrottle):
    scope = "reset"


class SignInThrottle(RateThrottle):
    """By address and account, so that nobody locks an account's owner out from elsewhere."""

    scope = "sign_in"

    def get_cache_key(self, request, view):
        return f"{self.get_ident(request)} {get_account(request)}"


class SignInAddressThrottle(RateThrottle):
    """By address alone, at ten times the rate: for one that goes through many accounts."""

    scope = "sign_in"

    def parse_rate(self, rate):
        num_requests, duration = super().parse_rate(rate)
        return num_requests and 10 * num_requests, duration

    def get_cache_key(self, request, view):
        return self.get_ident(request)


class WriteThrottle(RateThrottle):
    """By user: writes, and look-ups of strangers by their e-mail address."""

    scope = "write"

    def get_cache_key(self, request, view):
        looks_up = request.resolver_match.view_name == "user-list"
        if request.method in SAFE_METHODS and not (looks_up and "email" in request.query_params):
            return None
        return request.user.pk


SIGN_IN_THROTTLES = [SignInThrottle, SignInAddressThrottle]


def get_account(request):
    """The e-mail address in a sign-in to the API, or to the admin, whose form says username."""
    if isinstance(request, Request):
        email = request.data.get("email") if isinstance(request.data, dict) else None
    else:
        email = request.POST.get("username")
    # As the admin's form does, for which letters of another width are the same.
    return normalize("NFKC", email).strip().lower() if isinstance(email, str) else ""
