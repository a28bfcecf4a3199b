"""What staff see and do in the admin, and what they do not."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chats.admin.users import UserAdmin
from chats.models import Message, User
from chats.services import erase, send, start
from chats.tests.conftest import PASSWORD

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
SUPERUSERS_PAGES = [
    "auth/group/",
    "auth/group/add/",
    "chats/user/{sender}/history/",
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


def open_page(client, page, message):
    ids = {"conversation": message.conversation_id, "sender": message.sender_id}
    return client.get(f"/admin/{page.format(message=message.pk, **ids)}")


class TestPages:
    @pytest.mark.parametrize("page", PAGES + MESSAGE_PAGES + SUPERUSERS_PAGES)
    def test_it_opens_with_as_many_queries_and_choices_however_much_there_is(
        self, staff, message, page, make_user
    ):
        """And counts nothing to the end."""
        open_page(staff, page, message)
        few = self.measure(staff, page, message)
        users = [make_user(f"Person{n}") for n in range(60)]
        for user in users:
            send(start({user.pk}, actor=message.sender)[0], "Hello", actor=user)
            send(message.conversation, "Hello", actor=message.sender)
        assert self.measure(staff, page, message) == few

    def measure(self, client, page, message):
        with CaptureQueriesContext(connection) as queries:
            response = open_page(client, page, message)
        assert response.status_code == 200
        counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
        assert all("LIMIT" in sql for sql in counts)
        return len(queries), response.content.count(b"<option")

    def test_a_list_ends_after_1000_rows_and_says_so(self, staff, make_user):
        User.objects.bulk_create(User(email=f"{n}@example.com") for n in range(1005))
        page = staff.get("/admin/chats/user/?p=20").content.decode()
        assert page.count('name="_selected_action"') == 50
        assert "1000 users" in page
        assert "These are the first 1000" in page
        assert "Select all" not in page.replace("Select all objects on this page", "")
        assert staff.get("/admin/chats/user/?p=21").status_code == 302
        assert "first 1000" not in staff.get("/admin/chats/user/?q=7@").content.decode()


class TestMessages:
    @pytest.fixture
    def others(self, message, carol, conversation):
        """Carol's of yesterday, in the same conversation, and Bob's in another one."""
        conversation.participants.add(carol)
        sent, _ = send(conversation, "See you, Bob", actor=carol)
        Message.objects.filter(pk=sent.pk).update(sent_at=sent.sent_at - timedelta(days=1))
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
            ("carol@example.com hello", set()),
            ("{message.conversation_id} see", {"Carol"}),
            ("{day:%Y-%m-%d}", {"Carol"}),
            ("{day:%Y-%m-%d} hello", set()),
            ("2026-02-30", set()),
            ("00000000-0000-4000-8000-000000000000", set()),
        ],
    )
    def test_they_are_found(self, staff, message, others, carol, term, expected):
        term = term.format(message=message, carol=carol, day=others[0].sent_at)
        response = staff.get("/admin/chats/message/", {"q": term})
        assert {row.sender.first_name for row in response.context["cl"].result_list} == expected

    def test_before_a_search_the_newest_are_listed(self, staff, alice, bob):
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

    def test_a_conversation_shows_its_newest_20(self, staff, conversation, alice):
        for n in range(21):
            send(conversation, f"Number {n}.", actor=alice)
        page = staff.get(f"/admin/chats/conversation/{conversation.pk}/change/").content.decode()
        assert re.findall(r"Number \d+\.", page) == [f"Number {n}." for n in range(20, 0, -1)]
        assert f"/admin/chats/message/?q={conversation.pk}" in page

    def test_what_people_write_is_text(self, staff, conversation, alice):
        send(conversation, "<script>alert(1)</script>", actor=alice)
        for path in (f"conversation/{conversation.pk}/change/", "message/"):
            page = staff.get(f"/admin/chats/{path}").content.decode()
            assert "&lt;script&gt;alert(1)" in page
            assert "<script>alert(1)" not in page

    def test_they_are_not_written(self, staff, message):
        path = f"/admin/chats/message/{message.pk}/change/"
        assert staff.post(path, {"message_body": "changed"}).status_code == 403
        assert staff.get("/admin/chats/message/add/").status_code == 403

    def test_who_may_not_delete_them_deletes_no_conversation(self, make_staff, message):
        client = make_staff("view_conversation", "delete_conversation")
        path = f"/admin/chats/conversation/{message.conversation_id}/delete/"
        assert client.post(path, {"post": "yes"}).status_code == 403
        body = {"action": "delete_selected", "_selected_action": [message.conversation_id]}
        assert client.post("/admin/chats/conversation/", body | {"post": "yes"}).status_code == 403
        assert Message.objects.filter(pk=message.pk).exists()

    def test_who_may_not_view_them_sees_no_word_of_them(self, staff, message, make_staff, alice):
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


class TestRank:
    """Staff who are no superusers, with every permission that there is."""

    @pytest.fixture
    def sam(self, make_staff):
        return make_staff(*Permission.objects.values_list("codename", flat=True))

    def test_they_do_not_see_who_is_staff(self, sam, staff, alice):
        words = ["is_staff", "is_superuser", "id_groups", "id_user_permissions"]
        for path in ("", f"{alice.pk}/change/"):
            page = sam.get(f"/admin/chats/user/{path}").content.decode()
            assert [word for word in words if word in page] == []
        page = staff.get(f"/admin/chats/user/{alice.pk}/change/").content.decode()
        assert [word for word in words if word in page] == words
        for lookup in (
            "is_staff__exact",
            "is_superuser",
            "groups__name",
            "user_permissions",
            "logentry__isnull",
        ):
            assert sam.get("/admin/chats/user/", {lookup: "1"}).status_code == 400

    @pytest.mark.parametrize("page", SUPERUSERS_PAGES)
    def test_they_do_not_see_groups_and_who_became_staff(self, sam, message, page):
        assert open_page(sam, page, message).status_code == 403
        assert "auth/group" not in sam.get("/admin/").content.decode()
        user = sam.get(f"/admin/chats/user/{message.sender_id}/change/").content.decode()
        assert "history/" not in user

    def test_they_do_not_widen_their_own_group(self, sam):
        group = Group.objects.create(name="All")
        body = {"name": "All", "permissions": [Permission.objects.first().pk]}
        assert sam.post(f"/admin/auth/group/{group.pk}/change/", body).status_code == 403
        assert sam.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"}).status_code == 403
        assert not group.permissions.exists()

    def test_they_make_nobody_staff(self, sam, alice):
        group = Group.objects.create(name="All")
        form = {"email": alice.email, "first_name": "Al", "last_name": "Test", "role": "guest"}
        form |= {"is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": [group.pk]}
        form |= {"user_permissions": [Permission.objects.first().pk]}
        path = f"/admin/chats/user/{alice.pk}/change/"
        assert sam.post(path, form).status_code == 302
        alice.refresh_from_db()
        assert (alice.first_name, alice.is_staff, alice.is_superuser) == ("Al", False, False)
        assert not alice.groups.exists()
        assert not alice.user_permissions.exists()
        form |= {"email": "new@example.com", "usable_password": "true"}
        form |= {"password1": PASSWORD, "password2": PASSWORD}
        assert sam.post("/admin/chats/user/add/", form).status_code == 302
        new = User.objects.get(email="new@example.com")
        assert (new.is_staff, new.is_superuser) == (False, False)

    @pytest.mark.parametrize(
        ("is_staff", "is_superuser"), [(True, True), (True, False), (False, True)]
    )
    def test_they_change_no_staff(self, sam, make_user, is_staff, is_superuser):
        """Nor a superuser who is no staff."""
        other = make_user("Other", is_staff=is_staff, is_superuser=is_superuser)
        before = User.objects.filter(pk=other.pk).values().get()
        form = {"email": other.email, "first_name": "X", "last_name": "Y", "role": "guest"}
        path = f"/admin/chats/user/{other.pk}"
        assert sam.post(f"{path}/change/", form).status_code == 403
        passwords = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        assert sam.post(f"{path}/password/", passwords).status_code == 403
        assert sam.post(f"{path}/delete/", {"post": "yes"}).status_code == 403
        for action in ("deactivate", "erase", "delete_selected"):
            body = {"action": action, "_selected_action": [other.pk], "confirmed": "yes"}
            assert sam.post("/admin/chats/user/", body | {"post": "yes"}).status_code == 302
        assert User.objects.filter(pk=other.pk).values().get() == before

    @pytest.mark.parametrize("action", ["deactivate", "erase"])
    @pytest.mark.parametrize("meanwhile", [{"is_staff": True}, {"is_superuser": True}])
    def test_who_became_staff_after_they_were_selected_is_left_out(
        self, sam, alice, monkeypatch, action, meanwhile
    ):
        leave_out = UserAdmin.keep_changeable

        def leave_out_and_promote(*arguments):
            users = leave_out(*arguments)
            User.objects.filter(pk=alice.pk).update(**meanwhile)
            return users

        monkeypatch.setattr(UserAdmin, "keep_changeable", leave_out_and_promote)
        body = {"action": action, "_selected_action": [alice.pk], "confirmed": "yes"}
        assert sam.post("/admin/chats/user/", body).status_code == 302
        alice.refresh_from_db()
        assert (alice.is_active, alice.first_name) == (True, "Alice")

    def test_who_was_deleted_after_they_were_selected_is_left_out(
        self, staff, alice, bob, monkeypatch
    ):
        def erase_and_delete_the_other(user, users):
            erase(user, users)
            User.objects.exclude(pk=user.pk).filter(is_staff=False).delete()

        monkeypatch.setattr("chats.services.erase", erase_and_delete_the_other)
        ids = [alice.pk, bob.pk]
        body = {"action": "erase", "_selected_action": ids, "confirmed": "yes"}
        response = staff.post("/admin/chats/user/", body, follow=True)
        assert "Users erased: 1." in response.content.decode()

    @pytest.mark.parametrize("action", ["deactivate", "erase"])
    def test_nobody_acts_on_themselves(self, staff, root, action):
        body = {"action": action, "_selected_action": [root.pk], "confirmed": "yes"}
        response = staff.post("/admin/chats/user/", body, follow=True)
        assert "Left as they were: root@example.com." in response.content.decode()
        root.refresh_from_db()
        assert root.is_active

    def test_a_superuser_changes_their_own_name(self, staff, root):
        form = {"email": root.email, "first_name": "Ruth", "last_name": "Root", "role": "admin"}
        form |= {"is_active": "on", "is_staff": "on", "is_superuser": "on"}
        assert staff.post(f"/admin/chats/user/{root.pk}/change/", form).status_code == 302
        root.refresh_from_db()
        assert root.first_name == "Ruth"


class TestPeople:
    def test_deactivated_people_are_out_at_once(self, staff, api, alice, bob):
        clients = [api(alice), api(bob)]
        assert [each.get("/api/users/me/").status_code for each in clients] == [200, 200]
        body = {"action": "deactivate", "_selected_action": [alice.pk, bob.pk]}
        response = staff.post("/admin/chats/user/", body, follow=True)
        assert "Users deactivated: 2." in response.content.decode()
        assert [each.get("/api/users/me/").status_code for each in clients] == [401, 401]
        history = staff.get(f"/admin/chats/user/{alice.pk}/history/").content.decode()
        assert "Deactivated." in history

    def test_one_who_has_written_is_not_deleted(self, staff, alice, message):
        path = f"/admin/chats/user/{alice.pk}/delete/"
        page = staff.get(path).content.decode()
        assert "Messages of alice@example.com. Erase this user instead" in page
        assert staff.post(path, {"post": "yes"}).status_code == 200
        assert User.objects.filter(pk=alice.pk).exists()

    def test_a_user_without_messages_is_deleted(self, staff, carol):
        path = f"/admin/chats/user/{carol.pk}/delete/"
        assert staff.post(path, {"post": "yes"}).status_code == 302
        assert not User.objects.filter(pk=carol.pk).exists()

    @pytest.mark.parametrize("path", ["add/", "{alice.pk}/change/"])
    def test_an_address_is_measured_in_lower_case(self, staff, alice, path):
        """In which an İ is two characters."""
        email = "İ" * 130 + "@" + 4 * f"{'x' * 29}." + "com"
        assert len(email) == 254 < len(email.lower())
        form = {"email": email, "first_name": "A", "last_name": "B", "role": "guest"}
        form |= {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
        response = staff.post(f"/admin/chats/user/{path.format(alice=alice)}", form)
        assert response.status_code == 200
        assert "email" in response.context["adminform"].errors


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/"])
@pytest.mark.django_db
def test_a_nul_in_a_cookie_is_refused(client, path):
    """Django's cookies have it as four characters."""
    response = client.get(path, headers={"Cookie": 'sessionid="abcdefghij\\000kl"'})
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("chats/user/?role__exact=%00", None, 400),
        ("chats/user/?role__exact=a%2500%00", None, 400),
        (
            "autocomplete/?app_label=chats&model_name=conversation&field_name=participants&term=%00",
            None,
            400,
        ),
        ("chats/message/", {"action": "delete_selected", "_selected_action": ["nonsense"]}, 400),
        ("chats/conversation/add/", {"participants": ["nonsense"]}, 200),
        ("chats/conversation/?participants__exact=nonsense", None, 400),
        ("chats/message/?q=%00", None, 400),
        ("chats/message/?q=2026-99-99", None, 200),
        ("chats/message/?q=9999-12-31", None, 200),
        ("chats/message/?q=0001-01-01", None, 200),
        ("chats/message/?sent_at__year=0", None, 400),
        ("chats/message/?sent_at__gte=0001-01-01+00:00:00%2B14:00", None, 400),
        ("chats/message/?sent_at__gte=9999-12-31+23:59:59-14:00", None, 400),
        ("chats/user/?last_login__year=99999999", None, 400),
        ("chats/user/?email__regex=(", None, 400),
        ("chats/user/?email__regex=%5E((%5B%5E!%5D%2B)%2B)%2B!%24", None, 400),
        ("chats/user/?role__regex=(", None, 400),
        ("chats/user/?sent_messages__isnull=0", None, 400),
        ("auth/group/?name__regex=(", None, 400),
        ("chats/message/?p=nonsense", None, 200),
        ("chats/message/?sent_at__gte=nonsense", None, 302),
        ("chats/message/nonsense/change/", None, 302),
    ],
)
def test_nonsense_is_refused(staff, path, body, status):
    response = staff.post(f"/admin/{path}", body) if body else staff.get(f"/admin/{path}")
    assert response.status_code == status
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("email", ["alice@example.com", "alice@erased.invalid"])
def test_staff_change_a_person(staff, alice, email):
    """Also one who has registered an address like those of erased people."""
    User.objects.filter(pk=alice.pk).update(email=email)
    form = {"email": email, "first_name": "Alice", "last_name": "Test", "role": "host"}
    response = staff.post(f"/admin/chats/user/{alice.pk}/change/", form)
    assert response.status_code == 302
    alice.refresh_from_db()
    assert (alice.role, alice.is_active) == ("host", False)
    assert alice.check_password(PASSWORD)


