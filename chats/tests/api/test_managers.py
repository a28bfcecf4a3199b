"""How a shell and a command create users."""

from chats.models import User


def test_a_superuser_has_the_password_and_the_fields_that_were_given(db):
    User.objects.create_superuser("Root@example.com", "a password", first_name="Ruth")
    root = User.objects.get()
    assert root.check_password("a password")
    assert (root.email, root.first_name) == ("root@example.com", "Ruth")
    assert (root.role, root.is_staff, root.is_superuser) == ("admin", True, True)
