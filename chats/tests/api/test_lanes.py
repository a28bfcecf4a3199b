import pytest
from rest_framework_simplejwt.tokens import AccessToken

from messaging_app.lanes import UserLanes


def get_scope(authorization):
    return {"headers": [(b"host", b"localhost"), (b"authorization", authorization)]}


@pytest.fixture
def tokens(alice):
    return [str(AccessToken.for_user(alice)).encode() for _ in range(2)]


class TestUserLanes:
    def test_user_has_one_lane_for_reads_whatever_the_header(self, tokens):
        lanes = UserLanes()
        own = lanes.get(get_scope(b"Bearer " + tokens[0]), is_read=True)
        for header in (
            b"bearer " + tokens[1],
            b"Bearer   " + tokens[0],
            b"Bearer " + tokens[0] + b"=",
        ):
            assert lanes.get(get_scope(header), is_read=True) is own
        assert lanes.get(get_scope(b"Bearer " + tokens[0]), is_read=False) is not own

    def test_expired_token_is_its_users(self, alice, tokens):
        expired = AccessToken.for_user(alice)
        expired.set_exp(lifetime=-expired.lifetime)
        lanes = UserLanes()
        own = lanes.get(get_scope(b"Bearer " + tokens[0]), is_read=True)
        assert lanes.get(get_scope(f"Bearer {expired}".encode()), is_read=True) is own

    def test_token_that_was_not_issued_takes_no_place_of_its_user(self, tokens):
        head, payload, signature = tokens[0].split(b".")
        unsigned = b"eyJhbGciOiJub25lIn0." + payload + b"."
        wrong = b".".join([head, payload, signature[::-1]])
        lanes = UserLanes()
        own = lanes.get(get_scope(b"Bearer " + tokens[0]), is_read=True)
        for token in (unsigned, wrong, payload, b"", b"\xff", b"."):
            lane = lanes.get(get_scope(b"Bearer " + token), is_read=True)
            assert lane is not own
            assert not lane.locked()

    def test_lane_is_forgotten_when_nothing_uses_it(self, tokens):
        lanes = UserLanes()
        own = lanes.get(get_scope(b"Bearer " + tokens[0]), is_read=True)
        assert len(lanes.lanes) == 1
        del own
        assert len(lanes.lanes) == 0


@pytest.mark.parametrize(("seconds", "pause"), [(0.004, 0), (0.104, 0.7), (2, 5)])
def test_expensive_request_delays_the_next_while_others_are_there(
    tokens, bob, monkeypatch, seconds, pause
):
    lanes = UserLanes()
    lanes.get(get_scope(b"Bearer " + tokens[0]), is_read=True)
    assert lanes.get_pause(seconds) == 0
    lanes.get(get_scope(f"Bearer {AccessToken.for_user(bob)}".encode()), is_read=False)
    assert lanes.get_pause(seconds) == pytest.approx(pause)
    monkeypatch.setattr("messaging_app.lanes.RECENT_SECONDS", 0)
    assert lanes.get_pause(seconds) == 0
    assert lanes.recent == {}
