"""`manage.py import_history`: another program's users, conversations and messages."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from chats.history import importer
from chats.models import Conversation, Message, Participation, User
from chats.services import delete, edit, erase, leave, rename, send
from chats.tests.support.mail import read_mail
from chats.tests.support.paths import conversation_path, messages_path
from chats.tests.support.rows import read_row, read_tables

TABLES = [User, Conversation, Participation, Message]
STEP = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
NINE = datetime(2019, 5, 1, 9, tzinfo=UTC)
ANN = {
    "type": "user",
    "id": "U1",
    "email": "Ann@example.com",
    "first_name": "Ann",
    "last_name": "Adams",
}
BEN = ANN | {"id": "U2", "email": "ben@example.com", "first_name": "Ben"}
HOLIDAY = {
    "type": "conversation",
    "id": "C1",
    "participants": ["U1", "U2"],
    "created_at": "2019-05-01T09:00:00Z",
}
MESSAGE = {
    "type": "message",
    "id": "1",
    "conversation": "C1",
    "sender": "U1",
    "message_body": " Hello\r\n",
    "sent_at": "2019-05-01T11:00:00+02:00",
}
EDIT = {
    "type": "edit",
    "id": "1",
    "conversation": "C1",
    "message_body": "Edited",
    "updated_at": "2019-05-01T10:00:00Z",
}
PEOPLE = [ANN, BEN]


def get_messages(count, start=NINE, **fields):
    """One a minute."""
    return [
        MESSAGE | {"id": f"{start} {n}", "sent_at": (start + n * MINUTE).isoformat()} | fields
        for n in range(count)
    ]


@pytest.fixture
def import_lines(db, tmp_path, capsys):
    """`import_lines(*lines)` returns the errors and the last error of the command."""

    def import_lines(*lines, source="old"):
        file = tmp_path / "history.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_bytes("".join(f"{text}\n" for text in texts).encode("utf-8", "surrogatepass"))
        end = None
        try:
            call_command("import_history", str(file), source=source)
        except CommandError as error:
            end = str(error)
        errors = capsys.readouterr().err
        return errors.splitlines(), end

    return import_lines


def test_the_example_of_the_documentation(import_lines, api):
    page = (settings.BASE_DIR / "docs/operating.md").read_text()
    [example] = re.findall(r'^```json\n(\{"type".*?)```', page, re.DOTALL | re.MULTILINE)
    assert import_lines(*example.splitlines()) == ([], None)
    conversation = Conversation.objects.get()
    half_past = datetime(2019, 5, 1, 7, 30, tzinfo=UTC)
    end = datetime(2019, 5, 2, 9, tzinfo=UTC)
    assert list(
        Message.objects.oldest_first().values_list(
            "sender__first_name", "message_body", "sent_at", "updated_at"
        )
    ) == [
        ("Ben", "", half_past, end),
        ("Ann", "Yes, in May.", half_past + STEP, half_past + timedelta(seconds=72.5)),
    ]
    assert conversation.created_at == half_past - 30 * MINUTE
    # The last edit, and then the participants joined.
    assert conversation.updated_at == end + STEP
    assert {(p.user.first_name, p.read_at) for p in Participation.objects.all()} == {
        ("Ann", end + STEP),
        ("Cleo", end + STEP),
    }
    ann, ben, cleo = User.objects.order_by("first_name")
    assert (ann.is_active, ben.is_active, cleo.role) == (True, False, "guest")
    assert cleo.created_at == datetime(2019, 3, 1, 8, tzinfo=UTC)
    [shown] = api(ann).get("/api/conversations/").json()["results"]
    assert (shown["title"], shown["unread_count"]) == ("Holiday", 0)
    # They go on from there.
    message, _ = send(conversation, "Hello again", actor=ann)
    assert message.sent_at > end


def test_repeated_import_changes_nothing(import_lines):
    lines = [*PEOPLE, HOLIDAY, MESSAGE, MESSAGE | {"id": "2"}, EDIT]
    import_lines(*lines)
    before = read_tables(*TABLES)
    assert import_lines(*lines) == ([], None)
    assert read_tables(*TABLES) == before
    import_lines(*lines, MESSAGE | {"id": "3", "sent_at": EDIT["updated_at"]})
    assert Message.objects.count() == 3


def test_an_interrupted_import_is_continued(import_lines, monkeypatch):
    """With the same rows as one that was not, and without showing half of a conversation."""
    monkeypatch.setattr(importer, "LINES_PER_TRANSACTION", 2)
    others = [HOLIDAY | {"id": "C2"}, *get_messages(2, conversation="C2")]
    same_time = [MESSAGE | {"id": str(n), "sender": "U2"} for n in range(5)]
    lines = [*PEOPLE, HOLIDAY, *same_time, EDIT, *others, EDIT | {"id": "2"}]
    import_lines(*lines)
    tables = [Conversation, Participation, Message]
    columns = [
        ["conversation_id", "created_at", "updated_at"],
        ["conversation_id", "user_id", "read_at"],
        ["message_id", "message_body", "sent_at", "updated_at"],
    ]

    def read():
        return [
            sorted(model.objects.values_list(*names))
            for model, names in zip(tables, columns, strict=True)
        ]

    expected = read()
    write = importer.Importer.write_messages

    def write_until(limit):
        def write_messages(self, lines):
            if Message.objects.count() >= limit:
                raise KeyboardInterrupt
            return write(self, lines)

        return write_messages

    for limit in range(8):
        for model in (Message, Participation, Conversation):
            model._base_manager.all()._raw_delete("default")
        monkeypatch.setattr(importer.Importer, "write_messages", write_until(limit))
        with pytest.raises(KeyboardInterrupt):
            import_lines(*lines)
        assert not Participation.objects.exists()
        monkeypatch.setattr(importer.Importer, "write_messages", write)
        assert import_lines(*lines) == ([], None)
        assert read() == expected


def test_equal_times_are_a_microsecond_apart_in_the_order_of_the_file(import_lines):
    texts = ["first", "second", "third"]
    lines = [MESSAGE | {"id": text, "message_body": text} for text in texts]
    import_lines(*PEOPLE, HOLIDAY, *lines, MESSAGE | {"id": "a", "sent_at": "2019-05-01T09:01Z"})
    messages = list(Message.objects.oldest_first())
    # The conversation was started at the same time.
    assert [message.sent_at for message in messages] == [
        *(NINE + n * STEP for n in (1, 2, 3)),
        NINE + MINUTE,
    ]
    assert [message.message_body for message in messages[:3]] == texts
    assert all(message.updated_at == message.sent_at for message in messages)


LATE = MESSAGE | {"id": "late", "sent_at": "2019-05-02T00:00:00Z"}
REFUSED = {
    "no JSON": ("{", "This is not JSON: "),
    "not UTF-8": ('{"type": "\udc80"}', "This is not JSON: "),
    "no object": ("[1]", "“type” must be one of: user, conversation, message, edit."),
    "no type": ({"id": "1"}, "“type” must be one of: "),
    "type of another type": ({"type": ["user"]}, "“type” must be one of: "),
    "unknown type": ({"type": "chat"}, "“type” must be one of: "),
    "unknown field": (ANN | {"role": "admin"}, "There is no such field here: role."),
    "bad address": (ANN | {"email": "ann"}, "email: Enter a valid email address."),
    "name on two lines": (ANN | {"first_name": "A\nB"}, "first_name: "),
    "bad number": (ANN | {"phone_number": "0123"}, "phone_number: "),
    "number as id": (ANN | {"id": 1}, "id: Not a valid string."),
    "long id": (ANN | {"id": "x" * 256}, "id: "),
    "text as boolean": (ANN | {"is_active": "no"}, "is_active: Must be a valid boolean."),
    "no participants": (HOLIDAY | {"participants": []}, "participants: "),
    "too many participants": (HOLIDAY | {"participants": ["U1"] * 257}, "participants: "),
    "unknown participant": (
        HOLIDAY | {"participants": ["U1", "U9"]},
        "No line before this one has the user “U9”.",
    ),
    "long title": (HOLIDAY | {"title": "x" * 101}, "title: "),
    "unknown sender": (
        MESSAGE | {"sender": "U9"},
        "No line before this one has the user “U9”.",
    ),
    "unknown conversation": (
        MESSAGE | {"conversation": "C9"},
        "No line before this one has the conversation “C9”.",
    ),
    "blank text": (MESSAGE | {"message_body": " \n"}, "message_body: "),
    "long text": (MESSAGE | {"message_body": "x" * 10_001}, "message_body: "),
    "deleted text": (MESSAGE | {"message_body": None}, "message_body: This field may not be null."),
    "NUL": (MESSAGE | {"message_body": "a\0b"}, "message_body: "),
    "no offset": (
        MESSAGE | {"sent_at": "2019-05-01T11:00:00"},
        "sent_at: Write the offset from UTC, as in 2019-05-01T09:30:00+02:00.",
    ),
    "no time": (MESSAGE | {"sent_at": 1556701200}, "sent_at: "),
    "end of the calendar": (MESSAGE | {"sent_at": "0001-01-01T00:00:00+14:00"}, "sent_at: "),
    "future": (MESSAGE | {"sent_at": "2999-01-01T00:00:00Z"}, "sent_at: This is in the future."),
    "earlier than the start": (
        MESSAGE | {"sent_at": "2019-05-01T10:59:59.999999+02:00"},
        "A line before this one has a later time in this conversation.",
    ),
    "second edit": (EDIT, "The message has an edit already: only its last one is imported."),
    "blank edit": (EDIT | {"id": "2", "message_body": ""}, "message_body: "),
}


@pytest.mark.parametrize(("line", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_line_is_named_and_nothing_is_imported(import_lines, line, error):
    before = [*PEOPLE, HOLIDAY, MESSAGE]
    if line == EDIT:
        before.append(EDIT)
    [text], end = import_lines(*before, "", line, LATE)
    assert text.startswith(f"Line {len(before) + 2}: {error}")
    assert end == "Lines to correct: 1. Nothing was imported."
    assert not any(read_tables(*TABLES))


def test_every_wrong_line_is_named(import_lines):
    errors, end = import_lines(ANN, "x", HOLIDAY, MESSAGE | {"sender": "U9"}, LATE)
    assert [text.partition(":")[0] for text in errors] == ["Line 2", "Line 3", "Line 4", "Line 5"]
    assert end == "Lines to correct: 4. Nothing was imported."


def test_users_with_the_same_address_are_not_changed(import_lines, make_user):
    user = make_user("Ann", email="ann@example.com", phone_number="+14155552671")
    before = read_row(user)
    import_lines(*PEOPLE, BEN | {"id": "U3"}, HOLIDAY, MESSAGE, EDIT | {"message_body": None})
    assert User.objects.count() == 2
    assert read_row(user) == before
    assert list(user.conversations.all()) == list(Conversation.objects.all())
    assert Message.objects.get().sender == user


def test_ids_of_another_source_are_other_rows(import_lines):
    lines = [*PEOPLE, HOLIDAY, MESSAGE]
    import_lines(*lines)
    import_lines(*lines, source="other")
    assert [len(rows) for rows in read_tables(*TABLES)] == [2, 2, 4, 2]


def test_message_ids_are_those_of_a_conversation(import_lines):
    import_lines(
        *PEOPLE, HOLIDAY, HOLIDAY | {"id": "C2"}, MESSAGE, MESSAGE | {"conversation": "C2"}
    )
    assert [len(rows) for rows in read_tables(*TABLES)] == [2, 2, 4, 2]


def test_imported_people_set_a_password_by_email(import_lines, api):
    import_lines(*PEOPLE)
    ann = User.objects.get(email="ann@example.com")
    assert ann.password == User.objects.get(email="ben@example.com").password
    api().post("/api/users/reset_password/", {"email": "ann@example.com"})
    assert [message.to for message in read_mail()] == [["ann@example.com"]]


def test_what_people_did_since_stays(import_lines, api):
    lines = [*PEOPLE, HOLIDAY, MESSAGE, MESSAGE | {"id": "2"}]
    import_lines(*lines)
    ann, ben = User.objects.order_by("email")
    conversation = Conversation.objects.get()
    first, second = Message.objects.oldest_first()
    edit(first, "Edited here", actor=ann)
    delete(second, actor=ann)
    rename(conversation, "Renamed here", actor=ann)
    leave(conversation, actor=ben)
    erase(ann)
    before = read_tables(*TABLES)
    assert import_lines(*lines, EDIT, EDIT | {"id": "2"}) == ([], None)
    assert read_tables(*TABLES) == before


def test_an_erased_person_is_not_added(import_lines):
    import_lines(*PEOPLE)
    erase(User.objects.get(email="ann@example.com"))
    import_lines(*PEOPLE, HOLIDAY)
    assert [user.first_name for user in Conversation.objects.get().participants.all()] == ["Ben"]


UNKNOWN = EDIT | {"id": "unknown", "updated_at": "2019-06-01T00:00:00Z"}


def test_edits_of_unknown_messages_are_named_and_nothing_is_imported(import_lines):
    """Also if the message comes later, or is another conversation's."""
    later = MESSAGE | {"id": "unknown", "sent_at": UNKNOWN["updated_at"]}
    others = [HOLIDAY | {"id": "C2"}, EDIT | {"conversation": "C2"}]
    errors, end = import_lines(*PEOPLE, HOLIDAY, MESSAGE, EDIT, UNKNOWN, later, *others)
    error = "No line before this one has this message."
    assert errors == [f"Line 6: {error}", f"Line 9: {error}"]
    assert end == "Lines to correct: 2. Nothing was imported."
    assert not any(read_tables(*TABLES))


