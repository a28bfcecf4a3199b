"""Too many requests are a 429; the counts hold whatever else is cached and however they race."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.core.cache import cache, caches
from rest_framework.settings import api_settings
from rest_framework.test import APIRequestFactory

from chats.rest.throttling import (
    Limit,
    RateThrottle,
    RegistrationThrottle,
    RequestCount,
    get_network,
)
from chats.safety.models import Report
from chats.tests.conftest import PASSWORD
from chats.tests.support.paths import conversation_path

WRONG = {"email": "alice@example.com", "password": "wrong"}


@pytest.fixture
def rates(monkeypatch):
    """`rates(sign_in="3/min")` sets these, the others are off."""

    def rates(**rates):
        off = dict.fromkeys(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"])
        monkeypatch.setattr(RateThrottle, "THROTTLE_RATES", off | rates)

    return rates


def is_refused(response):
    if response.status_code != 429:
        assert "Retry-After" not in response.headers
        return False
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert list(response.json()) == ["detail"]
    assert response.headers["Cache-Control"] in {"private, no-cache", "no-store"}
    return True


def count_accepted(call, tries):
    refused = [is_refused(call(n)) for n in range(tries)]
    assert refused == sorted(refused)
    return refused.count(False)


def get_stored():
    """The entries of the throttles' cache, by key."""
    cache = caches["throttles"]
    if settings.CACHE_URL:
        client = cache._cache.get_client()
        return {key: client.get(key) for key in client.keys("throttles:*")}
    return dict(cache._cache)


class TestSignInThrottle:
    PATH = "/api/token/"

    def test_counts_by_address_and_account(self, api, alice, bob, rates):
        rates(sign_in="3/min")
        assert count_accepted(lambda n: api().post(self.PATH, WRONG), 5) == 3
        # In another case it is the same account, and the right password does not help.
        right = {"email": " ALICE@example.com", "password": PASSWORD}
        assert is_refused(api().post(self.PATH, right))
        # From elsewhere its owner still signs in, and here everybody else does.
        elsewhere = api().post(self.PATH, right | {"email": alice.email}, REMOTE_ADDR="10.0.0.2")
        assert elsewhere.status_code == 200
        assert api().post(self.PATH, {"email": bob.email, "password": PASSWORD}).status_code == 200

    @pytest.mark.usefixtures("db")
    def test_limits_one_address_over_many_accounts(self, api, rates):
        rates(sign_in="2/min")
        accepted = count_accepted(
            lambda n: api().post(self.PATH, WRONG | {"email": f"{n}@example.com"}), 25
        )
        assert accepted == 20

    @pytest.mark.usefixtures("alice")
    def test_refused_request_changes_no_count(self, api, client, rates):
        """So counts of made-up accounts cannot evict others from the cache."""
        rates(sign_in="2/min")
        for n in range(20):
            api().post(self.PATH, WRONG | {"email": f"{n}@example.com"})
        before = get_stored()
        for n in range(20, 60):
            assert is_refused(api().post(self.PATH, WRONG | {"email": f"{n}@example.com"}))
            form = {"username": f"{n}@example.com", "password": "wrong"}
            assert client.post("/admin/login/", form).status_code == 429
        assert get_stored() == before

    @pytest.mark.usefixtures("alice")
    def test_refusals_for_an_account_do_not_count_for_the_address(self, api, rates):
        rates(sign_in="2/min")
        assert count_accepted(lambda n: api().post(self.PATH, WRONG), 30) == 2
        others = count_accepted(
            lambda n: api().post(self.PATH, WRONG | {"email": f"{n}@example.com"}), 25
        )
        assert others == 18

    @pytest.mark.usefixtures("alice")
    def test_admin_and_api_share_counts(self, api, client, rates):
        rates(sign_in="3/min")
        api().post(self.PATH, WRONG)
        names = ("Alice@example.com", "ａlice@example.com", " alice@example.com")
        forms = [
            {"username": name, "password": "wrong", "email": f"decoy{n}@example.com"}
            for n, name in enumerate(names)
        ]
        responses = [client.post("/admin/login/", form) for form in forms]
        assert [response.status_code for response in responses] == [200, 200, 429]
        assert 1 <= int(responses[-1].headers["Retry-After"]) <= 60
        assert is_refused(api().post(self.PATH, WRONG))
        assert client.get("/admin/login/").status_code == 200

    @pytest.mark.parametrize("body", [{}, {"email": 5}, {"email": [["a"]]}, [], [1], "a", None])
    @pytest.mark.usefixtures("db")
    def test_malformed_requests_count(self, api, rates, body):
        rates(sign_in="1/min")
        assert api().post(self.PATH, body).status_code == 400
        assert is_refused(api().post(self.PATH, body))


