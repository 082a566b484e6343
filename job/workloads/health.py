"""Whether a workload came up with the images it should run: a verdict on one look at it and at its pods.

The counts are judged as `kubectl rollout status` does (kubectl, pkg/polymorphichelpers/rollout_status.go) and,
for a DeploymentConfig, `oc rollout status`. They alone prove nothing: counts are complete, too, where a pause, a
partition or OnDelete leaves pods on another image, so that every pod's own image is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from job.cluster import CRON_JOBS, DAEMON_SETS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Resource
from job.cluster.unstructured import condition_text, number, object_in, objects_in
from job.domain.model import RolloutResult
from job.domain.text import clean
from job.workloads.image_triggers import digest_in, template_image
from job.workloads.pods import Pod

_DEADLINE = "ProgressDeadlineExceeded"
_CANCELLED = "RolloutCancelled"
_NAMED = re.compile(r'"([^"]+)"')


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict.

    Attributes:
        result: None while the rollout is on its way.
        message: why, what it waits for, or what else there is to say; None where `healthy` says it all.
    """

    result: RolloutResult | None
    message: str | None = None


def _of(count: int, total: int, noun: str) -> str:
    return f"{count} of {total} {noun}"


def runs(resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str]) -> bool:
    """Whether the workload has pods, and the containers named run the digests wanted in all of them.

    For a CronJob, whether the pods of its next job will.
    """
    if resource == CRON_JOBS:
        return _lacks(resource, data, wanted) is None
    own = _own(resource, data, pods)
    return bool(own) and all(pod.runs(_sets(wanted)) for pod in own)


def stuck_pods(
    resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str], bad: frozenset[str]
) -> tuple[Pod, ...]:
    """The pods that must be deleted for the workload to come up: they hang on an image that was taken back.

    A StatefulSet replaces none that is not ready, and OnDelete replaces none at all. Deployments replace their pods
    themselves.

    Args:
        resource: the kind of the workload.
        data: the workload.
        pods: what its selector finds.
        wanted: the digest that each container should run.
        bad: the digests that were taken back.
    """
    view = _View(resource, data, pods, wanted)
    heals = resource == STATEFUL_SETS or (resource == DAEMON_SETS and view.on_delete)
    # Until its controller has seen the new template, it would make the same pod again.
    if not heals or _lacks(resource, data, wanted) or not view.observed:
        return ()
    images = dict.fromkeys(wanted, bad)
    return tuple(pod for pod in view.old if not pod.ready and pod.runs_any(images) and not view.is_below_partition(pod))


def health(resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str]) -> Health:
    """The verdict on a workload.

    Args:
        resource: the kind of the workload.
        data: the workload, read before its pods.
        pods: what its selector finds; those that are not its own are left out here.
        wanted: the digest that each container, by name, should run.
    """
    lacks = _lacks(resource, data, wanted)
    if lacks is not None:
        return Health(None, f"not redeployed yet: {lacks}")
    if resource == CRON_JOBS:
        suspended = object_in(data, "spec").get("suspend") is True
        return Health(RolloutResult.HEALTHY, "suspended; the next job runs the image" if suspended else None)
    view = _View(resource, data, pods, wanted)
    if not view.observed:
        return Health(None, "its controller has not seen the new image yet")
    if view.replicas == 0:
        nothing = "no node is to run it" if resource == DAEMON_SETS else "scaled to 0"
        return Health(RolloutResult.HEALTHY, f"{nothing}: nothing runs")
    missing = view.missing()
    return _failed(view, complete=missing is None) or _waiting(view) or _on_its_way(view, missing) or _come_up(view)


def _lacks(resource: Resource, data: Mapping[str, Any], wanted: Mapping[str, str]) -> str | None:
    """The container whose image in the template is not the wanted one."""
    for container, digest in wanted.items():
        image = template_image(resource, data, container)
        if image is None:
            return f"it has no container {container}"
        if digest_in(image) != digest:
            return f"container {container} is to run {clean(image) or 'no image'}"
    return None


