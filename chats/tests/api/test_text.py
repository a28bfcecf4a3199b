"""Text of people: what is removed, what is refused and by which name, and what is accepted."""

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from chats.models import Conversation, Message, User
from chats.services import start
from chats.tests.conftest import NEWCOMER, PASSWORD
from chats.tests.support.expected import NOT_VISIBLE, one_line

SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
DIRECTION_MARKS = [
    *("\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u061c"),
    *("\u2066", "\u2067", "\u2068", "\u2069", "\u00ad"),
]
ACCEPTED = [
    *("Zoë", "Nguyễn Ánh", "O’Neill-Ó", "محمد", "می\u200cخواهم", "李明", "👩\u200d🚀", "Anne 2nd"),
    *(
        SCOTLAND,
        SCOTLAND.replace("\U000e0073\U000e0063\U000e0074", "\U000e0077\U000e006c\U000e0073"),
    ),
    f"Ann {SCOTLAND} of Skye",
    "🏴\u200d☠\ufe0f",
    # Khmer, Thai, Lao and Burmese, with zero width spaces between words.
    *("សួស្តី\u200bពិភពលោក", "สวัสดี\u200bชาวโลก", "ສະບາຍດີ\u200bຊາວໂລກ", "မင်္ဂလာပါ\u200bကမ္ဘာ"),
    # Tibetan, Javanese, Balinese, Batak and Cham.
    *("བོད་\u200bཡིག", "ꦱꦸꦒꦼꦁ\u200bꦫꦮꦸꦃ", "ᬒᬁ\u200bᬲ᭄ᬯ", "ᯂᯒ\u200bᯅᯖ", "ꨌꩌ\u200bꨀꨇ"),
    # Mongolian, with a vowel separator; an ideographic variant.
    *("ᠠᠭᠤᠯ\u180eᠠ", "葛\U000e0100城"),
    # Format characters that can be seen.
    *(f"{character}1" for character in "\u0600\u0605\u06dd\u070f\u0890\u08e2\U000110bd\U000110cd"),
    # Hieroglyphs side by side, private use, a character of a later Unicode, and blank ones beside
    # others.
    *("𓀀\U00013430𓀁", "\uf8ff", "\U0001fae9", "⠁\u2800⠃", "가\u3164", "\u0301"),
]
REFUSED = {
    "Dora\nYou have won": "U+000A (a control character)",
    "Dora\rYou": "U+000D (a control character)",
    "Dora\tYou": "U+0009 (a control character)",
    "Do\x85ra": "U+0085 (a control character)",
    "Dora\u2028You": "U+2028 LINE SEPARATOR",
    "Dora\u2029You": "U+2029 PARAGRAPH SEPARATOR",
    "Do\u200bra": "U+200B ZERO WIDTH SPACE",
    "a\u180eb": "U+180E MONGOLIAN VOWEL SEPARATOR",
    "\ufeffDora": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "Do\u2060ra": "U+2060 WORD JOINER",
    "Do\u206ara": "U+206A INHIBIT SYMMETRIC SWAPPING",
    "Do\ufff9ra": "U+FFF9 INTERLINEAR ANNOTATION ANCHOR",
    # Tags that are no flag: without one, without an end, of a wrong length, after a flag.
    "a" + SCOTLAND[1:]: "U+E0067 TAG LATIN SMALL LETTER G",
    SCOTLAND[:-1]: "U+E0067 TAG LATIN SMALL LETTER G",
    SCOTLAND[:3] + SCOTLAND[-1]: "U+E0067 TAG LATIN SMALL LETTER G",
    SCOTLAND[:-1] + SCOTLAND[1:]: "U+E0067 TAG LATIN SMALL LETTER G",
    SCOTLAND + "\U000e0041": "U+E0041 TAG LATIN CAPITAL LETTER A",
    "a\U000e0001": "U+E0001 LANGUAGE TAG",
    "a\U000e0fff": "U+E0FFF (an unnamed character)",
}
BLANK = [
    "\u200d",
    "\u200d \u200d",
    "\u3164",
    "\u115f\u1160",
    "\u2800",
    "\ufe0f",
    "\u034f",
    "\u17b4",
]
BLANK_MESSAGES = [
    *BLANK,
    "\U00013441\U00013442",
    *("\u200b", "\u2060", "\ufeff", "\u00ad", "\u200e\n\u202e \u2066", SCOTLAND[1:], "\U0001d173"),
    *("\u180e", "\u180b", "\ufff9", "\uffa0", "\U000e0100", "\u3000\u200b\t"),
]
VISIBLE_MESSAGES = [
    *(
        ".",
        "👍🏽",
        "❤\ufe0f",
        SCOTLAND,
        "\u0600",
        "\u0301",
        "\uf8ff",
        "\U0001fae9",
        "\u200bx\u200b",
    ),
    *(" \u00ada", "\u0001"),
]