@pytest.mark.usefixtures("db")
def test_registration_is_throttled_by_address(api, rates):
    rates(register="2/min")
    assert count_accepted(lambda n: api().post("/api/users/", {}), 4) == 2
    assert not is_refused(api().post("/api/users/", {}, REMOTE_ADDR="10.0.0.2"))


MAILS = ["reset_password", "resend_verification"]
LINK_USES = ["reset_password_confirm", "verify_email", "set_email_confirm"]


@pytest.mark.parametrize("name", MAILS)
@pytest.mark.usefixtures("db")
def test_mailed_links_are_throttled_together_by_address(api, rates, name):
    rates(reset="2/min")
    path, body = f"/api/users/{name}/", {"email": "nobody@example.com"}
    assert count_accepted(lambda n: api().post(path, body), 4) == 2
    assert all(is_refused(api().post(f"/api/users/{mail}/", body)) for mail in MAILS)
    assert not is_refused(api().post(path, body, REMOTE_ADDR="10.0.0.2"))


@pytest.mark.parametrize("name", LINK_USES)
@pytest.mark.usefixtures("db")
def test_uses_of_a_link_are_throttled_by_address_and_endpoint(api, rates, name):
    rates(reset="2/min")
    path = f"/api/users/{name}/"
    assert count_accepted(lambda n: api().post(path, {}), 4) == 2
    others = [*MAILS, *LINK_USES]
    others.remove(name)
    assert not any(is_refused(api().post(f"/api/users/{other}/", {})) for other in others)
    assert not is_refused(api().post(path, {}, REMOTE_ADDR="10.0.0.2"))


def test_change_of_address_is_throttled_by_address_and_by_user(api, alice, bob, rates):
    rates(reset="2/min", write="3/min")
    path = "/api/users/set_email/"
    calls = [api(alice), api(alice), api(alice), api(bob)]
    assert [is_refused(client.post(path, {})) for client in calls] == [False, False, True, True]
    # Refused requests did not count as writes.
    refused = [is_refused(api(alice).patch("/api/users/me/", {})) for _ in range(2)]
    assert refused == [False, True]
    assert is_refused(api(alice).post(path, {}, REMOTE_ADDR="10.0.0.2"))
    assert not is_refused(api(bob).post(path, {}, REMOTE_ADDR="10.0.0.2"))


@pytest.mark.usefixtures("db")
def test_refresh_is_throttled_by_address(api, rates):
    rates(refresh="2/min")
    path, body = "/api/token/refresh/", {"refresh": "nonsense"}
    assert count_accepted(lambda n: api().post(path, body), 4) == 2
    assert not is_refused(api().post(path, body, REMOTE_ADDR="10.0.0.2"))


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("sign_in", "/api/token/"),
        ("refresh", "/api/token/refresh/"),
        ("register", "/api/users/"),
        ("reset", "/api/users/reset_password/"),
        ("reset", "/api/users/reset_password_confirm/"),
        ("reset", "/api/users/set_email/"),
        ("write", "/api/messages/"),
    ],
)
def test_other_methods_do_not_count(api, alice, rates, scope, path):
    rates(**{scope: "1/min"})
    client = api(alice)
    for _ in range(11):
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            assert client.generic(method, path).status_code in {200, 401, 405}
    assert client.post(path, {}).status_code == 400
    assert is_refused(client.post(path, {}))


