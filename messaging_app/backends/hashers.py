from django.contrib.auth import hashers

from chats.passwords import get_password_forms


class Argon2PasswordHasher(hashers.Argon2PasswordHasher):
    """With the settings of OWASP's password storage cheat sheet (m=19456, t=2, p=1), as strong as
    Django's defaults, which take 100 MiB in every thread that checks a password."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return super().encode(get_password_forms(password)[0], salt)
