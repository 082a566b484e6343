"""Where the dashboards are stored, and their expected content."""

from __future__ import annotations

from pathlib import Path

from manifests.dashboards import console, grafana
from manifests.dashboards.board import BOARD

MONITORING = Path(__file__).parents[1] / "components" / "monitoring"
GRAFANA = MONITORING / "grafana.json"
CONSOLE = MONITORING / "console" / "console.json"


def written() -> dict[Path, str]:
    """Each file and its text."""
    return {GRAFANA: grafana.render(BOARD), CONSOLE: console.render(BOARD)}