def test_writes_and_email_lookups_are_throttled_by_user(api, alice, bob, conversation, rates):
    rates(write="6/min")
    path = conversation_path(conversation)
    client = api(alice)
    calls = [
        lambda: client.post(f"{path}messages/", {"message_body": "Hello"}),
        lambda: client.post("/api/conversations/", {"participants": [str(bob.pk)]}),
        lambda: client.post(f"{path}add_participant/", {"user_id": str(bob.pk)}),
        lambda: client.patch("/api/users/me/", {"first_name": "Alicia"}),
        lambda: client.get("/api/users/?email=bob@example.com"),
        lambda: client.post("/api/users/set_password/", {}),
        lambda: client.delete("/api/users/me/", {}),
        lambda: client.post(f"{path}leave/"),
    ]
    assert [is_refused(call()) for call in calls] == [False] * 6 + [True] * 2
    assert all(is_refused(call()) for call in calls)
    for path_to_read in ("/api/users/", "/api/conversations/", path, f"{path}messages/"):
        assert client.get(path_to_read).status_code == 200
    assert client.get("/api/users/me/?email=bob@example.com").status_code == 200
    assert api(bob).post(f"{path}messages/", {"message_body": "Hello"}).status_code == 201


def test_export_counts_as_a_search(api, alice, rates):
    rates(search="2/min")
    client, search = api(alice), "/api/users/?search=x"
    assert client.get(search).status_code == 200
    export = client.get("/api/users/me/export/")
    assert (export.status_code, bool(list(export.streaming_content))) == (200, True)
    assert is_refused(client.get("/api/users/me/export/"))
    assert is_refused(client.get(search))


def test_email_lookup_counts_as_a_search_too(api, alice, rates):
    rates(write="5/min", search="2/min")
    client = api(alice)
    look_up = "/api/users/?email=bob@example.com"
    assert [is_refused(client.get(look_up)) for _ in range(5)] == [False] * 2 + [True] * 3
    # Refused requests did not count as writes.
    writes = [client.patch("/api/users/me/", {}) for _ in range(4)]
    assert [is_refused(write) for write in writes] == [False] * 3 + [True]


def test_off_disables_a_throttle(api, rates):
    rates()
    assert count_accepted(lambda n: api().post("/api/users/reset_password/", {}), 30) == 30


def test_cached_pages_do_not_evict_throttle_counts(api, alice, message, rates):
    rates(sign_in="1/hour")
    api().post("/api/token/", WRONG)
    client = api(alice)
    for n in range(1_000):
        cache.set(f"{n}", n)
    for n in range(20):
        client.get("/api/messages/", {"search": f"{n}"})
    assert api().post("/api/token/", WRONG).status_code == 429
    if not settings.CACHE_URL:
        cache.clear()
        assert api().post("/api/token/", WRONG).status_code == 429


@pytest.mark.usefixtures("db")
class TestTrustedProxies:
    """The last entries of X-Forwarded-For are the proxies' own; what stands before them, anybody
    can write."""

    @pytest.mark.parametrize(
        ("trusted", "first", "second", "same"),
        [
            (0, "1.1.1.1", "2.2.2.2", True),
            (1, "1.1.1.1", "2.2.2.2", False),
            (1, "9.9.9.9, 1.1.1.1", "8.8.8.8, 1.1.1.1", True),
            (2, "1.1.1.1, 5.5.5.5", "2.2.2.2, 5.5.5.5", False),
            (2, "9.9.9.9, 1.1.1.1, 5.5.5.5", "8.8.8.8, 1.1.1.1, 5.5.5.5", True),
        ],
    )
    def test_last_entries_of_x_forwarded_for_are_trusted(
        self, api, rates, monkeypatch, trusted, first, second, same
    ):
        monkeypatch.setattr(api_settings, "NUM_PROXIES", trusted)
        rates(register="1/min")
        assert not is_refused(api().post("/api/users/", {}, HTTP_X_FORWARDED_FOR=first))
        response = api().post("/api/users/", {}, HTTP_X_FORWARDED_FOR=second)
        assert is_refused(response) == same


