"""DaemonSets."""

from __future__ import annotations

from job.cluster import DAEMON_SETS
from job.cluster.unstructured import object_in
from job.workloads.kinds.kind import Json, Rolling, count_of, is_owned_directly, status_count
from job.workloads.pods import Pod


class DaemonSet(Rolling):
    """apps/v1 DaemonSet: a pod of its own for each node that fits."""

    resource = DAEMON_SETS
    nothing_wanted = "no node is to run it"

    def owns(self, data: Json, pod: Pod) -> bool:
        """Whether the DaemonSet itself controls the pod."""
        return is_owned_directly(self.resource, data, pod)

    def replicas(self, data: Json) -> int:
        """How many nodes are to run it."""
        return status_count(data, "desiredNumberScheduled")

    def missing(self, data: Json, updated_pods: int) -> str | None:
        """What its counts lack (kubectl, pkg/polymorphichelpers/rollout_status.go)."""
        replicas = self.replicas(data)
        updated = updated_pods if self.is_on_delete(data) else status_count(data, "updatedNumberScheduled")
        if updated < replicas:
            return f"{count_of(updated, replicas, 'pods')} have been updated"
        available = status_count(data, "numberAvailable")
        if available < replicas:
            return f"{count_of(available, replicas, 'pods')} are available"
        return None

    def is_on_delete(self, data: Json) -> bool:
        """Whether its update strategy is OnDelete."""
        return object_in(data, "spec", "updateStrategy").get("type") == "OnDelete"
