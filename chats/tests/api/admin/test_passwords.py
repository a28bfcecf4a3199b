"""Passwords that staff set in the admin: nothing else is written, whatever happens meanwhile."""

from functools import partial

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.db import connection

from chats.accounts.password_forms import PasswordNotReplaced
from chats.models import User
from chats.services import erase
from chats.tests.conftest import PASSWORD
from chats.tests.support.rows import change, deactivate, read_row
from messaging_app.backends.hashers import Argon2PasswordHasher

NEW = "another long password"
SET = {"password1": NEW, "password2": NEW, "usable_password": "true"}
CHANGE = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
ADD = SET | {"email": "Dora@Example.com", "first_name": "D", "last_name": "D", "role": "guest"}


@pytest.fixture
def while_hashing(before_each):
    """`while_hashing(call)` calls it whenever a password is being hashed."""
    return partial(before_each, Argon2PasswordHasher, "encode")


def demote(user):
    change(user, is_staff=False, is_superuser=False)


def promote(user):
    change(user, is_staff=True)


def change_password(user):
    change(user, password=make_password(None))


class TestOwnPassword:
    PATH = "/admin/password_change/"

    def test_is_changed_and_the_session_continues(self, staff, root):
        response = staff.post(self.PATH, CHANGE, follow=True)
        assert "Your password was changed." in response.content.decode()
        root.refresh_from_db()
        assert root.check_password(NEW)
        assert staff.get("/admin/").status_code == 200

    @pytest.mark.parametrize("meanwhile", [demote, deactivate, change_password, User.delete])
    def test_is_not_set_if_the_account_changed_meanwhile(
        self, staff, root, while_hashing, meanwhile
    ):
        rows = []

        def call():
            meanwhile(User.objects.get(pk=root.pk))
            rows.append(read_row(root))

        while_hashing(call)
        response = staff.post(self.PATH, CHANGE)
        assert (response.status_code, response.headers["Location"]) == (302, self.PATH)
        assert [read_row(root)] == rows
        page = staff.get(self.PATH, follow=True).content.decode()
        assert "Somebody else has just changed your account. The password was not set." in page


class TestPasswordOfAUser:
    @pytest.fixture
    def path(self, alice):
        return f"/admin/chats/user/{alice.pk}/password/"

    def test_is_set(self, staff, alice, path):
        response = staff.post(path, SET, follow=True)
        assert "Password changed successfully." in response.content.decode()
        alice.refresh_from_db()
        assert alice.check_password(NEW)

    def test_is_disabled(self, staff, alice, path):
        body = {"usable_password": "false", "unset-password": "1"}
        response = staff.post(path, body, follow=True)
        assert "Password-based authentication was disabled." in response.content.decode()
        alice.refresh_from_db()
        assert not alice.has_usable_password()

    @pytest.mark.parametrize(
        "meanwhile", [erase, deactivate, promote, change_password, User.delete]
    )
    def test_is_not_set_if_the_user_changed_meanwhile(
        self, staff, alice, path, while_hashing, meanwhile
    ):
        rows = []

        def call():
            meanwhile(User.objects.get(pk=alice.pk))
            rows.append(read_row(alice))

        while_hashing(call)
        response = staff.post(path, SET, follow=True)
        page = response.content.decode()
        assert "Somebody else has just changed this user. The password was not set." in page
        assert "Password changed successfully" not in page
        assert [read_row(alice)] == rows
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize("meanwhile", [erase, deactivate, promote])
    def test_is_not_disabled_if_the_user_changed_meanwhile(self, alice, meanwhile):
        form_class = admin.site.get_model_admin(User).change_password_form
        form = form_class(User.objects.get(pk=alice.pk), {"usable_password": "false"})
        assert form.is_valid()
        meanwhile(alice)
        before = read_row(alice)
        with pytest.raises(PasswordNotReplaced):
            form.save()
        assert read_row(alice) == before

    @pytest.mark.parametrize("body", [SET, {"usable_password": "false", "unset-password": "1"}])
    def test_inactive_user_gets_no_password(self, staff, alice, path, body):
        deactivate(alice)
        before = read_row(alice)
        response = staff.post(path, body)
        assert response.status_code == 200
        assert "This user is inactive. Activate them first." in response.content.decode()
        assert read_row(alice) == before


