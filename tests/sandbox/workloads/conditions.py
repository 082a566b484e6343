"""The conditions of a rollout. Pure.

Source of behaviour: Kubernetes' pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.sandbox import timestamps
from tests.sandbox.status import Json

Conditions = list[Json]


def find(conditions: Sequence[Json], kind: str) -> Json | None:
    return next((each for each in conditions if each["type"] == kind), None)


def without(conditions: Sequence[Json], kind: str) -> Conditions:
    return [each for each in conditions if each["type"] != kind]


def put(
    conditions: Sequence[Json], kind: str, status: str, reason: str, message: str, *, renew: bool = False
) -> Conditions:
    """The conditions with one of them as told. One that says the same already stays, unless its time is to be new."""
    old, now = find(conditions, kind), timestamps.now()
    if old and not renew and (old["status"], old.get("reason", "")) == (status, reason):
        return list(conditions)
    changed = old["lastTransitionTime"] if old and old["status"] == status else now
    new: Json = {"type": kind, "status": status, "lastUpdateTime": now, "lastTransitionTime": changed}
    if reason:
        new["reason"] = reason
    new["message"] = message
    return [*without(conditions, kind), new]
