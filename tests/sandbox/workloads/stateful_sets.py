"""StatefulSets. A pod that is stuck on a broken image stays until somebody deletes it, if pods come in order.

Source of behaviour: Kubernetes' pkg/controller/statefulset/stateful_set_control.go; kubernetes issue 67250.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import remove
from tests.sandbox.resources import PODS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry
from tests.sandbox.workloads import pods, revisions
from tests.sandbox.workloads.replica_sets import pods_of
from tests.sandbox.workloads.revisions import Revision
from tests.sandbox.workloads.writing import without_zeros, write_status


def reconcile(cluster: Cluster, entry: Entry) -> float | None:
    update = revisions.newest(cluster, entry)
    known = (entry.object.get("status") or {}).get("currentRevision", "")
    current = revisions.find(cluster, entry, known) or update
    now, least = time.time(), entry.object["spec"].get("minReadySeconds") or 0
    _Step(cluster, entry, current, update, now, least).take()
    found = [each.object for each in pods_of(cluster, entry)]
    status = _status(entry, current, update, found, now)
    write_status(cluster, entry, status)
    used = {status["currentRevision"], status["updateRevision"], *(pods.revision_of(each) for each in found)}
    revisions.forget_oldest(cluster, entry, used)
    return pods.soonest(found, least, now)


@dataclass(frozen=True, slots=True)
class _Step:
    """One look at a StatefulSet, which ends with the first thing that has to be waited for."""

    cluster: Cluster
    entry: Entry
    current: Revision
    update: Revision
    now: float
    least: float

    def take(self) -> None:
        spec = self.entry.object["spec"]
        first = (spec.get("ordinals") or {}).get("start", 0)
        wanted = range(first, first + spec["replicas"])
        found = {_ordinal(each.name): each for each in pods_of(self.cluster, self.entry)}
        in_order = spec["podManagementPolicy"] == "OrderedReady"
        for ordinal in wanted:
            if ordinal not in found:
                self._make(ordinal)
            if in_order and not self._is_available(found.get(ordinal)):
                return
        extra = sorted((ordinal for ordinal in found if ordinal not in wanted), reverse=True)
        for ordinal in extra[:1] if in_order else extra:
            remove(self.cluster, found[ordinal])
        if not (extra and in_order) and spec["updateStrategy"]["type"] == "RollingUpdate":
            self._update([found.get(ordinal) for ordinal in wanted])

    def _is_available(self, pod: Entry | None) -> bool:
        return pod is not None and pods.is_available(pod.object, self.least, self.now)

    def _update(self, found: list[Entry | None]) -> None:
        """Delete the last pod that is of another revision; one that is not available is waited for."""
        for pod in reversed(found[_partition(self.entry) :]):
            if pod is not None and pods.revision_of(pod.object) != self.update.name:
                remove(self.cluster, pod)
                return
            if not self._is_available(pod):
                return

    def _make(self, ordinal: int) -> None:
        revision = self.current if _keeps_current(self.entry, ordinal) else self.update
        name = f"{self.entry.name}-{ordinal}"
        if self.cluster.store.get(PODS, self.entry.namespace, name):
            # Someone else's; the real controller fails and tries for ever.
            return
        labels = {
            "apps.kubernetes.io/pod-index": str(ordinal),
            "controller-revision-hash": revision.name,
            "statefulset.kubernetes.io/pod-name": name,
        }
        template = {name: value for name, value in revision.template.items() if name != "$patch"}
        pod = pods.new_pod(self.entry, template, name, labels)
        pod["spec"] |= {"hostname": name, "subdomain": self.entry.object["spec"].get("serviceName", "")}
        self.cluster.store.put(PODS, pod)


def _ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])


def _partition(entry: Entry) -> int:
    rolling = entry.object["spec"]["updateStrategy"].get("rollingUpdate") or {}
    return int(rolling.get("partition") or 0)


def _keeps_current(entry: Entry, ordinal: int) -> bool:
    """Whether a pod that is missing comes back as it was; those below the partition do."""
    strategy = entry.object["spec"]["updateStrategy"]
    if strategy["type"] != "RollingUpdate":
        return False
    if strategy.get("rollingUpdate") is None:
        return ordinal < int((entry.object.get("status") or {}).get("currentReplicas", 0))
    return ordinal < _partition(entry)


def _status(entry: Entry, current: Revision, update: Revision, found: list[Json], now: float) -> Json:
    spec = entry.object["spec"]
    least = spec.get("minReadySeconds") or 0
    revision = [pods.revision_of(each) for each in found]
    ready = sum(pods.ready_since(each) is not None for each in found)
    status: Json = {
        "observedGeneration": entry.object["metadata"]["generation"],
        "replicas": len(found),
        "readyReplicas": ready,
        "availableReplicas": sum(pods.is_available(each, least, now) for each in found),
        "currentReplicas": revision.count(current.name),
        "updatedReplicas": revision.count(update.name),
        "currentRevision": current.name,
        "updateRevision": update.name,
        "collisionCount": 0,
    }
    complete = [len(found), ready, status["updatedReplicas"]] == [spec["replicas"]] * 3
    if complete and spec["updateStrategy"]["type"] == "RollingUpdate":
        status |= {"currentReplicas": status["updatedReplicas"], "currentRevision": update.name}
    return without_zeros(status, "replicas", "availableReplicas", "collisionCount")
