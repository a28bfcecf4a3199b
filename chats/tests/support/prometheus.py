"""A server's metrics, and Prometheus as deploy/prometheus/ configures it."""

import re

import requests
import yaml
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from chats.tests.support.machines import find
from chats.tests.support.services import Service

CONFIGURATION = settings.BASE_DIR / "deploy" / "prometheus"
ALERTS = CONFIGURATION / "alerts.yml"


class Metrics:
    """What the server counts now."""

    def __init__(self, address):
        text = requests.get(f"http://{address}/metrics", timeout=30).text
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def get(self, name, **labels):
        """The sum of those that have the labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def get_series(self):
        return {(sample.name, *sorted(sample.labels.items())) for sample in self.samples}


class Prometheus(Service):
    """Asks the server every second. Alerts fire as soon as their expression is true."""

    def __init__(self, folder, address):
        super().__init__()
        self.folder = folder / f"prometheus.{self.port}"
        self.folder.mkdir()
        self.file = self.folder / "prometheus.yml"
        configuration = yaml.safe_load((CONFIGURATION / self.file.name).read_text())
        [job] = configuration["scrape_configs"]
        job["static_configs"] = [{"targets": [address]}]
        names = ["scrape_interval", "scrape_timeout", "evaluation_interval"]
        configuration["global"] = dict.fromkeys(names, "1s")
        self.file.write_text(yaml.safe_dump(configuration))
        rules, number = re.subn(r"\bfor: \w+", "for: 0s", ALERTS.read_text())
        assert number
        (self.folder / ALERTS.name).write_text(rules)

    def command(self):
        return [
            find("prometheus"),
            f"--config.file={self.file}",
            f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address={self.address}",
        ]

    def is_up(self):
        try:
            return requests.get(f"http://{self.address}/-/ready", timeout=30).ok
        except requests.ConnectionError:
            return False

    def get(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}"
        return requests.get(url, parameters, timeout=30).json()["data"]

    def query(self, expression):
        """The value of its only result, or None."""
        results = self.get("query", query=expression)["result"]
        return float(results[0]["value"][1]) if results else None

    def get_firing(self):
        alerts = self.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