def _sets(wanted: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    return {container: frozenset({digest}) for container, digest in wanted.items()}


def _own(resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod]) -> list[Pod]:
    """The pods that are the workload's, and that count."""
    metadata = object_in(data, "metadata")
    name, uid = str(metadata.get("name", "")), str(metadata.get("uid") or "")

    def owns(pod: Pod) -> bool:
        kind, owner, owner_uid = pod.owner
        if resource == DEPLOYMENTS:
            return kind == "ReplicaSet" and owner == f"{name}-{pod.template or owner.rpartition('-')[2]}"
        if resource == DEPLOYMENT_CONFIGS:
            return kind == "ReplicationController" and owner.rpartition("-")[0] == name
        return (kind, owner) == (resource.kind, name) and (not uid or not owner_uid or uid == owner_uid)

    return sorted((pod for pod in pods if pod.active and owns(pod)), key=lambda pod: (pod.ordinal, pod.name))


class _View:
    """A workload and its pods, counted."""

    def __init__(
        self, resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str]
    ) -> None:
        self.resource = resource
        self.name = str(object_in(data, "metadata").get("name", ""))
        self.status = object_in(data, "status")
        self.conditions = {str(each.get("type")): each for each in objects_in(self.status, "conditions")}
        self._generation = number(object_in(data, "metadata").get("generation"))
        spec = self._spec = object_in(data, "spec")
        strategy = object_in(spec, "updateStrategy")
        self.paused = resource in (DEPLOYMENTS, DEPLOYMENT_CONFIGS) and spec.get("paused") is True
        self.on_delete = resource in (STATEFUL_SETS, DAEMON_SETS) and strategy.get("type") == "OnDelete"
        self.partition = self._start = 0
        if resource == STATEFUL_SETS and not self.on_delete:
            self.partition = max(0, number(object_in(strategy, "rollingUpdate").get("partition")))
            self._start = number(object_in(spec, "ordinals").get("start"))
        self.ordered = resource == STATEFUL_SETS and spec.get("podManagementPolicy") != "Parallel"
        if resource == DAEMON_SETS:
            self.replicas = self.count("desiredNumberScheduled")
        else:
            self.replicas = number(spec.get("replicas"), 1)
        self.images = _sets(wanted)
        self.own = _own(resource, data, pods)
        self.new: list[Pod] = []
        self.old: list[Pod] = []
        for pod in self.own:
            (self.new if pod.runs(self.images) else self.old).append(pod)

    def count(self, name: str) -> int:
        return number(self.status.get(name))

    @property
    def observed(self) -> bool:
        """Whether its controller has seen its template."""
        seen = self.count("observedGeneration")
        return seen >= self._generation and (seen > 0 or self.resource != STATEFUL_SETS)

    def is_below_partition(self, pod: Pod) -> bool:
        return pod.ordinal - self._start < self.partition

    def missing(self) -> str | None:
        """What its counts lack; None when they are complete."""
        if self.resource == DAEMON_SETS:
            return self._missing_on_nodes()
        if self.resource == STATEFUL_SETS:
            return self._missing_in_order()
        updated, total = self.count("updatedReplicas"), self.count("replicas")
        available = self.count("availableReplicas")
        if updated < self.replicas:
            return f"{_of(updated, self.replicas, 'pods')} have been updated"
        if total > updated:
            return f"{total - updated} old pods are still to go"
        if available < updated:
            return f"{_of(available, updated, 'new pods')} are available"
        return None

    def _missing_on_nodes(self) -> str | None:
        updated = len(self.new) if self.on_delete else self.count("updatedNumberScheduled")
        if updated < self.replicas:
            return f"{_of(updated, self.replicas, 'pods')} have been updated"
        if self.count("numberAvailable") < self.replicas:
            return f"{_of(self.count('numberAvailable'), self.replicas, 'pods')} are available"
        return None

    def _missing_in_order(self) -> str | None:
        due = max(0, self.replicas - self.partition)
        # What is deleted by hand may come back from an older revision of the same image.
        updated = len(self.new) if self.on_delete else self.count("updatedReplicas")
        if updated < due:
            return f"{_of(updated, due, 'pods')} have been updated"
        ready = self.count("readyReplicas")
        if "availableReplicas" in self.status:
            ready = min(ready, self.count("availableReplicas"))
        if ready < self.replicas:
            return f"{_of(ready, self.replicas, 'pods')} are ready"
        return None


