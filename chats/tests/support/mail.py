"""E-mails that were sent, the links in them, and a mail server that refuses them."""

import re
import time
from contextlib import contextmanager
from email import message_from_bytes, policy
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from django.core import mail

from messaging_app.outbox import OUTBOX


def read_mail():
    """Every e-mail that was queued before. One thread sends them in their order."""
    OUTBOX.thread.submit(int).result()
    return mail.outbox


def read_link(message, page):
    """The values in the e-mail's link to the page."""
    [link] = re.findall(rf"{re.escape(page)}\S+", message.body)
    return {name: value for name, [value] in parse_qs(urlsplit(link).query).items()}


class RefusingMailServer(StreamRequestHandler):
    """Quotes what it refuses."""

    def handle(self):
        self.respond("220 ready")
        for line in self.rfile:
            if line.upper() == b"DATA\r\n":
                self.respond("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n")).decode()
                self.server.refused = text
                self.respond(f"554 refused: {' '.join(text.split())}")
            else:
                self.respond("250 ok")

    def respond(self, text):
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def refusing_mail_server():
    with TCPServer(("127.0.0.1", 0), RefusingMailServer) as mail_server:
        Thread(target=mail_server.serve_forever, daemon=True).start()
        yield mail_server
        mail_server.shutdown()


def wait_for_link(folder, email, subject):
    """The link in the newest e-mail to this address, once it is in a file there."""
    deadline = time.monotonic() + 30
    while True:
        for file in sorted(folder.glob("*"), key=lambda file: file.stat().st_mtime, reverse=True):
            message = message_from_bytes(file.read_bytes(), policy=policy.default)
            if (message["To"], message["Subject"]) != (email.lower(), subject):
                continue
            if link := re.search(r"(http\S+)\n", message.get_content()):
                return link[1]
        assert time.monotonic() < deadline, subject
