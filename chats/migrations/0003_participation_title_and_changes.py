"""The table that joins participants to conversations becomes a model. The columns are filled in the
next migration and required by the one after it: PostgreSQL does not alter a table in the transaction
that has updated its rows."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import chats.validators

BECOMES_A_MODEL = [
    migrations.CreateModel(
        name="Participation",
        fields=[
            (
                "id",
                models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                ),
            ),
            (
                "conversation",
                models.ForeignKey(
                    on_delete=django.db.models.deletion.CASCADE, to="chats.conversation"
                ),
            ),
            (
                "user",
                models.ForeignKey(
                    on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                ),
            ),
        ],
        options={
            "db_table": "chats_conversation_participants",
            "unique_together": {("conversation", "user")},
        },
    ),
    migrations.AlterField(
        model_name="conversation",
        name="participants",
        field=models.ManyToManyField(
            related_name="conversations",
            through="chats.Participation",
            to=settings.AUTH_USER_MODEL,
        ),
    ),
]


class Migration(migrations.Migration):
    dependencies = [("chats", "0002_one_line_names")]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=BECOMES_A_MODEL),
        migrations.AddField(
            model_name="conversation",
            name="title",
            field=models.CharField(
                blank=True,
                default="",
                max_length=100,
                validators=[chats.validators.validate_one_line],
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="participation",
            name="read_at",
            field=models.DateTimeField(null=True, editable=False),
        ),
        migrations.AddField(
            model_name="message",
            name="updated_at",
            field=models.DateTimeField(null=True, editable=False),
        ),
    ]
