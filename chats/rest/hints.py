"""What to use instead of a query parameter that there is not.

The tables map each hint to the names that other APIs use. Case and punctuation do not matter:
`per_page` also matches `perPage`, `per-page` and `per[page]`.
"""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

TYPO_MAX_LETTERS = 2
# A URL can have a name of thousands.
WORDS_MAX = 10
# Words at the end of a name that do not change what to use.
LAST_WORDS = """
    contains email exact first full icontains id ids iexact in istartswith last name pk search
    startswith user username
    """
# Words in the names of parameters for times.
ENDS = {
    "after": "after from ge greater gt gte min newer oldest since start starting",
    "before": "before end ending latest le less lt lte max older to until",
}
MOMENT = "at created date datetime day days id range than time timestamp today"


def simplify(name):
    return re.sub("[^a-z0-9]", "", name.lower())


def by_name(table):
    return {simplify(name): hint for hint, names in table.items() for name in names.split()}


def is_typo(name, known):
    """Whether they differ in two letters at most, and not in the first one."""
    name, known = simplify(name), simplify(known)
    if name[:1] != known[:1] or abs(len(name) - len(known)) > TYPO_MAX_LETTERS:
        return False
    changes = SequenceMatcher(None, name, known).get_opcodes()
    letters = sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in changes if tag != "equal")
    return letters <= TYPO_MAX_LETTERS


class ParameterHints(NamedTuple):
    names: dict[str, str]
    # The time by which the list can be filtered, and the words that mean it.
    moment: str | None = None
    moment_words: str = ""


def get_parameter_hint(name, known, hints):
    """What to use instead of a parameter that is not among the `known` ones of the list."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+", name)[:WORDS_MAX]
    words = [word.lower() for word in words]
    while words:
        if hint := hints.names.get("".join(words)) or get_moment_hint(set(words), hints):
            return hint
        if words.pop() not in LAST_WORDS.split():
            break
    for parameter in known:
        if is_typo(name, parameter):
            return f"use “{parameter}”"
    return f"this list has {', '.join(f'“{parameter}”' for parameter in sorted(known))}"


def get_moment_hint(words, hints):
    """For names such as `created_at__gte`, `sentBefore`, `since_id` and `date`."""
    known = " ".join([hints.moment_words, *ENDS.values()])
    if not hints.moment or not words.issubset(known.split()):
        return None
    ends = [end for end in ENDS if words.intersection(ENDS[end].split())] or ENDS
    names = " and ".join(f"“{hints.moment}_{end}”" for end in ends)
    return f"use {names} with a `{hints.moment}` (exclusive)"


FIND_USER = "GET /api/users/?email= finds a user_id, ?search= by name"
FIND_CONVERSATION = "GET /api/conversations/?search= finds a conversation_id"

PAGES = {
    "follow the “next” link of the response": """
        after_cursor last_id marker next next_cursor next_page offset page page_number page_token
        skip start_index
        """,
    "use “page_size”": """
        count first items_per_page last limit max_results per_page results rows size take top
        """,
    "leave it out, responses are always JSON": "format",
}
ORDER = "asc desc dir direction order order_by ordering reverse sort sort_by sort_order sorting"
UPDATED_AFTER = " ".join(
    f"{changed}_{after}"
    for changed in ("changed", "edited", "modified", "updated", "modified_at", "updated_at")
    for after in ("after", "from", "gt", "gte", "min", "since")
)
MESSAGE_NAMES = by_name(
    PAGES
    | {
        "use “search”": """
            body content contents keyword keywords message message_body phrase q query search_term
            term text
            """,
        f"use “sender” with a user_id, {FIND_USER}": """
            author created_by display_name email first_name from_email from_id from_user full_name
            last_name name nickname sender user user_name users
            """,
        "use “sender” for a person, or “sent_at_after” for a time": "from",
        f"use “conversation” with a conversation_id, {FIND_CONVERSATION}": """
            channel chat conversation conversation_title dialog group room subject thread title
            topic
            """,
        "use “conversation”, GET /api/conversations/?participants= finds those with a person": """
            contact conversation_participants member members participant participants receiver
            recipient recipients to_user with with_user
            """,
        "use “sent_at_before” for a time, or “conversation” for a person's messages": "to",
        "use “ordering=sent_at” (oldest first) or “ordering=-sent_at” (newest first)": ORDER,
        "“sent_at_after” with the conversation's `read_at` lists the unread messages": """
            has_unread is_read is_unread read seen unread unread_only
            """,
        "use “sent_at_after” with a date and time": "last_days last_n_days",
        "use GET /api/messages/{id}/": "id ids message_id message_ids pk",
        "only the list of one conversation has it, /api/conversations/{id}/messages/": (
            UPDATED_AFTER
        ),
    }
)
CONVERSATION_MESSAGE_NAMES = MESSAGE_NAMES | by_name(
    {"use “updated_at_after” with “ordering=updated_at”": UPDATED_AFTER}
)
CONVERSATION_NAMES = by_name(
    PAGES
    | {
        "use “search”": """
            conversation_name conversation_title display_name first_name full_name group_name
            keyword last_name name nickname participants_first_name participants_last_name phrase q
            query room_name search_term subject term text title topic
            """,
        f"use “participants” with a user_id, {FIND_USER}": """
            author contact contacts email member members participant participants people person
            recipient recipients sender user user_name users with with_user
            """,
        "use GET /api/messages/?search=": "body content message message_body messages",
        "use GET /api/messages/{id}/": "message_id message_ids",
        "leave it out, the latest activity comes first": ORDER,
        "see `unread_count` in the response": """
            has_unread is_read is_unread read unread unread_count unread_only
            """,
        "use GET /api/conversations/{id}/": "conversation id ids pk",
        "use “created_at_after” with a date and time": "last_days last_n_days",
    }
)
USER_NAMES = by_name(
    PAGES
    | {
        "use “search”": """
            contains display_name first_name full_name keyword last_name name nickname q query
            search_term term text
            """,
        "use “email”": "email email_address mail user_email",
        "use “email” for an address, or “search” for a name": "login user user_name",
        "leave it out, users are ordered by `user_id`": ORDER,
        "use GET /api/users/{id}/": "id ids pk user_id user_ids",
        "see `participants` of GET /api/conversations/{id}/": """
            conversation participant participants
            """,
    }
)
MESSAGES = ParameterHints(MESSAGE_NAMES, "sent_at", f"{MOMENT} message sent")
CONVERSATION_MESSAGES = MESSAGES._replace(names=CONVERSATION_MESSAGE_NAMES)
CONVERSATIONS = ParameterHints(CONVERSATION_NAMES, "created_at", f"{MOMENT} started")
USERS = ParameterHints(USER_NAMES)
BLOCKED_USERS = ParameterHints(
    by_name(PAGES | {"leave it out, users are ordered by `user_id`": ORDER})
)
