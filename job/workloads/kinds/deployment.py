"""Deployments."""

from __future__ import annotations

from job.cluster import DEPLOYMENTS
from job.cluster.unstructured import object_in
from job.workloads.kinds.kind import Json, Rolling, missing_replicas
from job.workloads.pods import Pod


class Deployment(Rolling):
    """apps/v1 Deployment: its ReplicaSets, named by the hash of the template, own the pods."""

    resource = DEPLOYMENTS

    def owns(self, data: Json, pod: Pod) -> bool:
        """Whether a ReplicaSet of the Deployment controls the pod."""
        kind, owner, _ = pod.owner
        name = str(object_in(data, "metadata").get("name", ""))
        return kind == "ReplicaSet" and owner == f"{name}-{pod.template or owner.rpartition('-')[2]}"

    def missing(self, data: Json, updated_pods: int) -> str | None:
        """What its counts lack (kubectl, pkg/polymorphichelpers/rollout_status.go)."""
        return missing_replicas(data, self.replicas(data))

    def is_paused(self, data: Json) -> bool:
        """Whether `spec.paused` is set."""
        return object_in(data, "spec").get("paused") is True
