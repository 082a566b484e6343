"""The rights of a run: the rules of the Role that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).parents[1] / "manifests" / "base" / "role.yaml"
RUN: tuple[dict[str, Any], ...] = tuple(yaml.safe_load(ROLE.read_text(encoding="utf-8"))["rules"])


def without(resource: str, verb: str) -> list[dict[str, Any]]:
    """The rights of a run but for one verb on one resource."""
    return [
        {**rule, "resources": [each], "verbs": verbs}
        for rule in RUN
        for each in rule["resources"]
        if (verbs := [v for v in rule["verbs"] if (each, v) != (resource, verb)])
    ]