def test_staff_change_who_takes_part(staff, conversation, alice, carol):
    before = conversation.updated_at
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    assert staff.post(path, {"participants": [alice.pk, carol.pk]}).status_code == 302
    conversation.refresh_from_db()
    assert set(conversation.participants.all()) == {alice, carol}
    assert conversation.updated_at > before


@pytest.mark.skipif(not connection.features.has_select_for_update, reason="has no row locks")
def test_people_are_locked_before_the_conversation(staff, conversation, alice, carol):
    """As everywhere, or staff and somebody who is being deleted would wait for each other."""
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    with CaptureQueriesContext(connection) as queries:
        staff.post(path, {"participants": [alice.pk, carol.pk]})
    [locked, *_] = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert carol.pk.hex in locked


def test_a_person_who_does_not_exist_is_refused(staff, conversation):
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    response = staff.post(path, {"participants": ["00000000-0000-4000-8000-000000000000"]})
    assert response.status_code == 200
    assert response.context["adminform"].errors


def test_a_conversation_takes_256_people(staff, conversation, alice):
    others = User.objects.bulk_create(User(email=f"{n}@example.com") for n in range(256))
    ids = [user.pk for user in others]
    path = f"/admin/chats/conversation/{conversation.pk}/change/"
    response = staff.post(path, {"participants": [alice.pk, *ids]})
    assert "at most 256 participants" in response.content.decode()
    assert staff.post(path, {"participants": ids}).status_code == 302
    assert conversation.participants.count() == 256


@pytest.mark.parametrize("model", ["outstandingtoken", "blacklistedtoken"])
def test_tokens_are_not_shown(staff, model):
    assert staff.get(f"/admin/token_blacklist/{model}/").status_code == 404


def test_nobody_but_staff_gets_in(client, alice):
    client.force_login(alice)
    assert client.get("/admin/").status_code == 302