@pytest.fixture(params=["first_name", "last_name"])
def register(request, api, db):
    """`register(name)`: the response, in which this field has the name."""

    def register(name):
        return api().post("/api/users/", NEWCOMER | {request.param: name})

    register.field = request.param
    return register


class TestNames:
    @pytest.mark.parametrize("name", ACCEPTED, ids=ascii)
    def test_are_accepted_in_all_scripts(self, register, name):
        response = register(name)
        assert response.status_code == 201, response.json()
        assert response.json()[register.field] == name
        assert getattr(User.objects.get(), register.field) == name

    @pytest.mark.parametrize("mark", DIRECTION_MARKS, ids=ascii)
    def test_lose_direction_marks_and_soft_hyphens(self, register, mark):
        response = register(f"{mark} Do{mark}{mark}ra{mark}")
        assert (response.status_code, response.json()[register.field]) == (201, "Dora")

    @pytest.mark.parametrize(
        ("name", "stored"),
        [
            ("\u200bสวัสดี\u200b\u200b", "สวัสดี"),
            ("สวัสดี\u200b \u200bชาวโลก", "สวัสดี ชาวโลก"),
            ("Ann\u200bสวัสดี\u200b", "Annสวัสดี"),
            ("བོད་ཡིག་\u200b", "བོད་ཡིག་"),
        ],
        ids=ascii,
    )
    def test_lose_zero_width_spaces_around_words_of_such_scripts(self, register, name, stored):
        """Keyboards insert them after a word."""
        response = register(name)
        assert (response.status_code, response.json()[register.field]) == (201, stored)

    def test_are_as_long_as_they_are_without_marks(self, register):
        assert register("\u2068" + "x" * 150 + "\u2069").status_code == 201

    @pytest.mark.parametrize(("name", "character"), REFUSED.items(), ids=ascii)
    def test_error_names_the_character(self, register, name, character):
        response = register(name)
        assert (response.status_code, response.json()) == (
            400,
            {register.field: [one_line(character)]},
        )
        assert not User.objects.exists()

    @pytest.mark.parametrize("name", [*BLANK, *DIRECTION_MARKS], ids=ascii)
    def test_that_show_nothing_are_refused(self, register, name):
        response = register(name)
        assert (response.status_code, response.json()) == (400, {register.field: [NOT_VISIBLE]})

    def test_are_the_same_in_a_change(self, api, alice):
        client = api(alice)
        response = client.patch("/api/users/me/", {"first_name": "\u2068Alicia\u2069"})
        assert (response.status_code, response.json()["first_name"]) == (200, "Alicia")
        response = client.patch("/api/users/me/", {"first_name": "Ali\u2060ce"})
        assert response.json() == {"first_name": [one_line("U+2060 WORD JOINER")]}

    def test_are_found_without_marks(self, api, alice, bob, conversation):
        for path in ("/api/users/", "/api/conversations/"):
            results = api(alice).get(path, {"search": "\u2068Bo\u200eb\u2069"}).json()["results"]
            assert len(results) == 1
            response = api(alice).get(path, {"search": "\u200e"})
            assert (response.status_code, list(response.json())) == (400, ["search"])


