"""The admin refuses requests that its own pages never send, and writes nothing."""

from urllib.parse import quote

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType

from chats.admin.reports import ReportAdmin
from chats.admin.users import UserAdmin
from chats.filters import SEARCH_MAX_CHARACTERS
from chats.models import Conversation, Message, User
from chats.safety.models import Report
from chats.safety.reports import report
from chats.services import send as send_message
from chats.services import start
from chats.tests.support.rows import change, get_changes, read_tables

VALUES = ["", "1\0", str(10**30)]
MODELS = [
    *("auth/group", "chats/user", "chats/conversation", "chats/message"),
    *("chats/report", "admin/logentry"),
]
# Django's own handling of these is the same for every model.
SHARED_PARAMETERS = ["p", "o", "all", "e", "_to_field", "_changelist_filters"]
PARAMETERS = {
    "auth/group": ["q", "pk"],
    "chats/user": [
        *("q", "pk", *SHARED_PARAMETERS),
        *("role__exact", "is_active__exact", "is_active__isnull", "last_login__year"),
        "email__regex",
    ],
    "chats/conversation": ["q", "pk", "participants__exact"],
    "chats/message": [
        *("q", "pk", "p", "sent_at__gte", "sent_at__lt", "sent_at__exact", "sent_at__isnull"),
        "sent_at__year",
    ],
    "chats/report": ["q", "pk", "p", "o", "state", "closed_at__isnull", "message__message_body"],
    "admin/logentry": [
        *("q", "pk", "p", "kind", "staff", "user__email", "action_time__gte", "action_time__lt"),
    ],
}
ACTIONS = [
    ("auth/group", "delete_selected"),
    *(("chats/user", name) for name in UserAdmin.actions),
    ("chats/conversation", "delete_selected"),
    ("chats/message", "delete_selected"),
    *(("chats/report", name) for name in ReportAdmin.actions),
]
IDS_FIELDS = {
    "auth/group": ["permissions"],
    "chats/user": ["groups", "user_permissions"],
    "chats/conversation": ["participants"],
}
FIELDS = [
    *("groups", "user_permissions", "permissions", "participants"),
    *("email", "role", "is_active", "phone_number", "password", "title"),
]
TABLES = [
    *(Group, User, Conversation, Message, LogEntry),
    *(User.groups.through, User.user_permissions.through),
    *(Group.permissions.through, Conversation.participants.through),
]
AUTOCOMPLETE = {
    "app_label": "chats",
    "model_name": "conversation",
    "field_name": "participants",
    "term": "a",
}


@pytest.fixture
def rows(message, bob, root):
    report(message, "", actor=bob)
    group = Group.objects.create(name="Editors")
    LogEntry.objects.log_actions(root.pk, [group], CHANGE, "Changed.", single_object=True)
    reported, entry = Report.objects.get(), LogEntry.objects.get()
    return [group, message.sender, message.conversation, message, reported, entry]


@pytest.fixture
def send(staff, rows):
    """`send(method, path, data)`: the client raises an exception of the program's as it is.

    Nothing is written by the end of the test.
    """

    def send(method, path, data=None):
        response = getattr(staff, method)(f"/admin/{path}", data)
        assert response.status_code < 500, (method, path, data)

    before = read_tables(*TABLES)
    yield send
    assert read_tables(*TABLES) == before


@pytest.mark.parametrize("value", VALUES, ids=ascii)
class TestNonsenseIsNoServerError:
    def test_as_an_id(self, send, value):
        quoted = quote(value, safe="")
        for model in MODELS:
            for page in ("change/", "delete/"):
                send("get", f"{model}/{quoted}/{page}")
                send("post", f"{model}/{quoted}/{page}", {"post": "yes"})
            send("get", f"{model}/{quoted}/history/")
        for action in UserAdmin.actions:
            send("get", f"chats/user/{quoted}/{action}/")
            send("post", f"chats/user/{quoted}/{action}/", {"confirmed": "yes"})
        send("get", f"chats/user/{quoted}/")
        send("get", f"chats/user/{quoted}/password/")
        send("post", f"chats/user/{quoted}/password/", {"post": "yes"})

    def test_as_a_parameter(self, send, value, rows):
        for model, row in zip(MODELS, rows, strict=True):
            for name in PARAMETERS[model]:
                send("get", f"{model}/", {name: value})
            send("get", f"{model}/{row.pk}/change/", {"_to_field": value})
            send("get", f"{model}/add/", dict.fromkeys(FIELDS, value))
        send("post", f"chats/user/{rows[1].pk}/change/", {"_to_field": value})

    def test_as_a_selected_id(self, send, value):
        for model, action in ACTIONS:
            body = {"action": action, "_selected_action": value, "index": value}
            send("post", f"{model}/", body)
            send("post", f"{model}/", body | {"post": "yes", "confirmed": "yes"})

    def test_as_an_action(self, send, value, rows):
        for model, row in zip(MODELS, rows, strict=True):
            send("post", f"{model}/", {"action": value, "_selected_action": row.pk})

    def test_as_a_field(self, send, value, rows):
        """With and without the initial values that the page would have sent."""
        initials = {f"initial-{name}": value for name in FIELDS}
        for model, row in zip(IDS_FIELDS, rows[:3], strict=True):
            for body in [{name: value} for name in IDS_FIELDS[model]] + [
                dict.fromkeys(FIELDS, value)
            ]:
                send("post", f"{model}/add/", body)
                send("post", f"{model}/{row.pk}/change/", body)
                send("post", f"{model}/{row.pk}/change/", initials | body)

    def test_as_an_autocomplete_parameter(self, send, value):
        for name in (*AUTOCOMPLETE, "page"):
            send("get", "autocomplete/", AUTOCOMPLETE | {name: value})

    def test_as_a_view_on_site_id(self, send, value):
        users = ContentType.objects.get(model="user").pk
        for pk in (users, quote(value, safe="")):
            send("get", f"r/{pk}/{quote(value, safe='')}/")

    def test_as_a_password(self, send, value, rows):
        own = {"old_password": value, "new_password1": value, "new_password2": value}
        send("post", "password_change/", own)
        body = {"password1": value, "password2": "another", "usable_password": value}
        send("post", f"chats/user/{rows[1].pk}/password/", body)


