"""Serves the metrics of all processes at METRICS_ADDRESS, in a thread of the main process."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Lock

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from messaging_app.conf.databases import SQLITE

# Where prometheus_client's processes keep their files.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# In memory: a process that writes to a mapped file on a full disk is killed.
MEMORY = Path("/dev/shm")  # noqa: S108
# A check of a database that hangs takes five seconds. Prometheus waits ten for all metrics.
READY_SECONDS = 8


@contextmanager
def exporting() -> Iterator[None]:
    """Until the end of the block, if METRICS_ADDRESS is set. If something listens there, raises
    ImproperlyConfigured."""
    if not settings.METRICS_ADDRESS:
        yield
        return
    host, port = settings.METRICS_ADDRESS
    registry = CollectorRegistry()
    try:
        start_http_server(port, host, registry)
    except (OSError, UnicodeError) as error:
        raise ImproperlyConfigured(f"METRICS_ADDRESS={host}:{port}: {error}") from error
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(gettempdir())
    prefix = f"messaging-metrics-{host}-{port}-"
    # Those of a server that was killed.
    for folder in parent.glob(f"{prefix}*"):
        shutil.rmtree(folder, ignore_errors=True)
    with TemporaryDirectory(prefix=prefix, dir=parent) as name:
        os.environ[FOLDER] = name
        registry.register(ServerCollector())
        registry.register(ProcessesCollector(Path(name)))
        yield


def keep_folder() -> None:
    """Before a worker starts. If systemd-logind has removed the folder at the user's last logout,
    numbers are lost, but no worker."""
    if settings.METRICS_ADDRESS:
        Path(os.environ[FOLDER]).mkdir(exist_ok=True)


class ProcessesCollector(MultiProcessCollector):
    """The sums of all processes, those that have ended included."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, str(folder))
        self.folder, self.lock = folder, Lock()

    def collect(self) -> Iterable[Metric]:
        with self.lock:
            for file in self.folder.glob("*_*.db"):
                kind, _, pid = file.stem.rpartition("_")
                if pid.isdecimal() and not is_child(pid):
                    self.remove(file, kind)
            return super().collect()

    def remove(self, file: Path, kind: str) -> None:
        """Of a process that has ended. What it has counted is kept."""
        if not kind.startswith("gauge"):
            total = MmapedDict(str(self.folder / f"{kind}_ended.db"))
            for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)):
                total.write_value(key, total.read_value(key)[0] + value, 0)
            total.close()
        file.unlink()


def is_child(pid: str) -> bool:
    """Whether it is a running child of this process. Another process may have the same id later."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    _, parent, *_ = stat.rpartition(")")[2].split()
    return int(parent) == os.getpid()


class ServerCollector(Collector):
    """What is found out when Prometheus asks."""

    def collect(self) -> Iterable[Metric]:
        ready = GaugeMetricFamily(
            "messaging_ready", "1 if a process responds, and what /readyz checks.", labels=["check"]
        )
        checks = read_checks()
        ready.add_metric(["server"], checks is not None)
        for name, result in (checks or {}).items():
            ready.add_metric([name], result == "ok")
        yield ready
        database = settings.DATABASES["default"]
        if database["ENGINE"] == SQLITE["ENGINE"]:
            yield from describe_disk(Path(database["NAME"]).parent)


def describe_disk(folder: Path) -> Iterator[Metric]:
    """Nothing if the folder is gone."""
    with suppress(OSError):
        usage = shutil.disk_usage(folder)
        yield GaugeMetricFamily(
            "messaging_disk_free_bytes", "Where the SQLite file is.", usage.free
        )
        yield GaugeMetricFamily("messaging_disk_bytes", "Its size.", usage.total)


def read_checks() -> dict[str, str] | None:
    """None if no process responds."""
    connection = HTTPConnection(settings.HOST, settings.PORT, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return json.loads(connection.getresponse().read())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
