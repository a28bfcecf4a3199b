"""The servers that are measured. Each has two processes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from benchmarks.load import Connection, run

WORKERS = 2
CONNECTIONS = 8
BASE_DIR = Path(__file__).resolve().parent.parent
YARDSTICK_COMMAND = (
    f"gunicorn fresh.wsgi --worker-class gthread --workers {WORKERS} --threads 4 "
    "--bind 127.0.0.1:$PORT --log-level warning"
)
YARDSTICK_VIEW = """
from django.http import HttpResponse
from django.urls import path

def respond(request, size):
    return HttpResponse(b"x" * size, content_type="application/json")

urlpatterns = [path("<int:size>/", respond)]
"""


def environment(database_url):
    throttles = ("SIGN_IN", "REGISTER", "RESET", "WRITE", "SEARCH", "REFRESH")
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "messaging_app.settings",
        "SECRET_KEY": "only-for-benchmarks-00000000000000000000000000000000000",
        "DATABASE_URL": database_url,
        "CACHE_URL": "",
        "WORKERS": str(WORKERS),
        **{f"THROTTLE_{name}": "off" for name in throttles},
    }


class Server:
    """Runs a shell command, which listens at $PORT, until the end of the `with` block."""

    def __init__(self, command, folder, variables):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=folder,
            env={**variables, "PATH": path, "PORT": str(self.port)},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self.is_up():
            if self.process.poll() is not None:
                raise SystemExit(f"{command} has ended.")
            time.sleep(0.1)

    def is_up(self):
        try:
            urlopen(f"{self.url}/healthz")
        except HTTPError:
            # The yardstick has no such page.
            return True
        except OSError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()

    def get(self, path, token):
        """The headers and the body of the response."""
        request = Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        with urlopen(request) as response:
            return response.headers, response.read()

    def get_children(self):
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return task.read_text().split()

    def get_processor_seconds(self):
        """Of all processes of the server, since they began."""
        stats = [Path(f"/proc/{pid}/stat") for pid in [self.process.pid, *self.get_children()]]
        # The 14th and 15th field. The second is the program's name, in parentheses.
        fields = [stat.read_text().rpartition(")")[2].split() for stat in stats]
        return sum(int(n) for row in fields for n in row[11:13]) / os.sysconf("SC_CLK_TCK")

    def get_memory(self):
        """The resident memory of each worker, in MiB."""
        statuses = [Path(f"/proc/{pid}/status") for pid in self.get_children()]
        sizes = [
            round(int(line.split()[1]) / 1024)
            for status in statuses
            for line in status.read_text().splitlines()
            if line.startswith("VmRSS")
        ]
        # Smaller ones are not workers: multiprocessing has a process of its own.
        return sorted(sizes)[-WORKERS:]

    def load(self, operation, seconds, connections=CONNECTIONS):
        get_request = operation.get_requests(self)
        load = run([Connection(self.port) for _ in range(connections)], get_request, seconds)
        if set(load.statuses) != {operation.status}:
            raise SystemExit(f"{operation.name} returned {load.statuses}.")
        return load


@contextlib.contextmanager
def serve_yardstick():
    """A fresh Django project with one view, under gunicorn."""
    from django.core.management import call_command

    with TemporaryDirectory() as folder:
        call_command("startproject", "fresh", folder)
        project = Path(folder) / "fresh"
        (project / "urls.py").write_text(YARDSTICK_VIEW)
        with (project / "settings.py").open("a") as settings:
            settings.write("DEBUG, ALLOWED_HOSTS = False, ['127.0.0.1']\n")
        variables = os.environ | {"DJANGO_SETTINGS_MODULE": "fresh.settings"}
        with Server(YARDSTICK_COMMAND, folder, variables) as server:
            yield server


def serve(database_url, **variables):
    return Server("docker/serve", BASE_DIR, environment(database_url) | variables)


@contextlib.contextmanager
def serve_commit(commit, command, database_url, **variables):
    """The program as it was at the commit."""
    with TemporaryDirectory() as folder:
        archive = ["git", "-C", BASE_DIR, "archive", commit]
        files = subprocess.run(archive, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=BytesIO(files)) as tar:
            tar.extractall(folder, filter="data")
        with Server(command, folder, environment(database_url) | variables) as server:
            yield server