class TestTitles:
    @pytest.fixture(params=["post", "patch"])
    def give(self, request, api, alice, bob, conversation):
        def give(title):
            if request.param == "patch":
                return api(alice).patch(f"/api/conversations/{conversation.pk}/", {"title": title})
            body = {"participants": [str(bob.pk)], "title": title}
            return api(alice).post("/api/conversations/", body)

        return give

    @pytest.mark.parametrize("title", [SCOTLAND, "สวัสดี\u200bชาวโลก", "\u0600", ""], ids=ascii)
    def test_are_accepted(self, give, title):
        assert give(title).json()["title"] == title

    def test_lose_direction_marks(self, give):
        assert give("\u2067Holiday\u2069 \u200f").json()["title"] == "Holiday"
        assert give("\u200f").json()["title"] == ""

    def test_error_names_the_character(self, give):
        response = give("a\u200bb")
        assert (response.status_code, response.json()) == (
            400,
            {"title": [one_line("U+200B ZERO WIDTH SPACE")]},
        )
        assert give("\u3164").json() == {"title": [NOT_VISIBLE]}


class TestPhoneNumbers:
    @pytest.mark.parametrize(
        "phone_number",
        [
            "+1 415 555 2671",
            "+1 (415) 555-2671",
            "+1.415.555.2671",
            "+1\u00a0415\u2011555\u20132671",
            "\u202a+14155552671\u202c",
            "+1415\u200b555\u00ad2671\ufeff\u2060",
            " +1415\t5552671\n",
        ],
        ids=ascii,
    )
    def test_lose_separators_and_invisible_characters(self, api, db, alice, phone_number):
        response = api().post("/api/users/", NEWCOMER | {"phone_number": phone_number})
        assert (response.status_code, response.json()["phone_number"]) == (201, "+14155552671")
        response = api(alice).patch("/api/users/me/", {"phone_number": phone_number})
        assert (response.status_code, response.json()["phone_number"]) == (200, "+14155552671")

    @pytest.mark.parametrize("phone_number", ["", " ", "\u200b", "\u202a \u202c"], ids=ascii)
    def test_can_be_empty(self, api, alice, phone_number):
        response = api(alice).patch("/api/users/me/", {"phone_number": phone_number})
        assert (response.status_code, response.json()["phone_number"]) == (200, "")

    @pytest.mark.parametrize(
        ("phone_number", "ending"),
        [
            ("+1415555x", ", without U+0078 LATIN SMALL LETTER X."),
            ("+٤٥٦٧٨٩", ", without U+0664 ARABIC-INDIC DIGIT FOUR."),
            ("\uff0b14155552671", ", without U+FF0B FULLWIDTH PLUS SIGN."),
            ("+1415/555", ", without U+002F SOLIDUS."),
            *(
                (number, ", without the 0 that is not dialled from abroad.")
                for number in ("+44 (0)20 7946 0123", "+44 ( 0\u200b )20 794", "+44 (020) 7946")
            ),
            *(
                (number, ".")
                for number in ("12345", "+0123456789", "+1", "--", "+", "1+4155552671")
            ),
        ],
    )
    def test_error_names_what_is_wrong(self, api, alice, phone_number, ending):
        response = api(alice).patch("/api/users/me/", {"phone_number": phone_number})
        assert response.status_code == 400
        [error] = response.json()["phone_number"]
        assert error.startswith("Write the number as E.164 has it: ")
        assert error.endswith(f"such as +14155552671{ending}")


