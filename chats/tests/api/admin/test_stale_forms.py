"""Forms that were open in the admin while somebody else changed the same row."""

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.utils.html import escape

from chats.models import Conversation, User
from chats.services import erase, rename
from chats.tests.support.forms import Form
from chats.tests.support.rows import change, read_row

ERASED = "This user was erased after you opened the page. Nothing was saved."
DELETED = "This {} was deleted after you opened the page. Nothing was saved."
CHANGED = "Somebody else changed this after you opened the page. Open it again to change it."
PERHAPS_DELETED = "Perhaps it was deleted?"
TAKEN = "Somebody else saved the same value at that moment. Nothing was saved. Please try again."


@pytest.fixture
def after_reading(monkeypatch):
    """`after_reading(User, call)`: called when the view has read the row, before it is locked."""

    def after_reading(model, call):
        model_admin = type(admin.site.get_model_admin(model))
        get_form = model_admin.get_form

        def call_and_get_form(self, request, obj=None, **kwargs):
            if request.method == "POST":
                call()
            return get_form(self, request, obj, **kwargs)

        monkeypatch.setattr(model_admin, "get_form", call_and_get_form)

    return after_reading


class TestStaleUserForm:
    @pytest.mark.parametrize(
        "meanwhile",
        [
            {"first_name": "Alicia", "phone_number": "+4915112345678"},
            {"email": "alicia@example.com"},
            {"is_active": False},
        ],
        ids="+".join,
    )
    def test_untouched_fields_are_not_written(self, staff, alice, meanwhile):
        form = Form(staff, alice)
        change(alice, **meanwhile)
        before = read_row(alice)
        assert form.is_saved(role="host")
        assert read_row(alice) == before | {"role": "host"}

    def test_dismissed_staff_stay_dismissed(self, staff, make_user):
        sam = make_user("Sam", is_staff=True, is_superuser=True)
        form = Form(staff, sam)
        change(sam, is_staff=False, is_superuser=False)
        assert form.is_saved(role="host")
        sam.refresh_from_db()
        assert (sam.role, sam.is_staff, sam.is_superuser) == ("host", False, False)

    def test_dismissed_superuser_cannot_restore_own_flags(self, client, make_user, after_reading):
        """The request was allowed before another one dismissed them."""
        flags = ["is_active", "is_staff", "is_superuser"]
        dismissed = make_user("Eve", **dict.fromkeys(flags, True))
        client.force_login(dismissed)
        form = Form(client, dismissed)
        after_reading(User, lambda: change(dismissed, **dict.fromkeys(flags, False)))
        form.save(**{f"initial-{flag}": "False" for flag in flags})
        row = read_row(dismissed)
        assert [row[flag] for flag in flags] == [False] * 3

    def test_history_has_the_current_email_address(self, staff, alice):
        form = Form(staff, alice)
        change(alice, email="alicia@example.com")
        assert form.is_saved(role="host")
        assert LogEntry.objects.get().object_repr == "alicia@example.com"

    def test_email_address_that_was_freed_meanwhile_is_no_conflict(self, staff, alice, bob):
        form = Form(staff, alice)
        change(alice, email="alicia@example.com")
        change(bob, email="alice@example.com")
        assert form.is_saved(role="host")

    @pytest.mark.parametrize(
        ("meanwhile", "wish"),
        [
            ({"first_name": "Alicia"}, {"first_name": "Alison"}),
            ({"role": "admin"}, {"role": "host"}),
            ({"email": "alicia@example.com"}, {"email": "alison@example.com"}),
        ],
    )
    def test_conflicting_change_is_refused(self, staff, alice, meanwhile, wish):
        form = Form(staff, alice)
        change(alice, **meanwhile)
        before = read_row(alice)
        [field] = wish
        response = form.save(**wish)
        assert response.context["adminform"].errors == {field: [CHANGED]}
        assert read_row(alice) == before

    def test_refused_form_keeps_its_initial_values(self, staff, alice):
        form = Form(staff, alice)
        change(alice, first_name="Alicia")
        response = form.save(first_name="Alison")
        assert 'name="initial-first_name" value="Alice"' in response.content.decode()

    def test_same_form_can_be_sent_twice(self, staff, alice):
        form = Form(staff, alice)
        assert form.is_saved(first_name="Alicia", is_active=[])
        assert form.is_saved(first_name="Alicia", is_active=[])

    def test_erased_user_stays_erased(self, staff, alice):
        form = Form(staff, alice)
        erase(alice)
        before = read_row(alice)
        assert ERASED in form.save(role="host").content.decode()
        assert read_row(alice) == before

    @pytest.mark.parametrize(
        ("meanwhile", "sentence"),
        [(erase, ERASED), (User.delete, DELETED.format("user"))],
        ids=["erased", "deleted"],
    )
    def test_user_who_ends_between_read_and_lock_is_not_saved(
        self, staff, alice, after_reading, meanwhile, sentence
    ):
        form, rows = Form(staff, alice), []

        def end():
            meanwhile(User.objects.get(pk=alice.pk))
            rows.append(read_row(alice))

        after_reading(User, end)
        assert sentence in form.save(role="host", first_name="Back").content.decode()
        assert [read_row(alice)] == rows
        assert not LogEntry.objects.exists()

    def test_user_who_became_staff_meanwhile_is_not_changed(self, make_staff, alice, after_reading):
        form = Form(make_staff("change_user"), alice)
        after_reading(User, lambda: change(alice, is_staff=True))
        page = form.save(email="mallory@example.com").content.decode()
        assert "Only superusers can change staff." in page
        alice.refresh_from_db()
        assert alice.email == "alice@example.com"

    def test_deleted_user_is_not_found(self, staff, alice):
        form = Form(staff, alice)
        alice.delete()
        assert PERHAPS_DELETED in form.save(role="host").content.decode()
        assert not User.objects.filter(pk=alice.pk).exists()

    def test_groups_and_permissions_are_merged(self, staff, alice):
        """The list of permissions was empty."""
        old, gone, theirs, mine = (Group.objects.create(name=f"Group {n}") for n in range(4))
        their_permission, my_permission = Permission.objects.filter(codename__endswith="_user")[:2]
        alice.groups.set([old, gone])
        form = Form(staff, alice)
        alice.groups.set([old, theirs])
        alice.user_permissions.add(their_permission)
        groups = [*form.fields["groups"], mine.pk]
        assert form.is_saved(groups=groups, user_permissions=[my_permission.pk])
        assert set(alice.groups.all()) == {old, theirs, mine}
        assert set(alice.user_permissions.all()) == {their_permission, my_permission}

    def test_untouched_groups_are_not_written(self, staff, alice):
        old, new = (Group.objects.create(name=f"Group {n}") for n in range(2))
        alice.groups.add(old)
        form = Form(staff, alice)
        alice.groups.set([new])
        assert form.is_saved(role="host")
        assert set(alice.groups.all()) == {new}

    def test_page_does_not_show_the_password_hash(self, staff, alice):
        fields = Form(staff, alice).fields
        assert alice.password not in str(fields)
        assert {"initial-email", "initial-groups", "initial-is_active"} < fields.keys()
        assert "initial-password" not in fields


