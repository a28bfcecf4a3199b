from django.db import migrations
from django.db.models import F, OuterRef, Subquery


def fill(apps, schema_editor):
    """Everybody has read everything, and no message was changed since it was sent."""
    database = schema_editor.connection.alias
    conversations = apps.get_model("chats", "Conversation").objects.using(database)
    clock = conversations.filter(pk=OuterRef("conversation")).values("updated_at")
    participations = apps.get_model("chats", "Participation").objects.using(database)
    participations.update(read_at=Subquery(clock))
    messages = apps.get_model("chats", "Message").objects.using(database)
    messages.update(updated_at=F("sent_at"))


class Migration(migrations.Migration):
    dependencies = [("chats", "0003_participation_title_and_changes")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