class TestAddresses:
    @pytest.mark.parametrize(
        "email",
        ["\u200ex@example.com", "\ufeff x@example.com", "x@ex\u202eample\u200b.com\u2069"],
        ids=ascii,
    )
    def test_pasted_characters_are_removed(self, api, db, email):
        response = api().post("/api/users/", NEWCOMER | {"email": email})
        assert (response.status_code, response.json()["email"]) == (201, "x@example.com")
        credentials = {"email": email, "password": NEWCOMER["password"]}
        assert api().post("/api/token/", credentials).status_code == 200

    @pytest.mark.parametrize(
        ("email", "stored"),
        [
            ("Ann@Straße.example", "ann@straße.example"),
            ("ann@xn--strae-oqa.example", "ann@straße.example"),
            ("ann@strasse.example", "ann@strasse.example"),
            ("ann@βόλος.example", "ann@βόλος.example"),
            ("ann@XN--BCHER-KVA.example", "ann@bücher.example"),
            ("ann@BU\u0308CHER.example", "ann@bücher.example"),
            ("ann@例え。xn--zckzah", "ann@例え.テスト"),
            ("ann@น้ำ.ไทย", "ann@น้\u0e4dา.ไทย"),
            ("ann@نامه\u200cای.example", "ann@نامه\u200cای.example"),
            ("ann@क्\u200dष.example", "ann@क्\u200dष.example"),
            ("ann@𠮷野家.example", "ann@𠮷野家.example"),
            ("ann@\uff45xample.com", "ann@example.com"),
        ],
        ids=ascii,
    )
    def test_domain_is_accepted_in_every_spelling(self, api, db, email, stored):
        response = api().post("/api/users/", NEWCOMER | {"email": email})
        assert (response.status_code, response.json()["email"]) == (201, stored)
        body = {"email": email, "password": NEWCOMER["password"]}
        assert api().post("/api/token/", body).status_code == 200
        [found] = api(User.objects.get()).get("/api/users/", {"email": email}).json()["results"]
        assert found["first_name"] == "Dora"

    @pytest.mark.parametrize(
        "again",
        ["xn--bcher-kva.example", "BÜCHER.example", "bu\u0308cher.example", "bücher\uff0eexample"],
    )
    def test_mailbox_registers_once(self, api, db, again):
        body = NEWCOMER | {"email": "ann@bücher.example"}
        assert api().post("/api/users/", body).status_code == 201
        response = api().post("/api/users/", body | {"email": f"Ann@{again}"})
        assert (response.status_code, response.json()) == (
            400,
            {"email": ["A user with this e-mail address already exists."]},
        )

    @pytest.mark.parametrize(
        ("email", "error"),
        [
            ("x@\u2028.com", "The domain must not contain U+2028 LINE SEPARATOR."),
            ("x@exam\u200cple.com", "The domain must not contain U+200C ZERO WIDTH NON-JOINER."),
            ("x@\u3164.com", "The domain must not contain U+1160 HANGUL JUNGSEONG FILLER."),
            ("x@ü\x80.com", "The domain must not contain U+0080 (a control character)."),
            *(
                (
                    f"x@{label}.com",
                    "The domain has a part that begins with xn-- and encodes nothing.",
                )
                for label in ("xn--abc-", "xn--99999999", "xn--", "xn--Bcher-KVB")
            ),
            (f"x@{'ü' * 60}.com", "Enter a valid email address."),
            ("x@bücher", "Enter a valid email address."),
            ("x@a℀b.com", "Enter a valid email address."),
            ("x@a b.com", "Enter a valid email address."),
            ("x@😀.com", "The domain must not contain U+1F600 GRINNING FACE."),
            ("x@i❤.com", "The domain must not contain U+2764 HEAVY BLACK HEART."),
            ("x@ü!.com", "Enter a valid email address."),
        ],
        ids=ascii,
    )
    def test_error_names_what_is_wrong(self, api, db, email, error):
        response = api().post("/api/users/", NEWCOMER | {"email": email})
        assert (response.status_code, response.json()) == (400, {"email": [error]})

    @pytest.mark.parametrize(
        "email",
        ["\u0315\u0300" * 250_000, "a@" + "\u0315\u0300" * 250_000],
        ids=["local", "domain"],
    )
    @pytest.mark.timeout(30)
    def test_long_combining_text_is_not_normalized(self, api, alice, email):
        """It would take minutes, in which the process does nothing else."""
        for path, body in [
            ("/api/token/", NEWCOMER | {"email": email}),
            ("/api/users/", NEWCOMER | {"email": email}),
            ("/api/users/reset_password/", {"email": email}),
            ("/api/users/resend_verification/", {"email": email}),
            ("/api/users/set_email/", {"current_password": PASSWORD, "new_email": email}),
        ]:
            response = api(alice).post(path, body)
            assert response.status_code in {400, 401}