def _failed(view: _View, *, complete: bool) -> Health | None:
    hopeless = [pod for pod in view.new if any(container.is_hopeless for container in pod.containers)]
    if hopeless:
        more = f"; {len(hopeless) - 1} more like it" if len(hopeless) > 1 else ""
        return Health(RolloutResult.FAILED, f"pod {hopeless[0].name}: {hopeless[0].trouble}{more}")
    if complete:
        return None
    refused = view.conditions.get("ReplicaFailure", {})
    if refused.get("status") == "True":
        return Health(RolloutResult.FAILED, f"its pods cannot be made: {condition_text(refused)}")
    progress = view.conditions.get("Progressing", {})
    if progress.get("reason") in (_DEADLINE, _CANCELLED) and not _is_stale(view, str(progress.get("message") or "")):
        return Health(RolloutResult.FAILED, condition_text(progress) + _why(view.new))
    return None


def _is_stale(view: _View, message: str) -> bool:
    """Whether a condition tells of the rollout before: it names its ReplicaSet, and stays until this one progresses."""
    named = _NAMED.search(message)
    if named is None:
        return False
    if view.resource == DEPLOYMENT_CONFIGS:
        return named[1] != f"{view.name}-{view.count('latestVersion')}"
    return any(pod.owner[1] == named[1] for pod in view.old)


def _waiting(view: _View) -> Health | None:
    """The new image waits for a person."""
    others = f"{_of(len(view.old), max(view.replicas, len(view.own)), 'pods')} on another image"
    if not view.old:
        return None
    if view.paused:
        command = f"oc rollout resume {view.resource.kind.lower()}/{view.name}"
        return Health(RolloutResult.WAITING, f"paused (spec.paused), with {others}; {command} goes on")
    if view.on_delete:
        message = f"its updateStrategy is OnDelete, which leaves {others} until they are deleted"
        return Health(RolloutResult.WAITING, message)
    if view.missing() is None and any(view.is_below_partition(pod) for pod in view.old):
        return Health(RolloutResult.WAITING, f"its partition {view.partition} leaves {others}")
    return None


def _on_its_way(view: _View, missing: str | None) -> Health | None:
    if missing is None:
        unseen = view.replicas - len(view.own)
        return Health(None, f"{unseen} of its pods are not there") if unseen > 0 else None
    stuck = [pod for pod in view.old if not pod.ready]
    if view.ordered and stuck and not any(not pod.ready for pod in view.new):
        name, trouble = stuck[0].name, stuck[0].trouble
        told = f"pod {name} runs another image" + (f", {trouble}" if trouble else "")
        return Health(None, f"{missing}; {told}; a StatefulSet replaces no pod that is not ready: delete it")
    return Health(None, missing + _why(view.new))


def _why(pods: Sequence[Pod]) -> str:
    """Why one of the pods is not ready, to be put behind a message."""
    told = next((f"pod {pod.name}: {pod.trouble}" for pod in pods if not pod.ready and pod.trouble), None)
    return f"; {told}" if told else ""


def _come_up(view: _View) -> Health:
    if view.old:
        pod = view.old[0]
        other = [each for each in pod.containers if each.name in view.images and not each.runs(view.images[each.name])]
        told = f"container {other[0].name} runs {clean(other[0].image_id or other[0].image)}" if other else "is another"
        # A DeploymentConfig's counts are those of the rollout before until the new one has begun.
        result = None if view.resource == DEPLOYMENT_CONFIGS else RolloutResult.FAILED
        return Health(result, f"imported but not running: pod {pod.name}: {told}")
    if view.paused:
        return Health(RolloutResult.HEALTHY, "it runs the image, and is paused (spec.paused) for others to come")
    return Health(RolloutResult.HEALTHY)