def test_edit_of_a_message_that_was_not_imported_is_named(import_lines):
    """Because it is earlier than the last change."""
    import_lines(*PEOPLE, HOLIDAY, *get_messages(3))
    errors, end = import_lines(*PEOPLE, HOLIDAY, MESSAGE, *get_messages(3), EDIT)
    assert errors[1] == "Line 8: The conversation has no message with this id."
    assert end == "Lines that were not imported: 2."


def test_messages_are_added_after_the_last_change_only(import_lines, api):
    lines = [*PEOPLE, HOLIDAY, *get_messages(3)]
    import_lines(*lines)
    conversation = Conversation.objects.get()
    ann = User.objects.get(email="ann@example.com")
    path = f"{messages_path(conversation)}?ordering=updated_at"
    seen = []

    def follow():
        after = seen[-1]["updated_at"] if seen else "2000-01-01T00:00:00Z"
        rows = api(ann).get(f"{path}&updated_at_after={after}").json()["results"]
        seen.extend(rows)
        return [row["message_body"] for row in rows]

    assert len(follow()) == 3
    # The first is as late as the last change, but for a second.
    more = get_messages(3, NINE + 2 * MINUTE, message_body="More")
    assert import_lines(*lines, *more) == ([], None)
    assert follow() == ["More"] * 3
    shown = api(ann).get(conversation_path(conversation)).json()
    assert shown["messages"][0] == seen[-1]
    send(conversation, "Hello", actor=ann)
    assert follow() == ["Hello"]
    before = read_tables(*TABLES)
    late = get_messages(2, NINE + 9 * MINUTE)
    errors, end = import_lines(*lines, *more, *late)
    assert [text.partition(":")[0] for text in errors] == ["Line 10", "Line 11"]
    assert "its participants would miss what is earlier than 20" in errors[0]
    assert end == "Lines that were not imported: 2."
    assert read_tables(*TABLES) == before


