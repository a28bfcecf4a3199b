"""The list of conversations in the admin, and their titles."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import Conversation, User
from chats.services import delete, rename, send, start
from chats.tests.support.expected import NOT_VISIBLE, one_line
from chats.tests.support.forms import Form, read_form
from chats.tests.support.rows import get_changes

PATH = "/admin/chats/conversation/"


def list_last_messages(client, parameters=None):
    rows = client.get(PATH, parameters).context["cl"]
    return [rows.model_admin.last_message(row) for row in rows.result_list]


class TestConversationList:
    def test_shows_titles_and_last_messages(self, staff, conversation, alice, bob, carol):
        start({carol.pk}, actor=bob, title="Nothing yet")
        rename(conversation, "The room in May", actor=alice)
        send(conversation, "Not the last one", actor=alice)
        last, _ = send(conversation, "<b>" + "x" * 200, actor=bob)
        assert list_last_messages(staff) == [f"Bob Test: <b>{'x' * 96}…", None]
        page = staff.get(PATH).content.decode()
        assert "The room in May" in page
        assert "Nothing yet" in page
        assert "Bob Test: &lt;b&gt;xxx" in page
        assert "Not the last one" not in page
        delete(last, actor=bob)
        assert list_last_messages(staff) == ["Bob Test: Deleted", None]

    def test_has_constant_queries(self, staff, alice, bob):
        """One of them for the last messages."""
        staff.get(PATH)

        def measure(client):
            with CaptureQueriesContext(connection) as queries:
                response = client.get(PATH)
            listed = len(response.context["cl"].result_list)
            tables = [query["sql"] for query in queries if "chats_message" in query["sql"]]
            return listed, len(queries), len(tables)

        for number in (1, 50):
            while Conversation.objects.count() < number:
                send(start({bob.pk}, actor=alice)[0], "Hello", actor=alice)
            listed, queries, of_messages = measure(staff)
            assert (listed, of_messages) == (number, 1)
            if number == 1:
                few = queries
        assert queries == few
        assert list_last_messages(staff) == ["Alice Test: Hello"] * 50

    def test_hides_last_messages_without_the_permission_to_view_messages(
        self, make_staff, conversation, alice
    ):
        rename(conversation, "The room in May", actor=alice)
        send(conversation, "Hello", actor=alice)
        for codenames, is_shown in [
            (["view_conversation"], False),
            (["view_conversation", "view_message"], True),
        ]:
            page = make_staff(*codenames).get(PATH).content.decode()
            assert "The room in May" in page
            assert ("Alice Test: Hello" in page) == is_shown

    @pytest.mark.parametrize(
        ("term", "expected"),
        [
            ("room", {"The room in May"}),
            ("ROOM may", {"The room in May"}),
            ("bob room", {"The room in May"}),
            ("carol room", set()),
            ("carol", {"Chairs"}),
            ("100%", set()),
        ],
    )
    def test_is_searched_by_title_and_participant(self, staff, alice, bob, carol, term, expected):
        start({bob.pk}, actor=alice, title="The room in May")
        start({carol.pk}, actor=alice, title="Chairs")
        rows = staff.get(PATH, {"q": term}).context["cl"].result_list
        assert {row.title for row in rows} == expected


class TestConversationTitle:
    @pytest.fixture
    def form(self, staff, conversation):
        return Form(staff, conversation)

    def test_new_title_moves_the_clock(self, form):
        before = Conversation.objects.get()
        assert form.is_saved(title="Holiday")
        after = Conversation.objects.get()
        assert after.title == "Holiday"
        assert after.updated_at > before.updated_at
        assert after.participants.count() == 2

    def test_same_title_does_not_move_the_clock(self, form, conversation, alice):
        rename(conversation, "Holiday", actor=alice)
        before = Conversation.objects.values().get()
        assert form.is_saved(title="Holiday")
        assert Conversation.objects.values().get() == before

    @pytest.mark.parametrize(
        ("title", "error"),
        [
            ("two\nlines", one_line("U+000A (a control character)")),
            ("a\u200bb", one_line("U+200B ZERO WIDTH SPACE")),
            ("\u3164", NOT_VISIBLE),
            ("a\0b", "Null characters are not allowed."),
            ("x" * 101, "Ensure this value has at most 100 characters (it has 101)."),
        ],
        ids=ascii,
    )
    def test_title_is_one_line_of_at_most_100_characters(
        self, staff, form, alice, bob, title, error
    ):
        before = Conversation.objects.values().get()
        assert form.save(title=title).context["adminform"].errors == {"title": [error]}
        body = {"title": title, "participants": [alice.pk, bob.pk]}
        response = staff.post(f"{PATH}add/", body)
        assert response.context["adminform"].errors == {"title": [error]}
        assert Conversation.objects.values().get() == before

    @pytest.mark.parametrize("title", ["", "Holiday", "x" * 100])
    def test_conversation_is_added_with_a_title(self, staff, alice, bob, api, title):
        body = {"title": title, "participants": [alice.pk, bob.pk]}
        response = staff.post(f"{PATH}add/", body, follow=True)
        assert "added successfully" in response.content.decode()
        [row] = api(alice).get("/api/conversations/").json()["results"]
        assert row["title"] == title
        assert len(row["participants"]) == 2
        assert row["unread_count"] == 0

    def test_view_permission_does_not_allow_a_new_title(self, make_staff, conversation, alice):
        rename(conversation, "Holiday", actor=alice)
        client = make_staff("view_conversation")
        path = f"{PATH}{conversation.pk}/change/"
        assert "Holiday" in client.get(path).content.decode()
        assert client.post(path, {"title": "Work"}).status_code == 403
        assert Conversation.objects.get().title == "Holiday"


def test_staff_change_participants(staff, conversation, alice, carol):
    before = conversation.updated_at
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    assert staff.post(path, {"participants": [alice.pk, carol.pk]}).status_code == 302
    conversation.refresh_from_db()
    assert set(conversation.participants.all()) == {alice, carol}
    assert conversation.updated_at > before


@pytest.mark.skipif(not connection.features.has_select_for_update, reason="has no row locks")
def test_users_are_locked_before_the_conversation(staff, conversation, alice, carol):
    """As everywhere, or staff and somebody who is being deleted would wait for each other."""
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    with CaptureQueriesContext(connection) as queries:
        staff.post(path, {"participants": [alice.pk, carol.pk]})
    [locked, *_] = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert carol.pk.hex in locked


def test_unknown_participant_is_refused(staff, conversation):
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    response = staff.post(path, {"participants": ["00000000-0000-4000-8000-000000000000"]})
    assert response.status_code == 200
    assert response.context["adminform"].errors


def test_conversation_has_at_most_256_participants(staff, conversation, alice):
    others = User.objects.bulk_create(User(email=f"{n}@example.com") for n in range(256))
    ids = [user.pk for user in others]
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    response = staff.post(path, {"participants": [alice.pk, *ids]})
    assert "at most 256 participants" in response.content.decode()
    assert staff.post(path, {"participants": ids}).status_code == 302
    assert conversation.participants.count() == 256


class TestAddTwice:
    """A page that is submitted a second time, such as by a double click."""

    @pytest.fixture
    def fields(self, staff, alice, bob):
        fields = read_form(staff, f"{PATH}add/?title=Holiday", "conversation_form")
        return fields | {"participants": [alice.pk, bob.pk]}

    @pytest.mark.parametrize("button", ["_save", "_addanother", "_continue"])
    def test_makes_one_conversation(self, staff, fields, button):
        for number in range(2):
            response = staff.post(f"{PATH}add/", fields | {button: "1"}, follow=True)
            assert ("was added already" in response.content.decode()) == bool(number)
        assert Conversation.objects.get().title == "Holiday"
        assert Conversation.objects.get().participants.count() == 2
        assert get_changes().count() == 1

    def test_does_not_bring_back_who_has_left(self, staff, fields, alice, bob):
        staff.post(f"{PATH}add/", fields)
        Conversation.objects.get().participants.remove(bob)
        staff.post(f"{PATH}add/", fields)
        assert list(Conversation.objects.get().participants.all()) == [alice]

    def test_other_page_or_other_content_is_another_conversation(self, staff, fields, alice, carol):
        staff.post(f"{PATH}add/", fields)
        staff.post(f"{PATH}add/", fields | {"title": "Other"})
        staff.post(f"{PATH}add/", fields | {"participants": [alice.pk, carol.pk]})
        again = read_form(staff, f"{PATH}add/", "conversation_form")
        staff.post(f"{PATH}add/", fields | {"key": again["key"]})
        assert Conversation.objects.count() == 4

    def test_key_of_another_member_of_staff_is_another_conversation(
        self, staff, fields, client, make_user
    ):
        staff.post(f"{PATH}add/", fields)
        client.force_login(make_user("Other", is_staff=True, is_superuser=True))
        client.post(f"{PATH}add/", fields)
        assert Conversation.objects.count() == 2

    def test_key_that_is_none_is_refused(self, staff, fields):
        assert staff.post(f"{PATH}add/", fields | {"key": "nonsense"}).status_code == 200
        assert not Conversation.objects.exists()
