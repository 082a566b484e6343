"""ControllerRevisions: the templates that a StatefulSet or DaemonSet has had.

Source of behaviour: Kubernetes' pkg/controller/history.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import remove
from tests.sandbox.resources import CONTROLLER_REVISIONS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry
from tests.sandbox.workloads import pods


@dataclass(frozen=True, slots=True)
class Revision:
    """One of them."""

    name: str
    hash: str
    template: Json


def _revision(entry: Entry) -> Revision:
    item = entry.object
    short = item["metadata"]["labels"]["controller.kubernetes.io/hash"]
    return Revision(entry.name, short, item["data"]["spec"]["template"])


def _known(cluster: Cluster, owner: Entry) -> list[Entry]:
    owned = cluster.store.owned_by(owner.object["metadata"]["uid"])
    return sorted((e for e in owned if e.kind is CONTROLLER_REVISIONS), key=lambda e: int(e.object["revision"]))


def newest(cluster: Cluster, owner: Entry) -> Revision:
    """The revision of the template as it is now; one that was there before becomes the newest again."""
    template = owner.object["spec"]["template"]
    short = pods.hash_of(template)
    name, known = f"{owner.name}-{short}", _known(cluster, owner)
    number = known[-1].object["revision"] + 1 if known else 1
    found = next((each for each in known if each.name == name), None)
    if found is None:
        labels = {**((template.get("metadata") or {}).get("labels") or {}), "controller.kubernetes.io/hash": short}
        annotations = dict(owner.object["metadata"].get("annotations") or {})
        # What is rolled back to replaces the template and does not merge with it.
        data = {"spec": {"template": {**copy.deepcopy(template), "$patch": "replace"}}}
        item = {"metadata": pods.new_metadata(owner, name, labels, annotations), "data": data, "revision": number}
        found = cluster.store.put(CONTROLLER_REVISIONS, item)
    elif found is not known[-1]:
        found = cluster.store.put(CONTROLLER_REVISIONS, {**found.object, "revision": number})
    return _revision(found)


def find(cluster: Cluster, owner: Entry, name: str) -> Revision | None:
    return next((_revision(each) for each in _known(cluster, owner) if each.name == name), None)


def forget_oldest(cluster: Cluster, owner: Entry, used: set[str]) -> None:
    idle = [each for each in _known(cluster, owner) if each.name not in used]
    for each in idle[: max(len(idle) - owner.object["spec"].get("revisionHistoryLimit", 10), 0)]:
        remove(cluster, each)
