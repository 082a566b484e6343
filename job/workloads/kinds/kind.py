"""What the program must know of one kind of workload, in one place.

`Kind` is what every kind has: where its pod template is and how its image triggers are written. `Rolling` adds what a
kind needs whose pods a rollout replaces: which pods are its own, how far its rollout has come and what may hold it up.
A new kind is one subclass and its line in the registry of this package; mypy refuses one that lacks a method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from job.cluster import Resource
from job.cluster.unstructured import number, object_in, objects_in
from job.domain.model import TagName
from job.workloads.image_triggers import Follows, ReadTriggers, read_annotation, settle_annotation
from job.workloads.pods import Pod

Json = Mapping[str, Any]


def count_of(number_of: int, total: int, noun: str) -> str:
    """`2 of 3 pods`."""
    return f"{number_of} of {total} {noun}"


class Kind(ABC):
    """One kind of workload that may have image triggers.

    Attributes:
        resource: its API resource.
        pod_spec_path: the keys that lead to the spec of its pod template.
        has_rollout_status: whether `oc rollout status` knows it.
    """

    resource: ClassVar[Resource]
    pod_spec_path: ClassVar[tuple[str, ...]] = ("spec", "template", "spec")
    has_rollout_status: ClassVar[bool] = True

    def pod_spec(self, data: Json) -> Json:
        """The spec of the workload's pod template."""
        return object_in(data, *self.pod_spec_path)

    def read_triggers(self, data: Json, namespace: str) -> ReadTriggers:
        """The image triggers of the workload, and what is wrong with one that does not even name a tag."""
        return read_annotation(data, self.pod_spec(data), ".".join(self.pod_spec_path), namespace)

    def settle_triggers(self, follows: Sequence[Follows], unresolved: Collection[TagName]) -> tuple[Follows, ...]:
        """The triggers with the problems that they cause for one another.

        Args:
            follows: the triggers, each with its own problem.
            unresolved: the tags among theirs that have no image.
        """
        return settle_annotation(follows, unresolved)

    def deciding_tags(self, follows: Sequence[Follows]) -> frozenset[TagName]:
        """The tags of which it must be known whether they have an image, since that decides what others do."""
        return frozenset(follow.tag for follow in follows if follow.blocks)

    def selector(self, data: Json) -> str:
        """The label selector of the workload's pods, as a query has it."""
        selector = object_in(data, "spec", "selector")
        parts = [f"{key}={value}" for key, value in sorted(object_in(selector, "matchLabels").items())]
        for expression in objects_in(selector, "matchExpressions"):
            key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values")
            listed = ",".join(map(str, values)) if isinstance(values, list) else ""
            forms = {"In": f"{key} in ({listed})", "NotIn": f"{key} notin ({listed})", "DoesNotExist": f"!{key}"}
            parts.append(forms.get(str(operator), str(key)))
        return ",".join(parts)


class Jobs(Kind):
    """A kind whose pods run to their end: the next ones take the image from the template; no rollout replaces them."""

    @abstractmethod
    def suspension(self, data: Json) -> str | None:
        """Why no next pods come; None where they do."""


class Rolling(Kind):
    """A kind whose pods a rollout replaces.

    Attributes:
        nothing_wanted: why a workload of the kind wants no pods.
        replaces_unready_pods: whether its controller replaces pods that are not ready.
        counts_are_current: whether the counts of its status are those of the newest template once it is observed.
    """

    nothing_wanted: ClassVar[str] = "scaled to 0"
    replaces_unready_pods: ClassVar[bool] = True
    counts_are_current: ClassVar[bool] = True

    @abstractmethod
    def owns(self, data: Json, pod: Pod) -> bool:
        """Whether the pod is the workload's own, of whichever revision."""

    @abstractmethod
    def missing(self, data: Json, updated_pods: int) -> str | None:
        """What its counts lack, as `kubectl rollout status` judges them; None when they are complete.

        Args:
            data: the workload.
            updated_pods: how many of its pods run the wanted images.
        """

    def replicas(self, data: Json) -> int:
        """How many pods are wanted."""
        return number(object_in(data, "spec").get("replicas"), 1)

    def is_observed(self, data: Json) -> bool:
        """Whether its controller has seen its newest template."""
        seen = number(object_in(data, "status").get("observedGeneration"))
        return seen >= number(object_in(data, "metadata").get("generation"))

    def is_paused(self, data: Json) -> bool:
        """Whether a user has paused the rollout."""
        return False

    def is_on_delete(self, data: Json) -> bool:
        """Whether pods are replaced only when a user deletes them."""
        return False

    def partition(self, data: Json) -> int:
        """The number of pods, from ordinal 0, that keep the old revision."""
        return 0

    def is_kept_back(self, data: Json, pod: Pod) -> bool:
        """Whether the pod is one of those that the partition leaves."""
        return False

    def is_ordered(self, data: Json) -> bool:
        """Whether a pod that is not ready holds up the others."""
        return False

    def is_earlier_rollout(self, data: Json, name: str, old: Sequence[Pod]) -> bool:
        """Whether a condition's message is about an earlier rollout.

        Args:
            data: the workload.
            name: the ReplicaSet, or the like, that the message names.
            old: the workload's pods that do not run the wanted images.
        """
        return any(pod.owner[1] == name for pod in old)


def status_count(data: Json, name: str) -> int:
    """A count of the workload's status."""
    return number(object_in(data, "status").get(name))


def missing_replicas(data: Json, replicas: int) -> str | None:
    """What the counts of a Deployment or DeploymentConfig lack."""
    updated, total = status_count(data, "updatedReplicas"), status_count(data, "replicas")
    available = status_count(data, "availableReplicas")
    if updated < replicas:
        return f"{count_of(updated, replicas, 'pods')} have been updated"
    if total > updated:
        return "1 old pod has still to end" if total - updated == 1 else f"{total - updated} old pods have still to end"
    if available < updated:
        return f"{count_of(available, updated, 'new pods')} are available"
    return None


def is_owned_directly(resource: Resource, data: Json, pod: Pod) -> bool:
    """Whether the pod's controller is the workload itself."""
    kind, owner, owner_uid = pod.owner
    metadata = object_in(data, "metadata")
    uid = str(metadata.get("uid") or "")
    is_same = (kind, owner) == (resource.kind, str(metadata.get("name", "")))
    return is_same and (not uid or not owner_uid or uid == owner_uid)
