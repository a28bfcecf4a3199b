from django.contrib.auth.management.commands import changepassword
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from chats.models import User


class Command(changepassword.Command):
    help = "Change a user's password. Replaces Django's command, which would write the whole user."

    def handle(self, *args, **options):
        user = User.objects.filter(email=options["username"] or "").first()
        if user is None:
            raise CommandError("Name a user by their e-mail address.")
        password = self._get_pass()
        if self._get_pass("Password (again): ") != password:
            raise CommandError("The passwords are not the same.")
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if not user.replace_password(password):
            raise CommandError("The user is inactive, or has just been changed by somebody else.")
        return f"The password of {user} was changed."
