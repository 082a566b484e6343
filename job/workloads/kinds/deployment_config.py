"""DeploymentConfigs, OpenShift's own predecessor of Deployments."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from job.cluster import DEPLOYMENT_CONFIGS
from job.cluster.unstructured import object_in
from job.domain.model import TagName
from job.workloads.image_triggers import Follows, ReadTriggers, read_config, settle_config
from job.workloads.kinds.kind import Json, Rolling, missing_replicas, status_count
from job.workloads.pods import Pod


class DeploymentConfig(Rolling):
    """apps.openshift.io/v1 DeploymentConfig: a ReplicationController for each version owns the pods."""

    resource = DEPLOYMENT_CONFIGS
    # They are those of the rollout before until the new one has begun.
    counts_are_current = False

    def read_triggers(self, data: Json, namespace: str) -> ReadTriggers:
        """The triggers of its spec; its annotations have none."""
        return read_config(data, self.pod_spec(data), namespace)

    def settle_triggers(self, follows: Sequence[Follows], unresolved: Collection[TagName]) -> tuple[Follows, ...]:
        """Its controller redeploys only when every automatic trigger has an image."""
        return settle_config(follows, unresolved)

    def deciding_tags(self, follows: Sequence[Follows]) -> frozenset[TagName]:
        """Where it has several automatic triggers, the tags of those that never took an image."""
        automatic = [follow for follow in follows if not follow.paused]
        return (
            frozenset(follow.tag for follow in automatic if not follow.has_image) if len(automatic) > 1 else frozenset()
        )

    def selector(self, data: Json) -> str:
        """Its selector has plain labels only."""
        return ",".join(f"{key}={value}" for key, value in sorted(object_in(data, "spec", "selector").items()))

    def owns(self, data: Json, pod: Pod) -> bool:
        """Whether a ReplicationController of one of its versions controls the pod."""
        kind, owner, _ = pod.owner
        name = str(object_in(data, "metadata").get("name", ""))
        return kind == "ReplicationController" and owner.rpartition("-")[0] == name

    def missing(self, data: Json, updated_pods: int) -> str | None:
        """What its counts lack, as `oc rollout status` judges them."""
        return missing_replicas(data, self.replicas(data))

    def is_paused(self, data: Json) -> bool:
        """Whether `spec.paused` is set."""
        return object_in(data, "spec").get("paused") is True

    def is_earlier_rollout(self, data: Json, name: str, old: Sequence[Pod]) -> bool:
        """Whether the ReplicationController is not the latest version's."""
        latest = status_count(data, "latestVersion")
        return name != f"{object_in(data, 'metadata').get('name', '')}-{latest}"
