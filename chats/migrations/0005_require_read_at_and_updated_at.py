import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chats", "0004_fill_read_at_and_updated_at")]

    operations = [
        migrations.AlterField(
            model_name="participation",
            name="read_at",
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.AddConstraint(
            model_name="participation",
            constraint=models.UniqueConstraint(
                fields=("user", "conversation"), name="participation_once"
            ),
        ),
        migrations.AlterUniqueTogether(name="participation", unique_together=set()),
        migrations.AlterField(
            model_name="participation",
            name="user",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="updated_at",
            field=models.DateTimeField(editable=False),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("conversation", "updated_at"),
                name="message_updated_at_once_a_conversation",
            ),
        ),
    ]
