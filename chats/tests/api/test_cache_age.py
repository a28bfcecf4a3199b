"""A page may show a name that was changed since it was stored, but not for more than a minute."""

import time

import pytest
from django.conf import settings

from chats.caching import CACHE_SECONDS
from chats.models import User


@pytest.mark.skipif(bool(settings.CACHE_URL), reason="sets the clock of local memory")
@pytest.mark.parametrize(
    "path",
    [
        "/api/conversations/",
        "/api/conversations/{conversation}/",
        "/api/conversations/{conversation}/messages/",
        "/api/messages/",
    ],
)
def test_a_changed_name_is_shown_after_a_minute(api, alice, bob, message, monkeypatch, path):
    client, path = api(bob), path.format(conversation=message.conversation_id)
    before = client.get(path).json()
    User.objects.filter(pk=alice.pk).update(first_name="Alicia")
    now = time.time()

    def get_at(seconds):
        monkeypatch.setattr(time, "time", lambda: now + seconds)
        return client.get(path)

    assert get_at(CACHE_SECONDS - 5).json() == before
    assert "Alicia" in get_at(61).content.decode()
