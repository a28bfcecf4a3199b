"""nginx in front of a server."""

import time
from contextlib import contextmanager

import requests

from chats.tests.support.servers import Server
from chats.tests.support.services import Nginx


@contextmanager
def proxying(folder, text):
    service = Nginx(folder, text)
    service.start()
    try:
        yield service
    finally:
        service.remove()


class RedirectingServer(Server):
    def is_up(self):
        """Only health checks are not redirected to https, nor depend on the path."""
        try:
            return requests.get(f"{self.site}/healthz", timeout=60).status_code == 200
        except requests.ConnectionError:
            time.sleep(0.02)
            return False
