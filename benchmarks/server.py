"""docker/serve with two processes, on a database of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.load import connect_evenly, run

WORKERS = 2
CONNECTIONS = 8
BASE_DIR = Path(__file__).resolve().parent.parent


def environment(database_url):
    throttles = ("SIGN_IN", "REGISTER", "RESET", "WRITE", "SEARCH", "REFRESH")
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "SECRET_KEY": "only-for-benchmarks-00000000000000000000000000000000000",
        "DATABASE_URL": database_url,
        "CACHE_URL": "",
        **{f"THROTTLE_{name}": "off" for name in throttles},
    }


class Server:
    def __init__(self, database_url):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        variables = {"PORT": str(self.port), "WORKERS": str(WORKERS)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "messaging_app.serve"],
            cwd=BASE_DIR,
            env=environment(database_url) | variables,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while True:
            with contextlib.suppress(OSError), urlopen(f"{self.url}/healthz") as response:
                if response.status == 200:
                    break
            time.sleep(0.1)

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

    def get_memory(self):
        """The resident memory of each worker, in MiB."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [
            round(int(line.split()[1]) / 1024)
            for pid in task.read_text().split()
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        ]

    def load(self, operation, seconds, connections=CONNECTIONS):
        get_request = operation.get_requests(self)
        load = run(connect_evenly(self.port, connections, WORKERS), get_request, seconds)
        if set(load.statuses) != {operation.status}:
            raise SystemExit(f"{operation.name} returned {load.statuses}.")
        return load