def test_a_deleted_conversation_is_started_again(import_lines):
    lines = [*PEOPLE, HOLIDAY, *get_messages(3)]
    import_lines(*lines)
    before = read_tables(Conversation, Message)
    Conversation.objects.all().delete()
    assert import_lines(*lines) == ([], None)
    assert read_tables(Conversation, Message) == before


@pytest.mark.parametrize("source", ["", "a\nb", "ü", "x" * 101])
def test_source_is_one_line(import_lines, source):
    errors, end = import_lines(ANN, source=source)
    assert (errors, end) == ([], "--source has 1 to 100 printable ASCII characters.")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"none\.jsonl: No such file or directory\."):
        call_command("import_history", str(tmp_path / "none.jsonl"), source="old")


def test_people_who_left_do_not_come_back_with_a_later_message(import_lines):
    users = [
        {"type": "user", "id": name, "email": f"{name}@example.com", "first_name": name}
        | {"last_name": name}
        for name in ("ann", "ben")
    ]
    lines = [
        *users,
        {"type": "conversation", "id": "1", "participants": ["ann", "ben"]}
        | {"created_at": "2019-05-01T09:00:00Z"},
    ]
    message = {"type": "message", "conversation": "1", "sender": "ann", "message_body": "Hello"}
    first = message | {"id": "1", "sent_at": "2019-05-01T09:00:01Z"}
    assert import_lines(*lines, first) == ([], None)
    conversation = Conversation.objects.get()
    for user in list(conversation.participants.all()):
        leave(conversation, actor=user)
    for n in range(2):
        later = message | {"id": f"later {n}", "sent_at": timezone.now().isoformat()}
        lines_with_later = [*lines, first, later]
        assert import_lines(*lines_with_later) == ([], None)
        assert not conversation.participants.exists()
    assert conversation.messages.count() == 3


@pytest.mark.parametrize(
    ("change", "errors", "end"),
    [
        ({"type": "user"}, 1, "Lines to correct: 1. Nothing was imported."),
        ({"type": "conversation"}, 1, "Lines to correct: 1. Nothing was imported."),
        ({"type": "message"}, 1, "Lines that were not imported: 1."),
    ],
    ids=["user", "conversation", "message"],
)
def test_second_row_with_the_same_id_is_named(import_lines, change, errors, end):
    rows = {
        "user": {"id": "1", "email": "a@example.com", "first_name": "A", "last_name": "B"},
        "conversation": {"id": "1", "participants": ["1"], "created_at": "2019-05-01T09:00:00Z"},
        "message": {"id": "1", "conversation": "1", "sender": "1", "message_body": "Hello"}
        | {"sent_at": "2019-05-01T09:00:00Z"},
    }
    lines = [{"type": kind} | row for kind, row in rows.items()]
    other = rows[change["type"]] | change
    if "sent_at" in other:
        other["sent_at"] = "2019-05-02T09:00:00Z"
    found, last = import_lines(*lines, other)
    assert (len(found), last) == (errors, end)
