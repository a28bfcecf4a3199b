"""What each page of the admin shows to staff who have a single permission."""

import re
from http import HTTPStatus

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import transaction

from chats.admin.reports import ReportAdmin
from chats.admin.rights import GROUPS, PERMISSIONS
from chats.admin.users import UserAdmin
from chats.safety.models import Report
from chats.safety.reports import report
from chats.services import rename, send
from chats.tests.support.forms import Form
from chats.tests.support.rows import change

pytestmark = pytest.mark.once

# Alice Archer and Bob Baker take part in the conversation; Carol Chen and Dora Dane do not.
TITLE, TEXT = "The room in May", "Hello, Bob"
NAMES = {"Archer", "Baker"}
ADDRESSES = {f"{name}@example.com" for name in ("alice", "bob", "carol", "dora")}
STRANGERS = {"Chen", "Dane"}
EVERYTHING = {*NAMES, *ADDRESSES, *STRANGERS, TITLE, TEXT}
# What a permission shows, on some page. Others show nothing.
SHOWN = {
    "view_user": {*NAMES, *ADDRESSES, *STRANGERS},
    "change_user": {*NAMES, *ADDRESSES, *STRANGERS},
    "view_conversation": {*NAMES, TITLE},
    "change_conversation": {*NAMES, TITLE},
    "view_message": {*NAMES, TEXT},
    "change_message": {*NAMES, TEXT},
    "view_report": NAMES,
    "change_report": NAMES,
}
# These open nothing without the other one.
NEEDED = {
    "add_user": ["change_user"],
    "delete_user": ["view_user"],
    "delete_conversation": ["delete_message"],
}
PARTICIPANTS = "participants={alice},{bob},{carol}"
# With fields it is a POST. Those that delete are the last ones.
MODELS = [
    *("auth/group", "chats/user", "chats/conversation", "chats/message", "chats/report"),
    "admin/logentry",
]
PAGES = [
    ("", None),
    ("chats/", None),
    ("password_change/", None),
    ("jsi18n/", None),
    (
        "autocomplete/?app_label=chats&model_name=conversation&field_name=participants&term=test",
        None,
    ),
    *(
        (f"{model}/{page}", None)
        for model in MODELS
        for page in ("", "?q=test", "?q={alice}", "add/")
    ),
    (f"chats/conversation/add/?{PARTICIPANTS}&title=x", None),
    (f"chats/conversation/add/?{PARTICIPANTS}&_popup=1", None),
    ("chats/conversation/add/", {"title": "a\nb", "participants": ["{alice}", "{carol}"]}),
    ("chats/conversation/add/", {"participants": ["{inactive}"]}),
    ("chats/conversation/add/", {"participants": ["{alice}", "{bob}"]}),
    (
        "chats/conversation/{conversation}/change/",
        {"title": "a\nb", "participants": ["{alice}", "{bob}", "{carol}"]},
    ),
    (
        "chats/conversation/{conversation}/change/",
        {"participants": ["{alice}", "{bob}", "{inactive}"]},
    ),
    *(
        (f"chats/{model}/{page}", None)
        for model, key in [
            ("user", "{alice}"),
            ("user", "{carol}"),
            ("conversation", "{conversation}"),
            ("message", "{message}"),
            ("report", "{report}"),
        ]
        for page in (
            f"{key}/",
            f"{key}/change/",
            f"{key}/change/?_popup=1",
            f"{key}/delete/",
            f"{key}/delete/?_popup=1",
            f"{key}/history/",
        )
    ),
    *((f"chats/user/{{alice}}/{page}/", None) for page in ("password", *UserAdmin.actions)),
    *((f"admin/logentry/{{entry}}/{page}/", None) for page in ("change", "delete", "history")),
    ("chats/report/?state=closed", None),
    ("chats/user/{alice}/password/", {"password1": "x"}),
    ("chats/user/{alice}/change/", {"email": "bob@example.com"}),
    ("chats/user/add/", {"email": "alice@example.com"}),
    *(
        (f"chats/{model}/", {"action": action, "_selected_action": [key]})
        for model, key, actions in [
            ("user", "{alice}", [*UserAdmin.actions, "delete_selected"]),
            ("report", "{report}", [*ReportAdmin.actions, "delete_selected"]),
            ("conversation", "{conversation}", ["delete_selected"]),
            ("message", "{message}", ["delete_selected"]),
        ]
        for action in actions
    ),
    ("chats/user/{carol}/delete/", {"post": "yes"}),
    ("chats/message/{message}/delete/", {"post": "yes"}),
    ("chats/conversation/{conversation}/delete/", {"post": "yes"}),
]
OF_THE_CHAT = [
    f"{action}_{model}"
    for action in ("add", "change", "delete", "view")
    for model in ("user", "conversation", "message", "report")
]


@pytest.fixture
def ids(message, root, alice, bob, carol, make_user):
    rename(message.conversation, TITLE, actor=alice)
    send(message.conversation, "See you", actor=bob)
    dora = make_user("Dora", is_active=False)
    for user, last_name in [(alice, "Archer"), (bob, "Baker"), (carol, "Chen"), (dora, "Dane")]:
        change(user, last_name=last_name)
    report(message, "An insult", actor=bob)
    LogEntry.objects.log_actions(root.pk, [alice], CHANGE, "Changed.", single_object=True)
    rows = {"report": Report.objects.get().pk, "entry": LogEntry.objects.get().pk}
    people = {"alice": alice.pk, "bob": bob.pk, "carol": carol.pk, "inactive": dora.pk}
    return people | rows | {"message": message.pk, "conversation": message.conversation_id}


