"""Whether a workload came up with the images it should run: a verdict on one read of it and its pods.

The counts are judged as `kubectl rollout status` does (kubectl, pkg/polymorphichelpers/rollout_status.go) and,
for a DeploymentConfig, `oc rollout status`. They alone prove nothing: counts are complete, too, where a pause, a
partition or OnDelete leaves pods on another image, so that every pod's own image is checked. What differs from kind to
kind is in `job.workloads.kinds`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from job.cluster import Resource
from job.cluster.unstructured import condition_text, object_in, objects_in
from job.domain.model import Blame, RolloutResult
from job.domain.records import dataclass, field
from job.domain.shell import command
from job.domain.text import clean
from job.workloads.image_triggers import digest_in
from job.workloads.kinds import kind_of, template_image
from job.workloads.kinds.kind import Jobs, Rolling, count_of
from job.workloads.pods import Container, Pod
from job.workloads.troubles import Trouble

_DEADLINE = "ProgressDeadlineExceeded"
_CANCELLED = "RolloutCancelled"
_NAMED = r'"([^"]+)"'

# For how many seconds a container has had the problem that it has now.
Lasted = Callable[[Pod, Container], float]


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict.

    Attributes:
        result: None while the rollout is on its way.
        message: why, what it waits for, or what else there is to say; None where `healthy` says it all.
        blame: what makes it bad, or would if it stayed as it is; None where nothing does.
        culprits: the containers whose images do, of those that should run new ones; empty where that is not known.
    """

    result: RolloutResult | None
    message: str | None = None
    blame: Blame | None = field(default=None, compare=False)
    culprits: frozenset[str] = field(default=frozenset(), compare=False)


def lasts_for_good(pod: Pod, container: Container) -> float:
    """What one read alone has to take for granted: that a problem which it shows lasts."""
    return float("inf")


def runs(resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str]) -> bool:
    """Whether the workload has pods, and the containers named run the digests wanted in all of them.

    For a CronJob, whether the pods of its next job will.
    """
    kind = kind_of(resource)
    if not isinstance(kind, Rolling):
        return _lacks(resource, data, wanted) is None
    own = _own(kind, data, pods)
    return bool(own) and all(pod.runs(_sets(wanted)) for pod in own)


def is_idle(resource: Resource, data: Mapping[str, Any]) -> bool:
    """Whether the workload is to run nothing now, so that its health says nothing of an image."""
    kind = kind_of(resource)
    if isinstance(kind, Jobs):
        return kind.suspension(data) is not None
    return isinstance(kind, Rolling) and kind.replicas(data) == 0


def stuck_pods(
    resource: Resource, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str], bad: frozenset[str]
) -> tuple[Pod, ...]:
    """The pods that must be deleted for the workload to come up: they hang on an image that was rolled back.

    A StatefulSet replaces none that is not ready, and OnDelete replaces none at all. Deployments replace their pods
    themselves.

    Args:
        resource: the kind of the workload.
        data: the workload.
        pods: what its selector finds.
        wanted: the digest that each container should run.
        bad: the digests that were rolled back.
    """
    kind = kind_of(resource)
    if not isinstance(kind, Rolling) or (kind.replaces_unready_pods and not kind.is_on_delete(data)):
        return ()
    # Until its controller has seen the new template, it would make the same pod again.
    if _lacks(resource, data, wanted) or not kind.is_observed(data):
        return ()
    images = dict.fromkeys(wanted, bad)
    old = _View(kind, data, pods, wanted).old
    return tuple(pod for pod in old if not pod.ready and pod.runs_any(images) and not kind.is_kept_back(data, pod))


