from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import IntegrityError

from chats.models import User
from messaging_app.conf import env


class Command(createsuperuser.Command):
    help = (
        "Create a superuser. With --noinput, which reads DJANGO_SUPERUSER_EMAIL, _PASSWORD, "
        "_FIRST_NAME and _LAST_NAME, it can be repeated, and refuses a weak password."
    )

    def handle(self, *args, **options):
        if options["interactive"]:
            return super().handle(*args, **options)
        fields = {
            name: options[name] or env.get(f"DJANGO_SUPERUSER_{name.upper()}")
            for name in ("email", "first_name", "last_name")
        }
        same = User.objects.filter(email=fields["email"], is_superuser=True)
        exists = f"There is a superuser {fields['email']} already. Nothing was changed."
        if same.exists():
            return exists
        try:
            # Django's command does so only if it asks for the password.
            validate_password(env.get("DJANGO_SUPERUSER_PASSWORD"), User(**fields))
        except ValidationError as error:
            raise CommandError(f"The password: {' '.join(error.messages)}") from error
        try:
            return super().handle(*args, **options)
        except (CommandError, IntegrityError):
            # Another machine that starts may have created it meanwhile.
            if same.exists():
                return exists
            raise
