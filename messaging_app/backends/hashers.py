from django.contrib.auth import hashers


class Argon2PasswordHasher(hashers.Argon2PasswordHasher):
    """With settings of OWASP's password storage cheat sheet (m=19456, t=2, p=1), which are as
    strong as Django's. Those take 100 MiB in every thread that signs somebody in."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
