from django.core.management.base import BaseCommand, CommandError

from chats.integrity import find_faults


class Command(BaseCommand):
    help = (
        "Check that the database holds what the program promises, after a restore for example. "
        "Each fault is a line that names the row. Changes nothing."
    )

    def handle(self, **options):
        count = 0
        for fault in find_faults():
            self.stdout.write(fault)
            count += 1
        if count:
            raise CommandError(f"Faults: {count}")
        self.stdout.write("There is no fault.")