@pytest.fixture
def look(make_staff, ids, message, carol):
    """`look("view_user")`: what staff with this permission see of EVERYTHING, and the pages that
    they can open. What the pages change is undone."""

    @transaction.atomic
    def look(*codenames):
        client = make_staff(*codenames)
        for row in (message, message.conversation, carol):
            LogEntry.objects.log_actions(
                client.session["_auth_user_id"], [row], CHANGE, "Changed.", single_object=True
            )
        shown, opened = set(), set()
        for number, (page, fields) in enumerate(PAGES):
            path = f"/admin/{page.format(**ids)}"
            if fields is None:
                response = client.get(path, follow=True)
            else:
                response = client.post(path, fill(fields, ids), follow=True)
            assert response.status_code in {200, 400, 403, 404}, path
            html = response.content.decode()
            shown.update(text for text in EVERYTHING if text in html)
            if response.status_code == HTTPStatus.OK and not response.redirect_chain:
                opened.add(number)
        transaction.set_rollback(True)
        return shown, opened

    return look


def fill(fields, ids):
    return {
        name: [item.format(**ids) for item in value] if isinstance(value, list) else value
        for name, value in fields.items()
    }


@pytest.fixture
def everything(db):
    return set(Permission.objects.values_list("codename", flat=True))


@pytest.mark.parametrize("codename", OF_THE_CHAT)
def test_pages_show_only_what_the_permission_is_for(look, codename):
    shown, _ = look(codename)
    assert shown == SHOWN.get(codename, set())


def test_other_permissions_show_nothing_together(look, everything):
    shown, _ = look(*everything - SHOWN.keys())
    assert shown == set()


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        ("user", {*ADDRESSES, *STRANGERS}),
        ("conversation", {TITLE}),
        ("message", {TEXT}),
    ],
)
def test_pages_hide_what_staff_may_not_view_whatever_else_they_may(look, everything, model, hidden):
    shown, _ = look(*everything - {f"view_{model}", f"change_{model}"})
    assert shown == EVERYTHING - hidden


class TestOfferedPermissions:
    """The others would do nothing."""

    def test_are_those_that_open_pages(self, look, everything):
        _, opened = look(*everything)
        assert look(*PERMISSIONS)[1] == opened

    @pytest.mark.parametrize(
        ("codename", "needed"),
        [
            *((name, []) for name in PERMISSIONS if name not in NEEDED),
            *NEEDED.items(),
        ],
    )
    def test_open_a_page_each(self, look, codename, needed):
        _, before = look(*needed)
        _, opened = look(*needed, codename)
        assert opened - before

    @pytest.mark.parametrize("page", ["chats/user/{alice}/change/", "auth/group/add/"])
    def test_are_the_options(self, staff, ids, page):
        html = staff.get(f"/admin/{page.format(**ids)}").content.decode()
        select = re.search(r'<select name="(?:user_)?permissions".*?</select>', html, re.DOTALL)
        offered = set(map(int, re.findall(r'<option value="(\d+)"', select[0])))
        permissions = Permission.objects.filter(pk__in=offered)
        assert set(permissions.values_list("codename", flat=True)) == set(PERMISSIONS)

    def test_others_are_kept_until_they_are_removed(self, staff, alice):
        """Such as those that were given earlier."""
        old, new = (
            Permission.objects.get(codename=name) for name in ("change_message", "view_message")
        )
        alice.user_permissions.set([old])
        form = Form(staff, alice)
        assert form.is_saved(first_name="Al")
        assert form.is_saved(user_permissions=[old.pk, new.pk])
        assert set(alice.user_permissions.all()) == {old, new}
        assert Form(staff, alice).is_saved(user_permissions=[new.pk])
        assert set(alice.user_permissions.all()) == {new}


class TestGroups:
    """Those of `make_groups`."""

    @pytest.mark.parametrize(("name", "hidden"), [("Moderator", set()), ("Support", {TITLE, TEXT})])
    def test_show_what_they_are_for(self, look, name, hidden):
        shown, _ = look(*GROUPS[name])
        assert shown == EVERYTHING - hidden

    @pytest.mark.parametrize(
        ("name", "codename"), [(name, codename) for name in GROUPS for codename in GROUPS[name]]
    )
    def test_have_no_permission_that_they_do_not_need(self, look, name, codename):
        _, opened = look(*GROUPS[name])
        _, without = look(*set(GROUPS[name]) - {codename})
        assert without < opened

    def test_are_made_once_with_their_permissions(self, db, capsys):
        """Permissions that were added by hand stay, and missing ones are added again."""
        call_command("make_groups")
        assert {group.name: get_codenames(group) for group in Group.objects.all()} == {
            name: set(codenames) for name, codenames in GROUPS.items()
        }
        moderator = Group.objects.get(name="Moderator")
        more = Permission.objects.get(codename="view_logentry")
        moderator.permissions.set([more])
        call_command("make_groups")
        assert get_codenames(moderator) == {*GROUPS["Moderator"], "view_logentry"}
        assert Group.objects.count() == 2
        assert "Support: change_user" in capsys.readouterr().out


def get_codenames(group):
    return set(group.permissions.values_list("codename", flat=True))
