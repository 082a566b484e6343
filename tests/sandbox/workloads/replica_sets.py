"""ReplicaSets and ReplicationControllers: so many pods of one template.

Source of behaviour: Kubernetes' pkg/controller/replicaset.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import remove
from tests.sandbox.resources import PODS, REPLICA_SETS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry
from tests.sandbox.workloads import pods
from tests.sandbox.workloads.sizes import Size
from tests.sandbox.workloads.writing import without_zeros, write_status


def pods_of(cluster: Cluster, entry: Entry) -> list[Entry]:
    """The pods that an object made, oldest first."""
    owned = cluster.store.owned_by(entry.object["metadata"]["uid"])
    return [each for each in owned if each.kind is PODS and pods.is_alive(each.object)]


def reconcile(cluster: Cluster, entry: Entry) -> float | None:
    spec, now = entry.object["spec"], time.time()
    least = spec.get("minReadySeconds") or 0
    found = pods_of(cluster, entry)
    wanted = spec.get("replicas", 1)
    for _ in range(wanted - len(found)):
        cluster.store.put(PODS, pods.new_pod(entry, spec["template"], pods.random_name(f"{entry.name}-"), {}))
    for each in sorted(found, key=_worth)[: max(len(found) - wanted, 0)]:
        remove(cluster, each)
    found = pods_of(cluster, entry)
    write_status(cluster, entry, _status(entry, [each.object for each in found], least, now))
    return pods.soonest((each.object for each in found), least, now)


def _worth(pod: Entry) -> tuple[bool, float]:
    """What is not ready goes first, then what became ready last."""
    since = pods.ready_since(pod.object)
    return since is not None, -(since or 0)


def _status(entry: Entry, found: list[Json], least: float, now: float) -> Json:
    status: Json = {
        "replicas": len(found),
        "fullyLabeledReplicas": len(found),
        "readyReplicas": sum(pods.ready_since(each) is not None for each in found),
        "availableReplicas": sum(pods.is_available(each, least, now) for each in found),
        "observedGeneration": entry.object["metadata"].get("generation", 1),
    }
    if entry.kind is REPLICA_SETS:
        status["terminatingReplicas"] = 0
    return without_zeros(status, "replicas", "terminatingReplicas")


def size_of(entry: Entry) -> Size:
    spec, status = entry.object["spec"], entry.object.get("status") or {}
    return Size(entry.name, spec["replicas"], status.get("replicas", 0), status.get("availableReplicas", 0))


def total(entries: Iterable[Entry], name: str) -> int:
    """The sum of one number in the status of several."""
    return sum((each.object.get("status") or {}).get(name, 0) for each in entries)
