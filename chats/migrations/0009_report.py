import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    # Not in 0008, which locks the table of users. This one locks that of messages: holding both locks, a
    # migration and a send could wait for each other.

    dependencies = [
        ('chats', '0008_safety'),
    ]

    operations = [
        migrations.CreateModel(
            name='Report',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_body', models.TextField()),
                ('reason', models.TextField(blank=True, max_length=1000)),
                ('created_at', models.DateTimeField(editable=False)),
                ('closed_at', models.DateTimeField(editable=False, null=True)),
                ('message', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='reports', to='chats.message')),
                ('reporter', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reports', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('closed_at', None)), fields=['-created_at'], name='report_open')],
                'constraints': [models.UniqueConstraint(fields=('message', 'reporter'), name='report_once')],
            },
        ),
    ]
