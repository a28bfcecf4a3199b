"""`read_at` and `unread_count`, which are the caller's alone."""

from datetime import UTC, datetime

import pytest

from chats.models import Conversation, Participation
from chats.services import add_participant, delete, mark_as_read, send, start
from chats.tests.support.expected import NOT_FOUND, timestamp
from chats.tests.support.paths import CONVERSATIONS, conversation_path
from chats.tests.support.rows import import_messages

FAR_AHEAD = datetime(2099, 12, 31, tzinfo=UTC)


@pytest.fixture
def path(conversation):
    return conversation_path(conversation)


@pytest.fixture
def read(api, path):
    """`read(user, moment)`: the response to marking everything up to then as read."""

    def read(user, moment):
        moment = moment if isinstance(moment, str) else timestamp(moment)
        return api(user).post(f"{path}read/", {"read_at": moment})

    return read


@pytest.fixture
def states(api, path):
    """`states(user)`: the read state in the list and in the detail, which are equal."""

    def states(user):
        [listed] = api(user).get(CONVERSATIONS).json()["results"]
        shown = api(user).get(path).json()
        state = {name: shown[name] for name in ("read_at", "unread_count")}
        assert state == {name: listed[name] for name in state}
        return state

    return states


def unread(state):
    return state["unread_count"]


class TestUnreadCount:
    def test_counts_later_messages_of_others(self, states, read, alice, bob, conversation):
        assert unread(states(bob)) == 0
        messages = [send(conversation, f"{n}", actor=alice)[0] for n in range(3)]
        send(conversation, "Mine", actor=bob)
        assert (unread(states(alice)), unread(states(bob))) == (1, 3)
        response = read(bob, messages[0].sent_at)
        assert (response.status_code, response.json()) == (
            200,
            {"read_at": timestamp(messages[0].sent_at), "unread_count": 2},
        )
        assert states(bob) == response.json()
        assert unread(states(alice)) == 1

    def test_does_not_count_deleted_messages(self, states, alice, bob, conversation):
        first, _ = send(conversation, "One", actor=alice)
        send(conversation, "Two", actor=alice)
        delete(first, actor=alice)
        assert unread(states(bob)) == 1

    def test_is_at_most_100(self, states, alice, bob, conversation):
        import_messages(conversation, alice, 99)
        assert unread(states(bob)) == 99
        import_messages(conversation, alice, 30)
        assert unread(states(bob)) == 100

    def test_is_current_after_an_edit_and_a_deletion(self, api, states, alice, bob, conversation):
        message, _ = send(conversation, "One", actor=alice)
        url = f"/api/messages/{message.pk}/"
        api(alice).patch(url, {"message_body": "Two"})
        assert unread(states(bob)) == 1
        api(alice).delete(url)
        assert unread(states(bob)) == 0


