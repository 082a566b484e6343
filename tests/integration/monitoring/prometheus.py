"""A real Prometheus that scrapes a Pushgateway, as one's own or as OpenShift's for user workloads does it."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.sandbox.programs import Program, free_port

INTERVAL = "250ms"
# Where the Pushgateway and the rules are, on OpenShift.
HOME = "packit-monitoring"
How = Literal["honored", "overridden"]
Labels = tuple[tuple[str, str], ...]


class Refused(Exception):  # noqa: N818 - Prometheus refused
    """Prometheus did not take an expression."""


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str
    how: How

    def get(self, path: str, **query: str) -> Any:
        """What its API answers."""
        encoded = urllib.parse.urlencode(query)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{encoded}", timeout=30) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode(errors="replace")) from error

    def ask(self, expression: str) -> dict[Labels, float]:
        """The value of an expression now, by labels."""
        found = self.get("query", query=expression)
        assert found["resultType"] == "vector", found["resultType"]
        return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found["result"]}

    def ask_over_time(self, expression: str) -> list[Mapping[str, str]]:
        """The labels of the series that an expression has had within the last minutes, as a graph asks for them."""
        now = time.time()
        found = self.get("query_range", query=expression, start=f"{now - 120}", end=f"{now}", step="1")
        return [each["metric"] for each in found["result"]]

    def values_of(self, label: str, metric: str) -> list[str]:
        """The values of a label, as Grafana asks for them."""
        found = self.get(f"label/{label}/values", **{"match[]": metric})
        assert isinstance(found, list)
        return found

    def alerts(self) -> set[tuple[str, str]]:
        """The alerts that fire or will after their time: name, and the namespace of the streams."""
        found = self.get("alerts")["alerts"]
        return {(each["labels"]["alertname"], each["labels"].get("stream_namespace", "")) for each in found}


def enforced(expression: str, namespace: str = HOME) -> str:
    """An expression that sees one namespace only, as OpenShift makes those of rules and of tenants."""
    matcher = f'namespace="{namespace}"'

    def add(found: re.Match[str]) -> str:
        return f"{found[1]}{{{matcher},{found[2]}}}" if found[2] else f"{found[1]}{{{matcher}}}"

    return re.sub(r"\b(import_images_\w+|push_(?:failure_)?time_seconds)\b(?:\{([^}]*)\})?", add, expression)


def _scrape(gateway: str, how: How) -> dict[str, Any]:
    config: dict[str, Any] = {
        "job_name": "prometheus-pushgateway" if how == "overridden" else "pushed",
        "honor_labels": how == "honored",
        "static_configs": [{"targets": [gateway]}],
    }
    if how == "overridden":
        # What the labels of the pod, the Service and the namespace become; the last is enforced whatever is scraped.
        target = {"namespace": HOME, "pod": "prometheus-pushgateway-0", "container": "pushgateway", "endpoint": "http"}
        config["static_configs"][0]["labels"] = {**target, "service": "prometheus-pushgateway"}
        config["metric_relabel_configs"] = [{"target_label": "namespace", "replacement": HOME}]
    return config


@contextmanager
def prometheus(folder: Path, gateway: str, how: How, rules: Mapping[str, Any]) -> Iterator[Prometheus]:
    """One that scrapes a Pushgateway (HOST:PORT), with rules; it stops at the end."""
    folder.mkdir(parents=True)
    told = json.loads(json.dumps(rules))
    if how == "overridden":
        for group in told["groups"]:
            for rule in group["rules"]:
                rule["expr"] = enforced(rule["expr"])
                rule["labels"]["namespace"] = HOME
    (folder / "rules.yml").write_text(yaml.safe_dump(told))
    config = {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": ["rules.yml"],
        "scrape_configs": [_scrape(gateway, how)],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    program = Program(command, port, "/-/ready", folder / "prometheus.log")
    try:
        program.wait_until_ready()
        yield Prometheus(f"http://127.0.0.1:{port}", how)
    finally:
        program.stop()
