"""Whose requests share a count, and what happens to a count that is lost."""

import time

import pytest
from django.conf import settings
from django.core.cache import caches
from rest_framework.test import APIRequestFactory

from chats.rest.throttling import Count, Limit, RateThrottle


@pytest.fixture
def rates(monkeypatch):
    """`rates(write="3/min")` sets these, the others are off."""

    def rates(**rates):
        off = dict.fromkeys(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"])
        monkeypatch.setattr(RateThrottle, "THROTTLE_RATES", off | rates)

    return rates


@pytest.mark.django_db
def test_anonymous_requests_do_not_share_the_count_of_a_user(api, rates):
    """Or one of them could keep all others from verifying their tokens."""
    rates(write="1/min")
    for _ in range(3):
        response = api().post("/api/token/verify/", {"token": "nonsense"})
        assert response.status_code == 401


def test_each_user_has_their_own_count(api, alice, bob, rates):
    rates(write="1/min")
    for user in (alice, bob):
        statuses = [api(user).patch("/api/users/me/", {}).status_code for _ in range(2)]
        assert statuses == [200, 429]


def test_each_scope_has_its_own_count(api, alice, rates):
    rates(write="1/min", search="1/min")
    client = api(alice)
    assert client.get("/api/users/?search=bob").status_code == 200
    assert client.patch("/api/users/me/", {}).status_code == 200
    assert client.get("/api/users/?search=bob").status_code == 429


def test_a_count_that_is_lost_begins_again():
    """The cache was cleared, or was full, during a request."""
    count = Count("register 127.0.0.1", 60)
    for _ in range(3):
        count.increase()
    assert count.value == 3
    caches["throttles"].clear()
    count.increase()
    assert count.value == 1
    count.decrease()
    assert Count("register 127.0.0.1", 60).value == 0


@pytest.mark.skipif(bool(settings.CACHE_URL), reason="sets the clock of local memory")
@pytest.mark.parametrize(("rate", "period"), [("2/min", 60), ("2/hour", 3600)])
@pytest.mark.django_db
def test_a_count_ends_with_its_period_and_not_before(api, rates, monkeypatch, rate, period):
    rates(register=rate)
    now = time.time()

    def register(after):
        monkeypatch.setattr(time, "time", lambda: now + after)
        return api().post("/api/users/", {})

    assert [register(0).status_code for _ in range(3)] == [400, 400, 429]
    refused = register(period - 2)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert [register(period + 1).status_code for _ in range(3)] == [400, 400, 429]
    # The last of these counts is kept for two periods at most.
    assert max(caches["throttles"]._expire_info.values()) <= now + 3 * period + 1


def test_a_value_that_is_lost_alone_begins_again():
    count = Count("register 127.0.0.1", 60)
    count.increase()
    count.cache.delete(count.value_key)
    assert Count("register 127.0.0.1", 60).value == 0


def test_request_that_loses_a_race_is_refused_and_not_counted(rates):
    class RacingThrottle(RateThrottle):
        def get_limits(self, request, view):
            """Both counts are read before either is increased, as those of two requests are."""
            return [Limit("register", "127.0.0.1")] * 2

    rates(register="1/min")
    throttle = RacingThrottle()
    assert not throttle.allow_request(APIRequestFactory().post("/"), None)
    assert 1 <= throttle.wait() <= 60
    assert Count("register 127.0.0.1", 60).value == 0