def health(
    resource: Resource,
    data: Mapping[str, Any],
    pods: Sequence[Pod],
    wanted: Mapping[str, str],
    lasted: Lasted = lasts_for_good,
) -> Health:
    """The verdict on a workload.

    Args:
        resource: the kind of the workload.
        data: the workload, read before its pods.
        pods: what its selector finds; those that are not its own are left out here.
        wanted: the digest that each container, by name, should run.
        lasted: how long a problem is known to last; by default whatever is seen counts as lasting.
    """
    lacks = _lacks(resource, data, wanted)
    if lacks is not None:
        return Health(None, f"not redeployed yet: {lacks}", Blame.UNKNOWN)
    kind = kind_of(resource)
    if isinstance(kind, Jobs):
        return Health(RolloutResult.HEALTHY, kind.suspension(data))
    if not isinstance(kind, Rolling):
        raise TypeError(f"{resource.kind}: neither Jobs nor Rolling")
    if not kind.is_observed(data):
        return Health(None, "its controller has not seen the new image yet", Blame.UNKNOWN)
    view = _View(kind, data, pods, wanted)
    if view.replicas == 0:
        return Health(RolloutResult.HEALTHY, f"{kind.nothing_wanted}: nothing runs")
    missing = kind.missing(data, len(view.new))
    return (
        _failed(view, lasted, is_complete=missing is None)
        or _waiting(view, missing)
        or _on_its_way(view, missing)
        or _come_up(view)
    )


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


def _own(kind: Rolling, data: Mapping[str, Any], pods: Sequence[Pod]) -> list[Pod]:
    """The pods that are the workload's, and that count."""
    own = (pod for pod in pods if pod.active and kind.owns(data, pod))
    return sorted(own, key=lambda pod: (pod.ordinal, pod.name))


class _View:
    """A workload and its pods, those on the wanted images apart from the others."""

    def __init__(self, kind: Rolling, data: Mapping[str, Any], pods: Sequence[Pod], wanted: Mapping[str, str]) -> None:
        self.kind = kind
        self.data = data
        self.name = str(object_in(data, "metadata").get("name", ""))
        self.replicas = kind.replicas(data)
        self.images = _sets(wanted)
        self.own = _own(kind, data, pods)
        self.new: list[Pod] = []
        self.old: list[Pod] = []
        for pod in self.own:
            (self.new if pod.runs(self.images) else self.old).append(pod)

    def blame_of(self, container: Container, trouble: Trouble) -> Blame:
        """Who is to blame for a problem: a container whose image the run did not move is not the run's fault."""
        if trouble.blame is Blame.IMAGE and container.name not in self.images:
            return Blame.CONTAINER
        return trouble.blame

    def troubles(self) -> list[tuple[Pod, Container, Trouble]]:
        """The problems of the pods on the wanted images; those of containers that the run moved come first."""
        candidates = [
            (pod, container, container.trouble) for pod in self.new for container in pod.containers if container.trouble
        ]
        # A container that runs and is not ready may only be waiting for another one.
        return sorted(
            candidates, key=lambda one: (one[2].decides is None, one[2].group == "unready", self._is_other(one[1]))
        )

    def _is_other(self, container: Container) -> bool:
        return container.name not in self.images

    def culprits(self) -> frozenset[str]:
        """The containers with wanted images that are to blame for their own problems; empty where none is."""
        own = [
            (container.name, trouble)
            for _, container, trouble in self.troubles()
            if self.blame_of(container, trouble) is Blame.IMAGE
        ]
        # One that runs and is not ready may only be waiting for one that does not run.
        stopped = frozenset(name for name, trouble in own if trouble.group != "unready")
        return stopped or frozenset(name for name, _ in own)

    def blame(self) -> Blame:
        """Who is to blame if nothing changes any more."""
        for _, container, trouble in self.troubles():
            return self.blame_of(container, trouble)
        return Blame.NODE if any(pod.pending for pod in self.new) else Blame.UNKNOWN


