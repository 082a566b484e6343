"""DaemonSets, on the one node there is.

Source of behaviour: Kubernetes' pkg/controller/daemon.
"""

from __future__ import annotations

import time

from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import remove
from tests.sandbox.resources import PODS
from tests.sandbox.store import Entry
from tests.sandbox.workloads import pods, revisions
from tests.sandbox.workloads.replica_sets import pods_of
from tests.sandbox.workloads.writing import without_zeros, write_status


def reconcile(cluster: Cluster, entry: Entry) -> float | None:
    spec, now = entry.object["spec"], time.time()
    least, update = spec.get("minReadySeconds") or 0, revisions.newest(cluster, entry)
    for each in pods_of(cluster, entry):
        # On one node, one pod at a time is all of them.
        if spec["updateStrategy"]["type"] == "RollingUpdate" and pods.revision_of(each.object) != update.hash:
            remove(cluster, each)
    if not pods_of(cluster, entry):
        labels = {"controller-revision-hash": update.hash, "pod-template-generation": "1"}
        cluster.store.put(PODS, pods.new_pod(entry, spec["template"], pods.random_name(f"{entry.name}-"), labels))
    found = [each.object for each in pods_of(cluster, entry)]
    available = sum(pods.is_available(each, least, now) for each in found)
    status = {
        "observedGeneration": entry.object["metadata"]["generation"],
        "currentNumberScheduled": len(found),
        "desiredNumberScheduled": 1,
        "numberMisscheduled": 0,
        "numberReady": sum(pods.ready_since(each) is not None for each in found),
        "updatedNumberScheduled": sum(pods.revision_of(each) == update.hash for each in found),
        "numberAvailable": available,
        "numberUnavailable": 1 - available,
    }
    kept = ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady")
    write_status(cluster, entry, without_zeros(status, *kept))
    revisions.forget_oldest(cluster, entry, {update.name})
    return pods.soonest(found, least, now)
