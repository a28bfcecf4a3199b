"""`dumpdata` and `loaddata` keep every column of every row."""

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import connection
from rest_framework_simplejwt.tokens import RefreshToken

from chats.models import Message, Participation, User
from chats.safety.models import Block, Report
from chats.services import delete, edit, rename, send
from chats.tests.support.rows import read_tables

MADE_BY_MIGRATE = {ContentType, Permission}
TEXTS = [
    " \n lead and trail \t\r\n",
    "a\rb\x85c\u2028d",
    "\x01\x7f\x9f\ufeff\uffff",
    "😀",
    "null",
    "1e5",
]
PORTABLE = ["--natural-foreign", "--exclude=contenttypes", "--exclude=auth.permission"]


@pytest.fixture
def rows(alice, bob, message):
    """Rows in every table, as people make them."""
    conversation = message.conversation
    for text in TEXTS * 3:
        send(conversation, text, actor=bob)
    rename(conversation, "Zoë 😀", actor=alice)
    edit(message, "Edited", actor=alice)
    delete(send(conversation, "Deleted", actor=bob)[0], actor=bob)
    group = Group.objects.create(name="Moderators")
    group.permissions.set(Permission.objects.filter(codename="view_message"))
    bob.groups.add(group)
    bob.user_permissions.set(Permission.objects.filter(codename="view_user"))
    LogEntry.objects.log_actions(alice.pk, [bob], CHANGE, "Edited")
    SessionStore().save()
    RefreshToken.for_user(bob).blacklist()
    Block.objects.create(blocker=alice, blocked=bob)
    Report.objects.create(
        message=message, reporter=bob, message_body="Hello", created_at=message.sent_at
    )


def get_models():
    return [m for m in apps.get_models(include_auto_created=True) if m not in MADE_BY_MIGRATE]


def read_rows():
    """Of tables that join others, all but the number of each row."""
    return {
        model.__name__: [
            {name: row[name] for name in row if name != "id" or not model._meta.auto_created}
            for row in rows
        ]
        for model, rows in zip(get_models(), read_tables(*get_models()), strict=True)
    }


def empty_tables():
    with connection.constraint_checks_disabled():
        for model in reversed(get_models()):
            model._base_manager.all()._raw_delete(connection.alias)


@pytest.mark.parametrize("name", ["all.json", "all.jsonl", "all.yaml", "all.json.gz"])
@pytest.mark.parametrize("options", [[], PORTABLE], ids=["as they are", "natural keys"])
def test_loaddata_restores_every_row_as_it_was(tmp_path, rows, name, options):
    before = read_rows()
    assert all(before.values())
    file = str(tmp_path / name)
    call_command("dumpdata", *options, format=name.split(".")[1], output=file)
    empty_tables()
    assert not any(read_rows().values())
    call_command("loaddata", file, verbosity=0)
    assert read_rows() == before


@pytest.mark.parametrize("name", ["json", "jsonl", "yaml"])
def test_natural_primary_keys_keep_the_ids_of_people(tmp_path, rows, name):
    file = str(tmp_path / f"all.{name}")
    tables = [User, Participation, Message, LogEntry]
    before = read_tables(*tables)
    call_command("dumpdata", *PORTABLE, "--natural-primary", format=name, output=file)
    empty_tables()
    call_command("loaddata", file, verbosity=0)
    assert read_tables(*tables) == before


def test_xml_fixtures_are_refused_because_they_change_texts(tmp_path, message):
    file = tmp_path / "all.xml"
    file.write_text("<django-objects/>")
    for refused in (
        lambda: call_command("dumpdata", format="xml"),
        lambda: call_command("loaddata", str(file)),
        lambda: serializers.serialize("xml", Message.objects.all()),
    ):
        with pytest.raises(CommandError, match="jsonl"):
            refused()


def test_a_serializer_in_code_keeps_microseconds(alice):
    for name in ("json", "jsonl"):
        [copy] = serializers.deserialize(name, serializers.serialize(name, User.objects.all()))
        assert copy.object.created_at == alice.created_at