def test_texts_of_messages_are_not_autocompleted(staff, message):
    parameters = {"app_label": "chats", "model_name": "report", "field_name": "message"}
    response = staff.get("/admin/autocomplete/", parameters | {"term": "Hello"})
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("model_name", "field_name"),
    [("conversation", "messages"), ("user", "sent_messages"), ("user", "conversations")],
)
def test_reverse_relation_is_not_autocompleted(staff, model_name, field_name):
    parameters = AUTOCOMPLETE | {"model_name": model_name, "field_name": field_name}
    assert staff.get("/admin/autocomplete/", parameters).status_code == 403


class TestLongSearch:
    """A thousand words were too deep an expression for SQLite."""

    LISTS = ["auth/group/", "chats/user/", "chats/conversation/", "chats/message/"]

    @pytest.mark.parametrize("term", ["x" * 101, "a " * 1000], ids=["101 characters", "words"])
    def test_of_101_characters_is_refused(self, staff, term):
        calls = [(path, {"q": term}) for path in self.LISTS]
        for path, parameters in [*calls, ("autocomplete/", AUTOCOMPLETE | {"term": term})]:
            response = staff.get(f"/admin/{path}", parameters)
            assert (response.status_code, response.content.decode()) == (
                400,
                "A search is at most 100 characters long.",
            )
            assert response.headers["Content-Type"] == "text/plain"

    @pytest.mark.parametrize("term", ["x" * 100, "a " * 50, "é" * 100])
    def test_of_100_characters_is_accepted(self, staff, message, term):
        assert len(term) == SEARCH_MAX_CHARACTERS == 100
        for path in self.LISTS:
            assert staff.get(f"/admin/{path}", {"q": term}).status_code == 200
        assert staff.get("/admin/autocomplete/", AUTOCOMPLETE | {"term": term}).status_code == 200


class TestUserDeletion:
    @pytest.fixture
    def while_deleting(self, monkeypatch):
        """`while_deleting(call)`: after the page has found that the person has not written."""
        get_deleted_objects = UserAdmin.get_deleted_objects

        def while_deleting(call):
            def get_and_call(*arguments):
                found = get_deleted_objects(*arguments)
                call()
                return found

            monkeypatch.setattr(UserAdmin, "get_deleted_objects", get_and_call)

        return while_deleting

    def test_is_refused_if_the_user_sends_a_message_meanwhile(
        self, staff, alice, bob, while_deleting
    ):
        while_deleting(lambda: send_message(start({alice.pk}, actor=bob)[0], "Hello", actor=alice))
        path = f"/admin/chats/user/{alice.pk}/delete/"
        page = staff.post(path, {"post": "yes"}, follow=True).content.decode()
        assert "This user has just written a message. Erase them instead." in page
        assert User.objects.filter(pk=alice.pk).exists()
        assert not get_changes().exists()

    def test_is_refused_if_the_user_becomes_staff_meanwhile(
        self, make_staff, carol, while_deleting
    ):
        client = make_staff("view_user", "delete_user")
        while_deleting(lambda: change(carol, is_staff=True))
        path = f"/admin/chats/user/{carol.pk}/delete/"
        assert client.post(path, {"post": "yes"}).status_code == 403
        assert User.objects.filter(pk=carol.pk).exists()
        assert not get_changes().exists()

    def test_is_no_error_if_the_user_is_deleted_meanwhile(self, staff, carol, while_deleting):
        while_deleting(User.objects.filter(pk=carol.pk).delete)
        path = f"/admin/chats/user/{carol.pk}/delete/"
        assert staff.post(path, {"post": "yes"}).status_code == 302
        assert not User.objects.filter(pk=carol.pk).exists()


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/"])
@pytest.mark.django_db
def test_nul_in_a_cookie_is_a_400(client, path):
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
def test_nonsense_has_this_status_code(staff, path, body, status):
    response = staff.post(f"/admin/{path}", body) if body else staff.get(f"/admin/{path}")
    assert response.status_code == status
    assert not get_changes().exists()