class TestMessages:
    @pytest.mark.parametrize("message_body", BLANK_MESSAGES, ids=ascii)
    def test_that_show_nothing_are_refused(self, api, alice, path, message, message_body):
        error = {
            "message_body": ["This field may not be only white space or invisible characters."]
        }
        for method, url in [("post", path), ("patch", f"{path}{message.pk}/")]:
            response = getattr(api(alice), method)(url, {"message_body": message_body})
            assert (response.status_code, response.json()) == (400, error)
        assert [row.message_body for row in Message.objects.all()] == ["Hello, Bob"]

    @pytest.mark.parametrize("message_body", VISIBLE_MESSAGES, ids=ascii)
    def test_that_show_something_are_kept_as_sent(self, api, alice, path, message_body):
        response = api(alice).post(path, {"message_body": message_body})
        assert (response.status_code, response.json()["message_body"]) == (201, message_body)


class TestInTheAdmin:
    def test_a_person_is_cleaned_and_checked(self, staff, alice):
        path = f"/admin/chats/user/{alice.pk}/change/"
        form = {"email": "Alice@xn--bcher-kva.example", "first_name": "\u2068Alice\u2069"}
        form |= {"last_name": "Test", "phone_number": "\u202a+1 (415) 555-2671\u202c"}
        assert staff.post(path, form | {"role": "guest"}).status_code == 302
        alice.refresh_from_db()
        assert (alice.email, alice.first_name, alice.phone_number) == (
            "alice@bücher.example",
            "Alice",
            "+14155552671",
        )
        form |= {
            "first_name": "Ali\u200bce",
            "last_name": "\u3164",
            "phone_number": "+1x",
            "email": "@",
        }
        errors = staff.post(path, form | {"role": "guest"}).context["adminform"].errors
        assert errors["first_name"] == [one_line("U+200B ZERO WIDTH SPACE")]
        assert errors["last_name"] == [NOT_VISIBLE]
        assert "U+0078 LATIN SMALL LETTER X" in str(errors["phone_number"])
        assert errors["email"] == ["Enter a valid email address."]

    def test_a_title_is_cleaned(self, staff, alice, bob):
        body = {"title": "\u2067Holiday\u2069", "participants": [alice.pk, bob.pk]}
        assert staff.post("/admin/chats/conversation/add/", body).status_code == 302
        assert Conversation.objects.get().title == "Holiday"

    def test_sign_in_takes_every_spelling_of_the_address(self, client, db):
        User.objects.create_superuser("root@bücher.example", "tide over the moor")
        body = {"username": "Root@xn--bcher-kva.example", "password": "tide over the moor"}
        assert client.post("/admin/login/?next=/admin/", body).status_code == 302


class TestInCode:
    def test_create_user_cleans_and_checks(self, db):
        user = User.objects.create_user(
            "Ann@xn--bcher-kva.example", first_name="\u200eAnn", phone_number="+1 415-555-2671"
        )
        assert (user.email, user.first_name, user.phone_number) == (
            "ann@bücher.example",
            "Ann",
            "+14155552671",
        )
        with pytest.raises(ValidationError, match=r"U\+200B"):
            User.objects.create_user("ben@example.com", first_name="B\u200ben")

    def test_save_update_and_look_up_clean(self, alice, bob):
        alice.first_name, alice.email = "\u2068Alicia\u2069", "ALICE@xn--bcher-kva.example"
        alice.save()
        User.objects.filter(email="Alice@BÜCHER.example").update(last_name="\u200eArcher")
        conversation, _ = start({bob.pk}, actor=alice, title="\u200eHoliday")
        assert (alice.first_name, alice.email) == ("Alicia", "alice@bücher.example")
        assert User.objects.get_by_natural_key("alice@bücher.example").last_name == "Archer"
        assert Conversation.objects.get(title="Holiday") == conversation

    def test_createsuperuser_cleans_and_checks(self, db, monkeypatch):
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "tide over the moor")
        options = {
            "email": "Root@xn--bcher-kva.example",
            "first_name": "\u200eRuth",
            "last_name": "R",
        }
        call_command("createsuperuser", interactive=False, **options)
        user = User.objects.get()
        assert (user.email, user.first_name) == ("root@bücher.example", "Ruth")
        options |= {"email": "b@example.com", "first_name": "R\u200bu"}
        with pytest.raises(CommandError, match=r"U\+200B"):
            call_command("createsuperuser", interactive=False, **options)

    def test_fields_make_no_migrations(self, db):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
