import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryFile

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from chats.history.importer import Importer
from chats.history.lines import LineError, LineReader


class Command(BaseCommand):
    help = (
        "Import users, conversations and messages of another program, with their times, from a "
        "file in JSON Lines. A file with a mistake is refused. What was imported before is left "
        "out."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", help="A path, or - for standard input.")
        parser.add_argument(
            "--source",
            required=True,
            help="A name for the other program. Ids are recognised under the same name.",
        )

    def handle(self, file, source, **options):
        if not re.fullmatch(r"[ -~]{1,100}", source):
            raise CommandError("--source has 1 to 100 printable ASCII characters.")
        try:
            stream = open_to_read_twice(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from error
        with stream:
            if refused := self.report(check(stream)):
                raise CommandError(f"Lines to correct: {refused}. Nothing was imported.")
            stream.seek(0)
            importer = Importer(source)
            refused = self.report(importer.write(read(stream)))
        for name, count in importer.added.items():
            self.stdout.write(f"New {name}: {count}")
        if refused:
            raise CommandError(f"Lines that were not imported: {refused}.")

    def report(self, errors):
        """Prints the errors with the numbers of their lines. Returns how many there are."""
        count = 0
        for number, error in errors:
            self.stderr.write(f"Line {number}: {error}")
            count += 1
        return count


def open_to_read_twice(path):
    stream = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
    if stream.seekable():
        return stream
    copy = TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy


def check(stream):
    """The number and the error of each line that is wrong."""
    reader, is_right = LineReader(), True
    for number, content in get_lines(stream, "Check"):
        try:
            reader.read(number, content)
        except LineError as error:
            is_right = False
            yield number, error
    if is_right and reader.edits:
        stream.seek(0)
        yield from reader.find_unknown_messages(get_lines(stream, "Check edits"))


def read(stream):
    reader = LineReader()
    return (reader.read(number, content) for number, content in get_lines(stream, "Import"))


def get_lines(stream, what):
    # The bar is for terminals only.
    lines = enumerate(tqdm(stream, what, unit=" lines", disable=None), 1)
    return ((number, content) for number, content in lines if content.strip())