class TestMarkAsRead:
    def test_only_moves_forward(self, read, alice, bob, conversation):
        first, second = (send(conversation, body, actor=alice)[0] for body in ("One", "Two"))
        assert read(bob, second.sent_at).json()["unread_count"] == 0
        response = read(bob, first.sent_at)
        assert (response.status_code, response.json()) == (
            200,
            {"read_at": timestamp(second.sent_at), "unread_count": 0},
        )

    @pytest.mark.parametrize("moment", [FAR_AHEAD, "9999-12-31T23:59:59.999999Z"])
    def test_moves_no_further_than_the_clock(self, read, states, alice, bob, conversation, moment):
        message, _ = send(conversation, "One", actor=alice)
        assert read(bob, moment).json()["read_at"] == timestamp(message.sent_at)
        send(conversation, "Two", actor=alice)
        assert unread(states(bob)) == 1

    def test_changes_nothing_for_other_participants(
        self, api, read, states, path, alice, bob, message
    ):
        before = states(alice), api(alice).get(f"{path}messages/").headers["ETag"]
        assert read(bob, message.sent_at).status_code == 200
        assert (states(alice), api(alice).get(f"{path}messages/").headers["ETag"]) == before
        assert Conversation.objects.get().updated_at == message.sent_at

    def test_changes_the_etag_of_own_lists(self, api, read, path, bob, message):
        """Though its clock stands still."""
        etags = {url: api(bob).get(url).headers["ETag"] for url in (CONVERSATIONS, path)}
        read(bob, message.sent_at)
        for url, etag in etags.items():
            response = api(bob).get(url, HTTP_IF_NONE_MATCH=etag)
            assert (response.status_code, response.headers["ETag"] == etag) == (200, False)

    def test_outsider_and_removed_participant_get_a_404(
        self, read, alice, bob, mallory, message, conversation
    ):
        conversation.participants.remove(bob)
        before = list(Participation.objects.values())
        for user in (mallory, bob):
            response = read(user, message.sent_at)
            assert (response.status_code, response.json()) == (404, NOT_FOUND)
        assert list(Participation.objects.values()) == before

    @pytest.mark.parametrize(
        ("moment", "error"),
        [
            ("yesterday", "Send the `sent_at` of the last message seen."),
            (
                "796e04f8-1eda-52f7-ba6c-7813cb33b1c1",
                "Send the `sent_at` of the last message seen.",
            ),
            ("0001-01-01T00:00:00+14:00", "Datetime value out of range."),
        ],
    )
    def test_bad_time_is_a_400(self, read, bob, conversation, moment, error):
        response = read(bob, moment)
        assert (response.status_code, list(response.json())) == (400, ["read_at"])
        assert response.json()["read_at"][0].startswith(error)


class TestReadAtOfANewParticipant:
    @pytest.mark.parametrize("clock", [None, FAR_AHEAD], ids=["now", "2099"])
    def test_is_the_clock(self, states, alice, bob, carol, message, clock):
        """Also where another host's clock is ahead."""
        conversation = message.conversation
        if clock:
            Conversation.objects.update(updated_at=clock)
            send(conversation, "Ahead", actor=alice)
        add_participant(conversation, carol.pk, actor=alice)
        conversation.refresh_from_db()
        assert states(carol) == {"read_at": timestamp(conversation.updated_at), "unread_count": 0}
        send(conversation, "Hello, Carol", actor=alice)
        assert unread(states(carol)) == 1

    @pytest.mark.parametrize("end", ["conversation", "user"])
    def test_is_the_clock_when_staff_add_them(self, states, alice, carol, message, end):
        Conversation.objects.update(updated_at=FAR_AHEAD)
        if end == "conversation":
            message.conversation.participants.add(carol)
        else:
            carol.conversations.add(message.conversation)
        clock = Conversation.objects.get().updated_at
        assert states(carol) == {"read_at": timestamp(clock), "unread_count": 0}

    def test_changes_no_read_at_of_others(self, states, alice, bob, carol, message):
        before = states(bob)
        message.conversation.participants.add(bob, carol)
        assert states(bob) == before
        assert unread(before) == 1


def test_other_conversations_and_other_people_stay_unread(alice, bob, carol, conversation):
    conversation.participants.add(carol)
    other, _ = start({bob.pk}, actor=alice)
    for found in (conversation, other):
        message, _ = send(found, "Hello", actor=alice)
    others = Participation.objects.exclude(user=bob, conversation=conversation)
    before = list(others.order_by("pk").values())
    state = mark_as_read(conversation, message.sent_at, actor=bob)
    assert state.unread_count == 0
    assert list(others.order_by("pk").values()) == before


@pytest.mark.parametrize("end", ["conversation", "user"])
def test_joining_one_conversation_leaves_the_others_unread(alice, bob, carol, message, end):
    joined, _ = start({carol.pk}, actor=alice)
    unread = Participation.objects.filter(user=bob, conversation=message.conversation)
    before = unread.values().get()
    if end == "conversation":
        joined.participants.add(bob)
    else:
        bob.conversations.add(joined)
    assert unread.values().get() == before
