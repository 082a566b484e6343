"""StatefulSets."""

from __future__ import annotations

from job.cluster import STATEFUL_SETS
from job.cluster.unstructured import number, object_in
from job.workloads.kinds.kind import Json, Rolling, count_of, is_owned_directly, status_count
from job.workloads.pods import Pod


class StatefulSet(Rolling):
    """apps/v1 StatefulSet: numbered pods of its own, which it replaces one by one and only while they are ready."""

    resource = STATEFUL_SETS
    replaces_unready_pods = False

    def owns(self, data: Json, pod: Pod) -> bool:
        """Whether the StatefulSet itself controls the pod."""
        return is_owned_directly(self.resource, data, pod)

    def missing(self, data: Json, updated_pods: int) -> str | None:
        """What its counts lack (kubectl, pkg/polymorphichelpers/rollout_status.go)."""
        replicas = self.replicas(data)
        due = max(0, replicas - self.partition(data))
        # A pod that a user deletes may come back from an older revision of the same image.
        updated = updated_pods if self.is_on_delete(data) else status_count(data, "updatedReplicas")
        if updated < due:
            return f"{count_of(updated, due, 'pods')} have been updated"
        ready = status_count(data, "readyReplicas")
        if "availableReplicas" in object_in(data, "status"):
            ready = min(ready, status_count(data, "availableReplicas"))
        if ready < replicas:
            return f"{count_of(ready, replicas, 'pods')} are ready"
        return None

    def is_observed(self, data: Json) -> bool:
        """Whether its controller has seen it at all, and its newest template."""
        return super().is_observed(data) and status_count(data, "observedGeneration") > 0

    def is_on_delete(self, data: Json) -> bool:
        """Whether its update strategy is OnDelete."""
        return object_in(data, "spec", "updateStrategy").get("type") == "OnDelete"

    def partition(self, data: Json) -> int:
        """`rollingUpdate.partition` of its update strategy."""
        if self.is_on_delete(data):
            return 0
        return max(0, number(object_in(data, "spec", "updateStrategy", "rollingUpdate").get("partition")))

    def is_kept_back(self, data: Json, pod: Pod) -> bool:
        """Whether the pod's number is below the partition."""
        start = 0 if self.is_on_delete(data) else number(object_in(data, "spec", "ordinals").get("start"))
        return pod.ordinal - start < self.partition(data)

    def is_ordered(self, data: Json) -> bool:
        """Whether its pod management policy is OrderedReady."""
        return object_in(data, "spec").get("podManagementPolicy") != "Parallel"