def _failed(view: _View, lasted: Lasted, *, is_complete: bool) -> Health | None:
    decisive = [
        (pod, container, trouble)
        for pod, container, trouble in view.troubles()
        if trouble.decides is not None and lasted(pod, container) >= trouble.decides
    ]
    if decisive:
        pod, container, trouble = decisive[0]
        blame = view.blame_of(container, trouble)
        others = len({container.name for container, _, _ in decisive}) - 1
        more = f"; {others} more like it" if others else ""
        moved = frozenset().union(*view.images.values())
        apart = (
            "; the run moved the image of another container"
            if blame is Blame.CONTAINER and not container.runs(moved)
            else ""
        )
        return Health(RolloutResult.FAILED, f"pod {pod.name}: {trouble.words}{apart}{more}", blame, view.culprits())
    if is_complete:
        return None
    conditions = {
        str(condition.get("type")): condition for condition in objects_in(object_in(view.data, "status"), "conditions")
    }
    refused = conditions.get("ReplicaFailure", {})
    if refused.get("status") == "True":
        message = f"its pods cannot be made: {condition_text(refused)}"
        return Health(RolloutResult.FAILED, message, Blame.CONFIGURATION)
    progress = conditions.get("Progressing", {})
    if progress.get("reason") not in (_DEADLINE, _CANCELLED) or _is_stale(view, str(progress.get("message") or "")):
        return None
    blame = view.blame() if progress.get("reason") == _DEADLINE else Blame.UNKNOWN
    return Health(RolloutResult.FAILED, condition_text(progress) + _why(view), blame, view.culprits())


def _is_stale(view: _View, message: str) -> bool:
    """Whether a condition is about an earlier rollout: it names its ReplicaSet, and stays until this one progresses."""
    named = re.search(_NAMED, message)
    return named is not None and view.kind.is_earlier_rollout(view.data, named[1], view.old)


def _waiting(view: _View, missing: str | None) -> Health | None:
    """The new image waits for a user."""
    if not view.old:
        return None
    kind, data = view.kind, view.data
    others = f"{count_of(len(view.old), max(view.replicas, len(view.own)), 'pods')} on another image"
    if kind.is_paused(data):
        resume = command("oc", "rollout", "resume", f"{kind.resource.kind.lower()}/{view.name}")
        return Health(RolloutResult.WAITING, f"paused (spec.paused), with {others}; {resume} goes on", Blame.UNKNOWN)
    if kind.is_on_delete(data):
        message = f"its updateStrategy is OnDelete, which leaves {others} until they are deleted"
        return Health(RolloutResult.WAITING, message, Blame.UNKNOWN)
    if missing is None and any(kind.is_kept_back(data, pod) for pod in view.old):
        message = f"its partition {kind.partition(data)} leaves {others}"
        return Health(RolloutResult.WAITING, message, Blame.UNKNOWN)
    return None


def _on_its_way(view: _View, missing: str | None) -> Health | None:
    if missing is None:
        absent = view.replicas - len(view.own)
        return Health(None, f"{absent} of its pods are not there", Blame.UNKNOWN) if absent > 0 else None
    stuck = [pod for pod in view.old if not pod.ready]
    if view.kind.is_ordered(view.data) and stuck and not any(not pod.ready for pod in view.new):
        name, trouble = stuck[0].name, stuck[0].trouble
        other = f"pod {name} runs another image" + (f", {trouble}" if trouble else "")
        kind = view.kind.resource.kind
        message = f"{missing}; {other}; a {kind} replaces no pod that is not ready: delete it"
        return Health(None, message, Blame.UNKNOWN)
    return Health(None, missing + _why(view), view.blame(), view.culprits())


def _why(view: _View) -> str:
    """Why one of the pods on the wanted images is not ready, to be put behind a message."""
    reason = next((f"pod {pod.name}: {pod.trouble}" for pod in view.new if not pod.ready and pod.trouble), None)
    return f"; {reason}" if reason else ""


def _come_up(view: _View) -> Health:
    if view.old:
        pod = view.old[0]
        other = [
            container
            for container in pod.containers
            if container.name in view.images and not container.runs(view.images[container.name])
        ]
        what = f"container {other[0].name} runs {clean(other[0].image_id or other[0].image)}" if other else "is another"
        result = RolloutResult.FAILED if view.kind.counts_are_current else None
        return Health(result, f"imported but not running: pod {pod.name}: {what}", Blame.UNKNOWN)
    if view.kind.is_paused(view.data):
        return Health(RolloutResult.HEALTHY, "it runs the image, and is paused (spec.paused) for others to come")
    return Health(RolloutResult.HEALTHY)
