from django.contrib.auth import hashers


class Argon2PasswordHasher(hashers.Argon2PasswordHasher):
    """One of the equally strong settings of OWASP's password storage cheat sheet (m=19456, t=2,
    p=1): Django's take 100 MiB, as often as there are threads that sign somebody in."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
