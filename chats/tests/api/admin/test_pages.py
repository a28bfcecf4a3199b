"""The pages of the admin, and messages on them."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.models import Message, User
from chats.services import send, start
from chats.tests.support.forms import SUPERUSERS_PAGES, open_page
from chats.tests.support.rows import change, import_conversations, import_messages

PAGES = [
    "",
    "chats/",
    "chats/user/",
    "chats/user/?q=alice",
    "chats/user/?q={sender}",
    "chats/user/?role__exact=guest&is_active__exact=1",
    "chats/user/add/",
    "chats/user/{sender}/change/",
    "chats/user/{sender}/password/",
    "chats/user/{sender}/delete/",
    "chats/user/{sender}/erase/",
    "chats/conversation/",
    "chats/conversation/?q=alice",
    "chats/conversation/?q={sender}",
    "chats/conversation/add/",
    "chats/conversation/{conversation}/change/",
    "chats/conversation/{conversation}/history/",
    "chats/conversation/{conversation}/delete/",
    "autocomplete/?app_label=chats&model_name=conversation&field_name=participants&term=a",
]
MESSAGE_PAGES = [
    "chats/message/",
    "chats/message/?q=hello",
    "chats/message/?q={conversation}",
    "chats/message/?q={sender}",
    "chats/message/?q=alice@example.com",
    "chats/message/?q=2026-01-31",
    "chats/message/?sent_at__gte=2026-01-31+00:00:00%2B00:00",
    "chats/message/{message}/change/",
    "chats/message/{message}/history/",
    "chats/message/{message}/delete/",
]
LOG_PAGES = [
    "admin/logentry/",
    "admin/logentry/?q={sender}",
    "admin/logentry/?kind=4&action_time__gte=2026-01-31+00:00:00%2B00:00",
]


class TestPages:
    @pytest.mark.parametrize("page", PAGES + MESSAGE_PAGES + LOG_PAGES + SUPERUSERS_PAGES)
    def test_admin_pages_have_constant_queries_and_options(self, staff, message, page, make_user):
        """And counts nothing to the end."""
        open_page(staff, page, message)
        few = self.measure(staff, page, message)
        for n in range(60):
            import_conversations(1, message.sender, make_user(f"Person{n}"), message_body="Hello")
        import_messages(message.conversation, message.sender, 60)
        assert self.measure(staff, page, message) == few

    def measure(self, client, page, message):
        with CaptureQueriesContext(connection) as queries:
            response = open_page(client, page, message)
        assert response.status_code == 200
        counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
        assert all("LIMIT" in sql for sql in counts)
        return len(queries), response.content.count(b"<option")

    @pytest.mark.parametrize(
        "page",
        [
            *("chats/conversation/", "chats/message/", "chats/message/{message}/change/"),
            *("chats/conversation/{conversation}/change/", "chats/user/{sender}/change/"),
            "chats/user/{sender}/history/",
        ],
    )
    def test_times_have_their_zone(self, staff, root, message, page):
        LogEntry.objects.log_actions(
            root.pk, [message.sender], CHANGE, "Changed.", single_object=True
        )
        html = open_page(staff, page, message).content.decode()
        moment = f"{message.sent_at:%Y-%m-%d} "
        assert moment in html
        assert html.count(moment) == len(re.findall(rf"{moment}\d\d:\d\d:\d\d UTC", html))
        assert f"{message.sent_at:%b}. " not in html

    def test_list_ends_after_1000_rows_and_says_so(self, staff, make_user):
        User.objects.bulk_create(User(email=f"{n}@example.com") for n in range(1005))
        page = staff.get("/admin/chats/user/?p=20").content.decode()
        assert page.count('name="_selected_action"') == 50
        assert "1000 users" in page
        assert "These are the first 1000" in page
        assert "Select all" not in page.replace("Select all objects on this page", "")
        assert staff.get("/admin/chats/user/?p=21").status_code == 302
        assert "first 1000" not in staff.get("/admin/chats/user/?q=7@").content.decode()


def test_people_and_conversations_are_found_with_direction_marks(staff, alice, conversation):
    """Copying inserts them, and names are stored without."""
    for path, row, key in [("user", alice, alice.pk), ("conversation", conversation, alice.pk)]:
        for term in ("\u2068Alice\u2069", "Al\u200eice", f"\u202a{key}\u202c"):
            listed = staff.get(f"/admin/chats/{path}/", {"q": term}).context["cl"].result_list
            assert list(listed) == [row]


class TestMessagesInTheAdmin:
    @pytest.fixture
    def others(self, message, carol, conversation):
        """Carol's of yesterday, in the same conversation, and Bob's in another one."""
        conversation.participants.add(carol)
        sent, _ = send(conversation, "See you, Bob", actor=carol)
        change(sent, sent_at=sent.sent_at - timedelta(days=1))
        sent.refresh_from_db()
        bob = conversation.participants.get(first_name="Bob")
        elsewhere, _ = start({carol.pk}, actor=bob)
        return sent, send(elsewhere, "Hello, Carol", actor=bob)[0]

    @pytest.mark.parametrize(
        ("term", "expected"),
        [
            ("", {"Alice", "Bob", "Carol"}),
            ("bob", {"Alice", "Carol"}),
            ("hello bob", {"Alice"}),
            ('"Hello, Bob"', {"Alice"}),
            ("{message.pk}", {"Alice"}),
            ("{message.conversation_id}", {"Alice", "Carol"}),
            ("{carol.pk}", {"Carol"}),
            ("CAROL@example.com", {"Carol"}),
            # Copying inserts direction marks.
            ("\u2068{message.pk}\u2069", {"Alice"}),
            ("\u200e{day:%Y-%m-%d}\u200e \u2068carol@example.com\u2069", {"Carol"}),
            ("bob\u200f", set()),
            ("\u2068", set()),
            ("carol@example.com hello", set()),
            ("{message.conversation_id} see", {"Carol"}),
            ("{day:%Y-%m-%d}", {"Carol"}),
            ("{day:%Y-%m-%d} hello", set()),
            ("2026-02-30", set()),
            ("00000000-0000-4000-8000-000000000000", set()),
        ],
    )
    def test_search_finds_messages_by_text_person_id_and_day(
        self, staff, message, others, carol, term, expected
    ):
        term = term.format(message=message, carol=carol, day=others[0].sent_at)
        response = staff.get("/admin/chats/message/", {"q": term})
        assert {row.sender.first_name for row in response.context["cl"].result_list} == expected

    def test_list_without_a_search_has_the_newest_messages(self, staff, alice, bob):
        conversations = [start({bob.pk}, actor=alice)[0] for _ in range(4)]
        for n in range(160):
            # The first has most of them, the last one none.
            send(conversations[n % 8 if n % 8 < 3 else 0], f"{n}", actor=alice)
        listed = staff.get("/admin/chats/message/?p=2").context["cl"].queryset
        assert list(listed[:100]) == list(Message.objects.newest_first()[:100])
        assert listed.count() < 160
        [oldest] = Message.objects.oldest_first()[:1]
        body = {"action": "delete_selected", "_selected_action": [oldest.pk], "post": "yes"}
        assert staff.post("/admin/chats/message/", body).status_code == 302
        oldest.refresh_from_db()
        assert oldest.is_deleted

    def test_conversation_page_shows_the_newest_20_messages(self, staff, conversation, alice):
        for n in range(21):
            send(conversation, f"Number {n}.", actor=alice)
        page = staff.get(f"/admin/chats/conversation/{conversation.pk}/change/").content.decode()
        assert re.findall(r"Number \d+\.", page) == [f"Number {n}." for n in range(20, 0, -1)]
        assert f"/admin/chats/message/?q={conversation.pk}" in page

    def test_html_in_a_message_is_escaped(self, staff, conversation, alice):
        send(conversation, "<script>alert(1)</script>", actor=alice)
        for path in (f"conversation/{conversation.pk}/change/", "message/"):
            page = staff.get(f"/admin/chats/{path}").content.decode()
            assert "&lt;script&gt;alert(1)" in page
            assert "<script>alert(1)" not in page

    def test_messages_cannot_be_added_or_edited(self, staff, message):
        path = f"/admin/chats/message/{message.pk}/change/"
        assert staff.post(path, {"message_body": "changed"}).status_code == 403
        assert staff.get("/admin/chats/message/add/").status_code == 403

    def test_deleting_a_conversation_requires_the_permission_to_delete_messages(
        self, make_staff, message
    ):
        client = make_staff("view_conversation", "delete_conversation")
        path = f"/admin/chats/conversation/{message.conversation_id}/delete/"
        assert client.post(path, {"post": "yes"}).status_code == 403
        body = {"action": "delete_selected", "_selected_action": [message.conversation_id]}
        client.post("/admin/chats/conversation/", body | {"post": "yes"})
        page = client.get(path.replace("delete", "change")).content.decode()
        assert 'class="deletelink"' not in page
        assert Message.objects.filter(pk=message.pk).exists()

    def test_no_page_shows_text_without_the_permission_to_view_messages(
        self, staff, message, make_staff, alice
    ):
        """Not where they were deleted either, and not by asking which ones there are."""
        conversation = message.conversation
        deleted, _ = send(conversation, "Hello once", actor=alice)
        staff.post(f"/admin/chats/message/{deleted.pk}/delete/", {"post": "yes"})
        path = f"/admin/chats/conversation/{conversation.pk}/change/"
        staff.post(path, {"participants": [alice.pk]})
        everything = Permission.objects.values_list("codename", flat=True)
        client = make_staff(*(set(everything) - {"view_message", "change_message"}))
        client.post(path, {"participants": [alice.pk]})
        for page in PAGES:
            response = open_page(client, page, message)
            assert response.status_code == 200
            assert "Hello" not in response.content.decode()
        for page in MESSAGE_PAGES:
            response = open_page(client, page, message)
            assert response.status_code == (200 if "delete" in page else 403)
            assert "Hello" not in response.content.decode()
        for path, lookup in [
            ("conversation", "messages__message_body__icontains"),
            ("user", "sent_messages__message_body__icontains"),
            ("user", "conversations__messages__message_body__icontains"),
        ]:
            assert client.get(f"/admin/chats/{path}/", {lookup: "Hello"}).status_code == 400


@pytest.mark.parametrize("model", ["outstandingtoken", "blacklistedtoken"])
def test_tokens_are_not_in_the_admin(staff, model):
    assert staff.get(f"/admin/token_blacklist/{model}/").status_code == 404


def test_admin_is_for_staff_only(client, alice):
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
