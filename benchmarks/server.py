"""gunicorn as configured, with two workers, on a database of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

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
    def __init__(self, database_url, **variables):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.next_number = 0
        command = ["-m", "gunicorn", "messaging_app.wsgi", "--bind", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--workers", str(WORKERS), "--access-logfile", os.devnull],
            cwd=BASE_DIR,
            env=environment(database_url) | variables,
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

    def load(self, method, path, seconds, token=None, body=None, headers=None):
        """The object that `load.py` prints."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        content = "" if body is None else json.dumps(body)
        if content:
            length = len(content.replace("{n}", "000000"))
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        request = "\r\n".join([*lines, "", content])
        load = {
            "port": self.port,
            "workers": WORKERS,
            "connections_per_worker": CONNECTIONS // WORKERS,
            "seconds": seconds,
            "request": request,
            "first": self.next_number,
        }
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=BASE_DIR,
            input=json.dumps(load),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout)
        if "{n}" in request:
            # The next round sends other numbers, whose pages are not in the cache yet.
            self.next_number = result["next"]
        return result
