import pytest

from chats.tests.support.mail import read_mail
from chats.tests.support.paths import MESSAGES, messages_path


@pytest.fixture(autouse=True)
def _no_mail_is_left():
    """The thread would send it during the next test."""
    yield
    read_mail()


@pytest.fixture
def path(conversation):
    """The list of the conversation's messages."""
    return messages_path(conversation)


@pytest.fixture(params=["nested", "flat"])
def list_path(request, path):
    """Both lists that have the conversation's messages."""
    return {"nested": path, "flat": MESSAGES}[request.param]
