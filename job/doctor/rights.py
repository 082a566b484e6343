"""The rights that each command needs, as data.

`RULES` are the rules of the Roles that are shipped; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from job.domain.model import JOURNAL
from job.domain.records import dataclass
from job.domain.rules import RULES as RULES_NAME


class Component(StrEnum):
    """The component of the manifests that grants a right."""

    BASE = "base"
    ROLLOUTS = "rollouts"
    ROLLBACK = "rollback"
    GATES = "gates"


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, as RBAC names it; `name` limits it to the object of that name."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" named {self.name}" if self.name else "")


def _rights(group: str, resources: str, verbs: str, name: str = "") -> tuple[Right, ...]:
    return tuple(Right(group, resource, verb, name) for resource in resources.split() for verb in verbs.split())


# On the job itself, in its own namespace only.
HOME = _rights("batch", "cronjobs jobs", "get")
_WORKLOADS = (
    *_rights("apps", "daemonsets deployments statefulsets", "get list"),
    *_rights("", "pods", "list"),
    *_rights("batch", "cronjobs", "get list"),
    *_rights("apps.openshift.io", "deploymentconfigs", "get list"),
)
IMPORT = Right("image.openshift.io", "imagestreamimports", "create")
# Without these nothing is imported at all.
ESSENTIAL = (
    *_rights("image.openshift.io", "imagestreams", "list"),
    IMPORT,
    *_rights("coordination.k8s.io", "leases", "create get list update"),
    *_rights("", "configmaps", "get", RULES_NAME),
)
RULES: Mapping[Component, tuple[Right, ...]] = {
    Component.BASE: (
        *ESSENTIAL,
        *_rights("image.openshift.io", "imagestreams", "get"),
        *_rights("image.openshift.io", "imagestreamimages", "get"),
        *_rights("", "configmaps", "create"),
        *_rights("", "configmaps", "get update", JOURNAL),
        *_rights("", "events", "create get update"),
        *HOME,
    ),
    Component.ROLLOUTS: _WORKLOADS,
    Component.ROLLBACK: (
        *_rights("image.openshift.io", "imagestreamtags", "update"),
        *_rights("", "configmaps", "create"),
        *_rights("", "configmaps", "get update", RULES_NAME),
        *_rights("", "pods", "delete"),
        *_WORKLOADS,
    ),
    Component.GATES: (*_rights("", "pods", "create delete"), *_WORKLOADS),
}
# For PROVEN_IN, in the namespace that it names.
_PROVEN_STREAMS = _rights("image.openshift.io", "imagestreams", "get list")
# Without it only the same image counts, not another one of the same revision.
PROVEN_REVISIONS = Right("image.openshift.io", "imagestreamimages", "get")
PROVEN = (*_PROVEN_STREAMS, PROVEN_REVISIONS, *_WORKLOADS)
# Only where PROVEN_IN means several streams.
PROVEN_SEVERAL = Right("image.openshift.io", "imagestreams", "list")
PROVEN_NAME = "import-images-proven"
# For NAMESPACE_SELECTOR, in the whole cluster.
FLEET = _rights("", "namespaces", "list")
COMMANDS: Mapping[Component, str] = {
    Component.BASE: "run",
    Component.ROLLOUTS: "run --watch-rollouts",
    Component.ROLLBACK: "rollback, resume, freeze, thaw, block, unblock, run --on-bad-rollout rollback",
    Component.GATES: "run --rehearse",
}
NAMES: Mapping[Component, str] = {
    Component.BASE: "import-images",
    Component.ROLLOUTS: "import-images-rollouts",
    Component.ROLLBACK: "import-images-rollback",
    Component.GATES: "import-images-gates",
}


def wanted(user: str | None, namespace: str) -> Iterator[tuple[Component, Right]]:
    """The rights needed in a namespace, and their components. Those on the job itself are needed only in its own."""
    at_home = account_of(user or "")[0] == namespace
    for component, rights in RULES.items():
        for right in rights:
            if right not in HOME or component is not Component.BASE or at_home:
                yield component, right


def account_of(user: str) -> tuple[str, str]:
    """Namespace and name of a service account, from the API's name of a user; empty for other users."""
    parts = user.split(":")
    return (parts[2], parts[3]) if len(parts) == 4 and user.startswith("system:serviceaccount:") else ("", "")
