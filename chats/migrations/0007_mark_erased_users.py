from django.db import migrations, models

import chats.validators


def mark(apps, schema_editor):
    """Until now, an erased user had a random password, which cannot be used."""
    apps.get_model("chats", "User").objects.using(schema_editor.connection.alias).filter(
        email__regex=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@erased\.invalid$",
        first_name="Deleted",
        last_name="user",
        is_active=False,
        password__startswith="!",
    ).update(password="!erased")  # noqa: S106


class Migration(migrations.Migration):
    dependencies = [("chats", "0006_message_not_deleted")]

    operations = [
        migrations.RunPython(mark, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            model_name="user",
            name="phone_number",
            field=models.CharField(
                blank=True, max_length=16, validators=[chats.validators.validate_phone_number]
            ),
        ),
    ]
