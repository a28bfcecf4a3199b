import contextlib
import hashlib
import time
from ipaddress import IPv4Address, IPv6Network, ip_address
from operator import attrgetter
from typing import Any, NamedTuple
from unicodedata import normalize

from django.core.cache import caches
from django.http import HttpRequest
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from chats.validators import EMAIL_MAX_CHARACTERS, normalize_email
from messaging_app.metrics import THROTTLED

IPV6_PREFIX = 64

# DRF's request, or Django's when the admin's sign-in is throttled.
AnyRequest = Request | HttpRequest


class Limit(NamedTuple):
    """Requests with the same scope and name share a count, whose limit is `factor` times the
    scope's rate."""

    scope: str
    name: str
    factor: int = 1


class RateThrottle(SimpleRateThrottle):
    """Counts concurrent requests correctly, and does not count a refused one.

    A subclass implements `get_limits()`. A rate of None disables its scope.
    """

    def __init__(self) -> None:
        """Does not call DRF's `__init__()`, which looks up a single rate."""

    def get_limits(self, request: AnyRequest, view: Any) -> list[Limit]:
        raise NotImplementedError

    def get_ident(self, request: Any) -> str:
        return get_network((super().get_ident(request) or "").strip())

    def allow_request(self, request: AnyRequest, view: Any) -> bool:
        limits = []
        for limit in self.get_limits(request, view):
            num_requests, duration = self.parse_rate(self.THROTTLE_RATES[limit.scope])
            if num_requests and duration:
                count = RequestCount(limit, duration)
                limits.append((count, limit.factor * num_requests))
        if exhausted := [count for count, max_requests in limits if count.value >= max_requests]:
            return self.refuse(max(exhausted, key=attrgetter("end")))
        increased = []
        for count, max_requests in limits:
            count.increase()
            increased.append(count)
            if count.value > max_requests:
                # A racing request was counted since the value was read.
                for counted in increased:
                    counted.decrease()
                return self.refuse(count)
        return True

    def refuse(self, count: "RequestCount") -> bool:
        THROTTLED.labels(count.scope).inc()
        self.end = count.end
        return False

    def wait(self) -> float:
        return max(1, self.end - time.time())


class RequestCount:
    """The number of requests in the `duration` seconds that begin with the first one.

    Reading stores nothing. Increasing is atomic, so that racing requests get different values.
    """

    def __init__(self, limit: Limit, duration: int) -> None:
        self.cache, self.duration, self.scope = caches["throttles"], duration, limit.scope
        # Hashed, because the name holds what a client has sent.
        self.key = hashlib.sha256(f"{limit.scope} {limit.name}".encode()).hexdigest()
        self.end = self.cache.get(self.key)
        self.value = 0 if self.end is None else self.cache.get(self.value_key, 0)

    @property
    def value_key(self) -> str:
        # The key contains the end of the period and is kept longer, so that `incr` cannot add to
        # the count of the next period.
        return f"{self.key}.{self.end}"

    def increase(self) -> None:
        if self.end is None:
            end = time.time() + self.duration
            self.end = self.cache.get_or_set(self.key, end, self.duration)
        if self.value == 0 and self.cache.add(self.value_key, 1, 2 * self.duration):
            self.value = 1
            return
        try:
            self.value = self.cache.incr(self.value_key)
        except ValueError:
            # The cache was cleared in between.
            self.value = 1

    def decrease(self) -> None:
        with contextlib.suppress(ValueError):
            self.cache.decr(self.value_key)


class AddressThrottle(RateThrottle):
    """Counts each POST. Any other method is a 405, or describes the endpoint."""

    scope: str

    def get_limits(self, request: AnyRequest, view: Any) -> list[Limit]:
        if request.method != "POST":
            return []
        return [Limit(self.scope, self.get_ident(request))]


class RegistrationThrottle(AddressThrottle):
    scope = "register"


class LinkThrottle(AddressThrottle):
    """E-mails with links."""

    scope = "reset"


class LinkUseThrottle(LinkThrottle):
    """Tries to use a link. Each endpoint counts for itself, so that whoever has asked for several
    links can use them, and correct a password that is refused."""

    def get_limits(self, request: AnyRequest, view: Any) -> list[Limit]:
        limits = super().get_limits(request, view)
        return [limit._replace(name=f"{limit.name} {view.action}") for limit in limits]


class RefreshThrottle(AddressThrottle):
    scope = "refresh"


class SignInThrottle(RateThrottle):
    """By address and account, so that a stranger elsewhere does not lock the owner out. Also by
    address alone, at ten times the rate, against trying many accounts."""

    def get_limits(self, request: AnyRequest, view: Any) -> list[Limit]:
        if request.method != "POST":
            return []
        address = self.get_ident(request)
        return [
            Limit("sign_in", address, factor=10),
            Limit("sign_in", f"{address} {get_account(request)}"),
        ]


class UserThrottle(RateThrottle):
    """By user: writes, and lists with `?search=`. Looking up a stranger by their e-mail address
    counts as both."""

    def get_limits(self, request: Any, view: Any) -> list[Limit]:
        is_write = request.method not in SAFE_METHODS and request.method in view.allowed_methods
        is_list = getattr(view, "action", None) == "list"
        is_search = is_list and "search" in request.query_params
        is_look_up = is_list and "email" in request.query_params
        counted = {"write": is_write or is_look_up, "search": is_search or is_look_up}
        if not any(counted.values()) or request.user.pk is None:
            return []
        return [Limit(scope, str(request.user.pk)) for scope in counted if counted[scope]]


class ExportThrottle(RateThrottle):
    """Counts as a search."""

    def get_limits(self, request: Any, view: Any) -> list[Limit]:
        return [Limit("search", str(request.user.pk))] if request.method == "GET" else []


class EmailChangeThrottle(LinkThrottle):
    """Also a write, by user."""

    def get_limits(self, request: AnyRequest, view: Any) -> list[Limit]:
        return [*super().get_limits(request, view), *UserThrottle().get_limits(request, view)]


def get_network(address: str) -> str:
    """The IPv4 address, or the /64 of an IPv6 address, all of which one machine may use (RFC 6177).

    Without a port. "" for everything that is not an address.
    """
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        address = address.partition(":")[0]
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    # int() is without a scope, as in fe80::1%eth0.
    return str(IPv6Network((int(found), IPV6_PREFIX), strict=False))


def get_account(request: AnyRequest) -> str:
    """The e-mail address of a sign-in. The admin's form calls it username."""
    if isinstance(request, Request):
        email = request.data.get("email") if isinstance(request.data, dict) else None
    else:
        email = request.POST.get("username")
    if not isinstance(email, str):
        return ""
    # As the admin's form does: full-width letters are the same as ASCII ones.
    return normalize_email(normalize("NFKC", email[:EMAIL_MAX_CHARACTERS]).strip())