SAME = [
    ["1.2.3.4", "1.2.3.4:5678", " 1.2.3.4 ", "::ffff:1.2.3.4", "[::ffff:102:304]:443"],
    [
        *("2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:0DB8::ffff:1:2:3"),
        *("2001:db8::1%eth0", "[2001:db8::1%25eth0]:443"),
    ],
    ["", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "01.2.3.4", "[", "]", ":", "::1::", "x:1:2"],
    ["1.2.3.5"],
    ["2001:db8:0:1::1"],
    ["fe80::1", "fe80::2%eth1"],
]


@pytest.mark.parametrize("group", SAME, ids=lambda group: group[0])
def test_equivalent_addresses_are_one_network(group):
    assert len({get_network(address.strip()) for address in group}) == 1
    others = [address for other in SAME if other is not group for address in other]
    assert get_network(group[0]) not in {get_network(address.strip()) for address in others}


@pytest.mark.parametrize("group", SAME, ids=lambda group: group[0])
@pytest.mark.parametrize("trusted", [0, 1])
@pytest.mark.usefixtures("db")
def test_equivalent_addresses_share_a_count(api, rates, monkeypatch, group, trusted):
    """From the connection, or from X-Forwarded-For."""
    monkeypatch.setattr(api_settings, "NUM_PROXIES", trusted)
    rates(register="1/min")

    def register(address):
        where = (
            {"HTTP_X_FORWARDED_FOR": f"9.9.9.9, {address}"} if trusted else {"REMOTE_ADDR": address}
        )
        return is_refused(api().post("/api/users/", {}, **where))

    assert [register(address) for address in group] == [False] + [True] * (len(group) - 1)
    assert not register("203.0.113.1")


def test_racing_requests_are_all_counted(rates):
    rates(register="2000/min")
    request = APIRequestFactory().post("/")
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            allowed = pool.map(
                lambda n: RegistrationThrottle().allow_request(request, None), range(6000)
            )
            assert sum(allowed) == 2000
    finally:
        sys.setswitchinterval(switch_interval)
    assert RequestCount(Limit("register", "127.0.0.1"), 60).value == 2000


def test_default_rates(settings):
    assert settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] == {
        "sign_in": "10/min",
        "register": "20/hour",
        "reset": "5/hour",
        "write": "120/min",
        "search": "60/min",
        "refresh": "60/min",
    }


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
    count = RequestCount(Limit("register", "127.0.0.1"), 60)
    for _ in range(3):
        count.increase()
    assert count.value == 3
    caches["throttles"].clear()
    count.increase()
    assert count.value == 1
    count.decrease()
    assert RequestCount(Limit("register", "127.0.0.1"), 60).value == 0


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
    count = RequestCount(Limit("register", "127.0.0.1"), 60)
    count.increase()
    count.cache.delete(count.value_key)
    assert RequestCount(Limit("register", "127.0.0.1"), 60).value == 0


def test_request_that_loses_a_race_is_refused_and_not_counted(rates):
    class RacingThrottle(RateThrottle):
        def get_limits(self, request, view):
            """Both counts are read before either is increased, as those of two requests are."""
            return [Limit("register", "127.0.0.1")] * 2

    rates(register="1/min")
    throttle = RacingThrottle()
    assert not throttle.allow_request(APIRequestFactory().post("/"), None)
    assert 1 <= throttle.wait() <= 60
    assert RequestCount(Limit("register", "127.0.0.1"), 60).value == 0


def test_reports_count_as_writes(api, bob, message, rates):
    rates(write="2/min")
    client = api(bob)
    path = f"/api/messages/{message.pk}/report/"
    assert [is_refused(client.post(path)) for _ in range(3)] == [False, False, True]
    assert Report.objects.count() == 1
