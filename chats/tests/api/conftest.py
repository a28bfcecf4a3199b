import pytest

from chats.tests.support.paths import MESSAGES, messages_path


@pytest.fixture
def path(conversation):
    """The list of the conversation's messages."""
    return messages_path(conversation)


@pytest.fixture(params=["nested", "flat"])
def list_path(request, path):
    """Both lists that have the conversation's messages."""
    return {"nested": path, "flat": MESSAGES}[request.param]
