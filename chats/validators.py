from unicodedata import category

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

# U+200C and U+200D are part of how some scripts and emoji are written.
WITHOUT_JOINERS = dict.fromkeys([0x200C, 0x200D])
# Control, line separator, paragraph separator and format characters.
REFUSED_CATEGORIES = {"Cc", "Zl", "Zp", "Cf"}
# Letters, numbers, punctuation and symbols can be seen, except for these fillers.
VISIBLE_CATEGORIES = "LNPS"
FILLERS = "\u115f\u1160\u3164\uffa0\u2800"

validate_phone_number = RegexValidator(
    r"\A\+[1-9][0-9]{1,14}\Z",
    "Write the number as E.164 has it: +, country code and number, "
    "15 digits at most, nothing between them, such as +14155552671.",
)


def validate_one_line(text: str) -> None:
    """For names and titles, which are shown on one line."""
    characters = text.translate(WITHOUT_JOINERS)
    categories = [category(character) for character in characters if character not in FILLERS]
    is_visible = any(name[0] in VISIBLE_CATEGORIES for name in categories)
    if not is_visible or not REFUSED_CATEGORIES.isdisjoint(categories):
        raise ValidationError("Enter one line of text, without control or invisible characters.")


def validate_plain_address(email: str) -> None:
    """Refuses addresses that Django accepts but mail programs show differently: a local part with
    quotes or non-ASCII letters, and a domain that IDNA encoding changes."""
    local_part, _, domain = email.rpartition("@")
    domain = domain.lower()
    if not local_part.isascii():
        raise ValidationError("The part before the @ must contain only ASCII characters.")
    if '"' in local_part:
        raise ValidationError("The part before the @ must not contain quotation marks.")
    try:
        is_plain = domain.encode("idna").decode("idna") == domain
    except UnicodeError:
        is_plain = False
    if not is_plain:
        raise ValidationError("Enter a domain without invisible or full-width characters.")
