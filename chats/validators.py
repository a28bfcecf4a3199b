"""Text of people: names, titles, messages, phone numbers and e-mail addresses.

A clean or normalize function changes text that means the same. A validate function raises
ValidationError for the rest, and names the character.
"""

import re
from unicodedata import bidirectional, category, combining, name, normalize

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

# Direction marks, embeddings and isolates, and soft hyphens: keyboards and copying insert them.
DIRECTION_MARKS = re.compile("[\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# And those that come with text from a page or a document.
PASTED = re.compile(f"{DIRECTION_MARKS.pattern}|[\u200b\u2060\ufeff]")
# Unicode's Default_Ignorable_Code_Point, annotation marks, and symbols that are blank.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013441\U00013442\U0001bca0-\U0001bca3"
    "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Those without joiners, fillers and variation selectors, which scripts and emoji need; and control
# characters, line and paragraph separators and surrogates.
REFUSED_IN_A_LINE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u180e\u200b\u2028\u2029\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
# Scripts without spaces between words: Unicode's line breaking class SA (Thai, Lao, Myanmar, Khmer,
# Tai Le, New Tai Lue, Tai Tham, Tai Viet and Ahom), its classes AK and AS, which are broken between
# syllables (Balinese, Batak, Javanese and Cham), and Tibetan.
WITHOUT_SPACES = (
    "\u0e00-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\u1b00-\u1b7f\u1bc0-\u1bff\ua980-\uaadf"
    "\U00011700-\U0001174f"
)
# Beside a letter of these scripts, but not between two of them.
SPACES_AROUND_WORDS = re.compile(
    f"(?<=[{WITHOUT_SPACES}])\u200b+(?![\u200b{WITHOUT_SPACES}])"
    f"|(?<![\u200b{WITHOUT_SPACES}])\u200b+(?=[{WITHOUT_SPACES}])"
)
MONGOLIAN = "\u1820-\u18aa"
NEEDED_IN_A_LINE = re.compile(
    # Zero width spaces between words, and the vowel separator.
    f"(?<=[{WITHOUT_SPACES}])\u200b+(?=[{WITHOUT_SPACES}])"
    f"|(?<=[{MONGOLIAN}])\u180e(?=[{MONGOLIAN}])"
    # The flag of a part of a country, such as gbsct: UTS 51, ED-14a.
    "|\U0001f3f4(?:[\U000e0061-\U000e007a]{2}|[\U000e0030-\U000e0039]{3})"
    "[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,4}\U000e007f"
)

# The separators of RFC 3966, any dash, white space and invisible characters.
PHONE_NUMBER_SEPARATORS = re.compile(rf"[-.()\s{INVISIBLE}\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
PHONE_NUMBER = (
    "Write the number as E.164 has it: +, country code and number, 15 digits at most, "
    "such as +14155552671"
)

# A longer one is not normalized: it takes a time that is quadratic in the length.
EMAIL_MAX_CHARACTERS = 254
JOINERS = "\u200c\u200d"
# The canonical combining class.
VIRAMA = 9


def describe(character: str) -> str:
    kinds = {"Cc": "(a control character)", "Cs": "(a surrogate)"}
    description = name(character, "") or kinds.get(category(character), "(an unnamed character)")
    return f"U+{ord(character):04X} {description}"


def is_blank(text: str) -> bool:
    """Whether the text shows nothing."""
    return not re.sub(f"[{INVISIBLE}]", "", text).strip()


def remove_direction_marks(text: str) -> str:
    return DIRECTION_MARKS.sub("", text)


def clean_line(text: str) -> str:
    """For names and titles."""
    return SPACES_AROUND_WORDS.sub("", remove_direction_marks(text)).strip()


def validate_one_line(text: str) -> None:
    """For names and titles, which are shown on one line."""
    if found := REFUSED_IN_A_LINE.search(NEEDED_IN_A_LINE.sub("", text)):
        raise ValidationError(
            "Enter one line of text, without control or invisible characters: remove "
            f"{describe(found[0])}."
        )
    if is_blank(text):
        raise ValidationError("Enter at least one character that can be seen.")


def clean_phone_number(text: str) -> str:
    """Without separators. A 0 in parentheses, of a national number, stays to be refused."""
    if is_blank(text):
        return ""
    visible = re.sub(rf"[\s{INVISIBLE}]", "", text)
    return visible if "(0" in visible else PHONE_NUMBER_SEPARATORS.sub("", visible) or text


def validate_phone_number(phone_number: str) -> None:
    if re.fullmatch(r"(\+[1-9][0-9]{1,14})?", phone_number):
        return
    if found := re.search(r"[^0-9+\s().-]", phone_number):
        raise ValidationError(f"{PHONE_NUMBER}, without {describe(found[0])}.")
    if "(0" in phone_number:
        raise ValidationError(f"{PHONE_NUMBER}, without the 0 that is not dialled from abroad.")
    raise ValidationError(f"{PHONE_NUMBER}.")


def normalize_email(email: str) -> str:
    """One spelling for each mailbox: lower case, a domain in Unicode, nothing invisible around it.

    The domain is mapped as UTS 46 does: width and case do not matter, ß and ς stay, and
    `xn--bcher-kva` is `bücher`. Text that is no address is in lower case, too.
    """
    local_part, at, domain = PASTED.sub("", email).strip().rpartition("@")
    if local_part.isascii():
        # Otherwise it is refused, but lower() would make an ASCII “k” of the Kelvin sign.
        local_part = local_part.lower()
    domain = domain.lower()
    if len(domain) <= EMAIL_MAX_CHARACTERS:
        domain = normalize("NFKC", domain).lower().replace("\u3002", ".")
        domain = ".".join(map(decode_label, domain.split(".")))
    return local_part + at + domain


def decode_label(label: str) -> str:
    """A label that does not encode a normalized one is returned as it is."""
    try:
        decoded = label.removeprefix("xn--").encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    is_normalized = decoded == normalize("NFKC", decoded).lower()
    return decoded if is_normalized and encode_label(decoded) == label else label


def encode_label(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def to_ascii(email: str) -> str:
    """The address for mail programs. Python's own encoding turns ß into ss, another domain."""
    local_part, at, domain = email.rpartition("@")
    return local_part + at + ".".join(map(encode_label, domain.split(".")))


def validate_plain_address(email: str) -> None:
    """Refuses addresses that Django accepts but mail programs show differently.

    Fields refuse longer ones: encoding a domain takes a time that is quadratic in the length.
    """
    if len(email) > EMAIL_MAX_CHARACTERS:
        return
    email = normalize_email(email)
    local_part, _, domain = email.rpartition("@")
    if not local_part.isascii():
        raise ValidationError("The part before the @ must contain only ASCII characters.")
    if '"' in local_part:
        raise ValidationError("The part before the @ must not contain quotation marks.")
    for position, character in enumerate(domain):
        if not (is_in_domains(character) or is_joined(domain, position)):
            raise ValidationError(f"The domain must not contain {describe(character)}.")
    if any(label.startswith("xn--") for label in domain.split(".")):
        raise ValidationError("The domain has a part that begins with xn-- and encodes nothing.")
    validate_email(to_ascii(email))


def is_in_domains(character: str) -> bool:
    """Letters, marks and digits can be seen in domains (RFC 5892), and what Unicode adds later."""
    if character.isascii():
        return True
    is_letter = category(character) in {"Ll", "Lo", "Lm", "Mn", "Mc", "Nd", "Cn"}
    return character in "\u00b7\u0375\u05f3\u05f4\u06fd\u06fe\u0f0b\u30fb" or (
        is_letter and not is_blank(character)
    )


def is_joined(domain: str, position: int) -> bool:
    """Whether this is a joiner that can be seen: after a virama, or between Arabic letters (RFC
    5892, appendix A)."""
    before, after = domain[:position][-1:], domain[position + 1 :][:1]
    if domain[position] not in JOINERS or not before or not after:
        return False
    return combining(before) == VIRAMA or bidirectional(before) == bidirectional(after) == "AL"
