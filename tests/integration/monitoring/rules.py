"""The alert rules that are shipped, as Prometheus reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from tests.support.paths import MONITORING, ROOT

RUNBOOK = ROOT / "docs" / "alerts.md"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    runbook_url: str
    cronjob: str
    waits: str


def shipped_groups() -> dict[str, Any]:
    """What the PrometheusRule holds, which is what a rule file holds."""
    found = yaml.safe_load((MONITORING / "prometheus-rule.yaml").read_text(encoding="utf-8"))
    assert found["kind"] == "PrometheusRule"
    spec = found["spec"]
    assert isinstance(spec, dict)
    return spec


def shipped_alerts() -> dict[str, Alert]:
    """The alerts by name."""
    found = [
        Alert(
            rule["alert"],
            rule["expr"],
            rule["labels"]["severity"],
            rule["annotations"]["summary"],
            rule["annotations"]["description"],
            rule["annotations"]["runbook_url"],
            rule["annotations"]["cronjob"],
            rule.get("for", ""),
        )
        for group in shipped_groups()["groups"]
        for rule in group["rules"]
    ]
    assert len({alert.name for alert in found}) == len(found)
    return {alert.name: alert for alert in found}
