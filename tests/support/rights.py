"""The rights of a run, of one that watches rollouts, and of rolling back: the rules of the Roles that are shipped."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.paths import MANIFESTS

Rules = tuple[dict[str, Any], ...]


def _rules(path: str) -> Rules:
    documents = yaml.safe_load_all((MANIFESTS / path).read_text(encoding="utf-8"))
    return tuple(rule for document in documents if document["kind"] == "Role" for rule in document["rules"])


RUN = _rules("base/role.yaml")
WATCH = (*RUN, *_rules("components/rollouts/role.yaml"))
PROVEN = _rules("components/gates/proven.yaml")
ROLL_BACK = (*RUN, *_rules("components/rollback/role.yaml"))
GATES = (*RUN, *_rules("components/gates/role.yaml"))


def without(resource: str, verb: str, rules: Rules = RUN) -> list[dict[str, Any]]:
    """The rights of a run, or other ones, but for one verb on one resource."""
    return [
        {**rule, "resources": [each], "verbs": verbs}
        for rule in rules
        for each in rule["resources"]
        if (verbs := [v for v in rule["verbs"] if (each, v) != (resource, verb)])
    ]
