"""`manage.py seed_demo`: the demo data, and the output of the command."""

from io import StringIO

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.core.management import CommandError, call_command
from django.db import connection

from chats.management.commands.seed_demo import PASSWORD
from chats.models import Conversation, Message, User
from chats.services import erase
from chats.tests.support.paths import messages_path
from chats.tests.support.rows import read_tables

EMAILS = ["alice@example.com", "bob@example.com", "carol@example.com", "staff@example.com"]
TABLES = (User, Conversation, Conversation.participants.through, Message)
NEW_DATABASE = "Use a new database to get all of the demo."


def seed_demo():
    output = StringIO()
    call_command("seed_demo", stdout=output)
    return output.getvalue()


def sign_in(api, email):
    response = api().post("/api/token/", {"email": email, "password": PASSWORD})
    assert response.status_code == 200
    return api(access=response.json()["access"])


@pytest.fixture(autouse=True)
def _debug(settings, db):
    settings.DEBUG = True
    # Argon2 would take half a minute for these tests.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def seeded():
    return seed_demo()


def test_seed_demo_requires_debug(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG=1"):
        seed_demo()
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("email", "expected"),
    [
        ("alice@example.com", [("Saturday", 2), ("", 0), ("Counting to 150", 0)]),
        ("bob@example.com", [("Saturday", 0), ("", 0)]),
        ("carol@example.com", [("Saturday", 0), ("Counting to 150", 0)]),
    ],
)
def test_only_alice_has_unread_messages(seeded, api, email, expected):
    rows = sign_in(api, email).get("/api/conversations/").json()["results"]
    assert [(row["title"], row["unread_count"]) for row in rows] == expected


def test_one_conversation_has_several_pages(seeded, api):
    client = sign_in(api, "alice@example.com")
    conversation = Conversation.objects.get(title="Counting to 150")
    url, bodies, pages = messages_path(conversation), [], 0
    while url:
        page = client.get(url).json()
        bodies += [row["message_body"] for row in page["results"]]
        url, pages = page["next"], pages + 1
    assert bodies == [str(number) for number in range(150, 0, -1)]
    assert pages == 8


def test_demo_staff_sign_in_to_the_admin(seeded, client):
    body = {"username": "staff@example.com", "password": PASSWORD}
    assert client.post("/admin/login/?next=/admin/", body).status_code == 302
    assert client.get("/admin/chats/message/").status_code == 200


def test_output_names_people_password_and_urls(seeded):
    assert f"Demo people: {', '.join(EMAILS)}. Their password is {PASSWORD}\n" in seeded
    assert "The demo client is at http://127.0.0.1:8000/\n" in seeded
    assert "http://127.0.0.1:8000/api/docs/" in seeded
    assert "http://127.0.0.1:8000/admin/: sign in as staff@example.com" in seeded
    assert NEW_DATABASE not in seeded


def test_output_has_the_port_of_the_settings(settings):
    settings.PORT = 8123
    said = seed_demo()
    assert said.count("http://127.0.0.1:8123/") == 6
    assert "8000" not in said


class TestSecondRun:
    def test_prints_the_same_and_creates_nothing(self, seeded):
        before = read_tables(*TABLES)
        assert seed_demo() == seeded
        assert read_tables(*TABLES) == before

    def test_does_not_name_other_users(self, seeded, make_user):
        make_user("Mallory")
        assert "mallory" not in seed_demo()

    @pytest.mark.parametrize("email", ["alice@example.com", "staff@example.com"])
    @pytest.mark.parametrize(
        "columns",
        [
            {"password": make_password("another long password")},
            {"first_name": "Other"},
            {"is_active": False},
        ],
        ids=["password", "name", "inactive"],
    )
    def test_does_not_offer_changed_accounts(self, seeded, email, columns):
        User.objects.filter(email=email).update(**columns)
        self.check(email, f"{email} has another name, password or rights, or is inactive.")

    @pytest.mark.parametrize("email", ["alice@example.com", "staff@example.com"])
    def test_does_not_offer_erased_accounts(self, seeded, email):
        erase(User.objects.get(email=email))
        self.check(email, f"There is no {email}.")

    def check(self, email, sentence):
        before = read_tables(*TABLES)
        said = seed_demo()
        rest = ", ".join(other for other in EMAILS if other != email)
        assert f"Demo people: {rest}. Their" in said
        assert sentence in said
        assert NEW_DATABASE in said
        assert ("Sign in as Alice" in said) == (email != "alice@example.com")
        assert ("sign in as staff@example.com" in said) == (email != "staff@example.com")
        assert read_tables(*TABLES) == before

    def test_does_not_offer_dismissed_staff(self, seeded):
        User.objects.filter(email="staff@example.com").update(is_staff=False, is_superuser=False)
        assert "sign in as staff@example.com" not in seed_demo()


def test_nothing_is_created_if_an_address_is_taken(make_user):
    make_user("Bob")
    before = read_tables(*TABLES)
    said = seed_demo()
    assert "bob@example.com has another name, password or rights, or is inactive." in said
    assert "Demo people" not in said
    assert PASSWORD not in said
    assert "There is no alice@example.com." in said
    assert read_tables(*TABLES) == before


@pytest.mark.django_db(transaction=True)
def test_demo_passwords_are_hashed_before_the_transaction(before_each):
    """So that other writers need not wait for it."""
    seen = []
    before_each(MD5PasswordHasher, "encode", lambda: seen.append(connection.in_atomic_block))
    seed_demo()
    assert seen[:4] == [False] * 4
    assert True not in seen