class TestStaleGroupForm:
    @pytest.fixture
    def group(self, db):
        return Group.objects.create(name="Editors")

    def test_untouched_fields_are_not_written(self, staff, group):
        theirs, mine = Permission.objects.filter(codename__endswith="_user")[:2]
        form = Form(staff, group)
        change(group, name="Readers")
        group.permissions.add(theirs)
        assert form.is_saved(permissions=[mine.pk])
        group.refresh_from_db()
        assert group.name == "Readers"
        assert set(group.permissions.all()) == {theirs, mine}

    def test_conflicting_change_is_refused(self, staff, group):
        form = Form(staff, group)
        change(group, name="Readers")
        response = form.save(name="Writers")
        assert response.context["adminform"].errors == {"name": [CHANGED]}
        assert Group.objects.get().name == "Readers"

    def test_deleted_group_is_not_created_again(self, staff, group, after_reading):
        form = Form(staff, group)
        after_reading(Group, lambda: Group.objects.all().delete())
        page = form.save(permissions=[Permission.objects.first().pk]).content.decode()
        assert DELETED.format("group") in page
        assert not Group.objects.exists()


class TestStaleConversationForm:
    def test_participants_are_merged(self, staff, conversation, alice, bob, carol, mallory):
        form = Form(staff, conversation)
        conversation.participants.set([alice, mallory])
        assert form.is_saved(participants=[*form.fields["participants"], carol.pk])
        assert set(conversation.participants.all()) == {alice, mallory, carol}

    def test_removed_participant_is_removed(self, staff, conversation, alice, bob, carol):
        form = Form(staff, conversation)
        conversation.participants.add(carol)
        assert form.is_saved(participants=[bob.pk])
        assert set(conversation.participants.all()) == {bob, carol}

    def test_untouched_form_writes_nothing(self, staff, conversation, alice, bob):
        form = Form(staff, conversation)
        conversation.participants.remove(alice)
        rename(conversation, "Holiday", actor=bob)
        before = read_row(conversation)
        assert form.is_saved()
        assert alice not in conversation.participants.all()
        assert read_row(conversation) == before

    def test_conflicting_change_is_refused(self, staff, conversation, alice):
        form = Form(staff, conversation)
        rename(conversation, "Holiday", actor=alice)
        before = read_row(conversation)
        assert form.save(title="Work").context["adminform"].errors == {"title": [CHANGED]}
        assert read_row(conversation) == before

    @pytest.mark.parametrize("end", [erase, lambda user: change(user, is_active=False)])
    def test_inactive_users_are_not_added(self, staff, conversation, alice, carol, mallory, end):
        end(carol)
        form = Form(staff, conversation)
        everybody = [*form.fields["participants"], mallory.pk, carol.pk]
        response = form.save(participants=everybody)
        carol.refresh_from_db()
        sentence = f"Only active users can be added. Not active: {carol.email}."
        assert response.context["adminform"].errors == {"participants": [sentence]}
        assert not conversation.participants.filter(pk__in=[carol.pk, mallory.pk]).exists()

    def test_participants_may_be_inactive(self, staff, conversation, alice, bob, carol):
        change(bob, is_active=False)
        form = Form(staff, conversation)
        assert form.is_saved(participants=[alice.pk, bob.pk, carol.pk])
        assert set(conversation.participants.all()) == {alice, bob, carol}

    def test_new_conversation_has_no_inactive_participants(self, staff, alice, bob):
        change(bob, is_active=False)
        response = staff.post(
            "/admin/chats/conversation/add/", {"participants": [alice.pk, bob.pk]}
        )
        sentence = "Only active users can be added. Not active: bob@example.com."
        assert response.context["adminform"].errors == {"participants": [sentence]}
        assert not Conversation.objects.exists()

    def test_limit_of_256_counts_participants_who_joined_meanwhile(
        self, staff, conversation, alice, bob, carol
    ):
        form = Form(staff, conversation)
        others = User.objects.bulk_create(User(email=f"{n}@example.com") for n in range(254))
        conversation.participants.add(*others)
        response = form.save(participants=[alice.pk, bob.pk, carol.pk])
        sentence = "A conversation has at most 256 participants."
        assert response.context["adminform"].errors == {"participants": [sentence]}
        assert form.is_saved(participants=[alice.pk, carol.pk])
        assert conversation.participants.count() == 256

    def test_deleted_conversation_is_not_created_again(
        self, staff, conversation, carol, after_reading
    ):
        form = Form(staff, conversation)
        after_reading(Conversation, lambda: Conversation.objects.all().delete())
        page = form.save(participants=[carol.pk]).content.decode()
        assert escape(DELETED.format("conversation")) in page
        assert not Conversation.objects.exists()


class TestUniqueValueTakenMeanwhile:
    """Another request saves the same unique value after the form was validated."""

    @pytest.fixture
    def before_saving(self, before_each):
        """`before_saving(User, call)`: called when the form is valid, before it is saved."""
        return lambda model, call: before_each(
            type(admin.site.get_model_admin(model)), "save_model", call
        )

    @pytest.mark.parametrize("path", ["add/", "{alice.pk}/change/"])
    def test_email_address(self, staff, alice, bob, before_saving, path):
        before_saving(User, lambda: change(bob, email="new@example.com"))
        body = {"email": "new@example.com", "first_name": "A", "last_name": "B", "role": "guest"}
        body |= {"usable_password": "false"}
        path = f"/admin/chats/user/{path.format(alice=alice)}"
        page = staff.post(path, body, follow=True).content.decode()
        assert TAKEN in page
        assert not User.objects.filter(first_name="A").exists()
        assert not LogEntry.objects.exists()

    def test_group_name(self, staff, before_saving):
        before_saving(Group, lambda: Group.objects.create(name="Editors"))
        page = staff.post("/admin/auth/group/add/", {"name": "Editors"}, follow=True)
        assert TAKEN in page.content.decode()
