from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand
from django.db import transaction

from chats.admin.rights import GROUPS


class Command(BaseCommand):
    help = (
        "Make the groups of staff, Moderator and Support, with their permissions. In a group that "
        "exists, permissions that are missing are added."
    )

    @transaction.atomic
    def handle(self, *args, **options):
        for name, codenames in GROUPS.items():
            group, _ = Group.objects.get_or_create(name=name)
            permissions = Permission.objects.filter(
                content_type__app_label="chats", codename__in=codenames
            )
            group.permissions.add(*permissions)
            self.stdout.write(f"{name}: {', '.join(codenames)}")