class TestChangePasswordCommand:
    """`manage.py changepassword`"""

    @pytest.fixture
    def change_password(self, alice, monkeypatch):
        def change_password(*typed, meanwhile=lambda user: None):
            answers = iter(typed)

            def type_in(prompt):
                meanwhile(alice)
                return next(answers)

            monkeypatch.setattr("getpass.getpass", type_in)
            call_command("changepassword", "Alice@example.com")

        return change_password

    def test_changes_the_password(self, alice, change_password):
        change_password(NEW, NEW)
        alice.refresh_from_db()
        assert alice.check_password(NEW)

    @pytest.mark.parametrize("typed", [(NEW, "another tide"), ("12345", "12345")])
    def test_refuses_a_weak_or_mistyped_password(self, alice, change_password, typed):
        with pytest.raises(CommandError):
            change_password(*typed)
        alice.refresh_from_db()
        assert alice.check_password(PASSWORD)

    @pytest.mark.parametrize("meanwhile", [erase, deactivate])
    def test_refuses_a_user_who_became_inactive_meanwhile(self, alice, change_password, meanwhile):
        with pytest.raises(CommandError, match="inactive"):
            change_password(NEW, NEW, meanwhile=meanwhile)
        alice.refresh_from_db()
        assert not alice.is_active
        assert not alice.check_password(NEW)


class TestPasswordOfANewUser:
    PATH = "/admin/chats/user/add/"

    @pytest.mark.django_db(transaction=True)
    def test_is_set(self, staff):
        assert staff.post(self.PATH, ADD).status_code == 302
        dora = User.objects.get(email="dora@example.com")
        assert (dora.role, dora.check_password(NEW)) == ("guest", True)

    @pytest.mark.django_db(transaction=True)
    def test_can_be_unusable(self, staff):
        body = ADD | {"usable_password": "false", "password1": "", "password2": ""}
        assert staff.post(self.PATH, body).status_code == 302
        assert not User.objects.get(email="dora@example.com").has_usable_password()

    @pytest.mark.django_db(transaction=True)
    def test_is_not_set_if_the_user_was_deactivated_meanwhile(self, staff, while_hashing):
        while_hashing(lambda: User.objects.filter(email="dora@example.com").update(is_active=False))
        page = staff.post(self.PATH, ADD, follow=True).content.decode()
        assert "Somebody else has just changed this user. The password was not set." in page
        dora = User.objects.get(email="dora@example.com")
        assert not dora.is_active
        assert not dora.has_usable_password()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("password_change/", CHANGE),
        ("chats/user/{alice.pk}/password/", SET),
        ("chats/user/add/", ADD),
    ],
    ids=["own", "of a person", "of a new person"],
)
@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_password_is_hashed(staff, alice, while_hashing, path, body):
    """It would hold SQLite's one write lock all that time."""
    seen = []
    while_hashing(lambda: seen.append(connection.in_atomic_block))
    assert staff.post(f"/admin/{path.format(alice=alice)}", body).status_code == 302
    assert seen == [False]


class TestCreateSuperuser:
    """`manage.py createsuperuser --noinput`"""

    @pytest.fixture(autouse=True)
    def _environment(self, db, monkeypatch):
        for name, value in {
            "EMAIL": "Root@example.com",
            "PASSWORD": "tide over the moor",
            "FIRST_NAME": "Ruth",
            "LAST_NAME": "Root",
        }.items():
            monkeypatch.setenv(f"DJANGO_SUPERUSER_{name}", value)

    def test_can_be_repeated(self, capsys):
        for text in ["created successfully.", "There is a superuser Root@example.com already."]:
            call_command("createsuperuser", interactive=False)
            assert text in capsys.readouterr().out
        user = User.objects.get()
        assert (user.email, user.first_name, user.role) == ("root@example.com", "Ruth", "admin")
        assert user.is_superuser
        assert user.check_password("tide over the moor")

    def test_can_run_twice_at_once(self, transactional_db, while_hashing, capsys):
        user = {"email": "root@example.com", "first_name": "Ruth", "last_name": "Other"}
        while_hashing(lambda: User.objects.create_superuser(password=None, **user))
        call_command("createsuperuser", interactive=False)
        assert "There is a superuser Root@example.com already." in capsys.readouterr().out
        assert User.objects.get().last_name == "Other"

    @pytest.mark.parametrize("password", ["", "12345678", "root@example.com"])
    def test_refuses_a_weak_password(self, monkeypatch, password):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
        with pytest.raises(CommandError, match="The password: "):
            call_command("createsuperuser", interactive=False)
        assert not User.objects.exists()

    def test_does_not_promote_somebody_who_has_the_address(self, make_user):
        user = make_user("Root")
        with pytest.raises(CommandError, match="already taken"):
            call_command("createsuperuser", interactive=False)
        assert not User.objects.get(pk=user.pk).is_staff
