"""The commands that fix a workload, or show more of what is wrong with it, as they can be pasted into a shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from job.cluster import STATEFUL_SETS, Resource, reference
from job.cluster.unstructured import object_in
from job.domain.model import RolloutResult, TagName
from job.domain.records import dataclass
from job.domain.shell import command, ours
from job.workloads.kinds import kind_of
from job.workloads.pods import Container, Pod

_ALL_PODS = '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'
# Enough to see what happens, without a command that fills the screen.
MOST_PODS = 5


@dataclass(frozen=True, slots=True)
class UnhealthyWorkload:
    """A workload whose rollout is not healthy, and what its remedies are chosen by.

    Attributes:
        resource: its kind.
        data: the workload, as the API returned it.
        result: the verdict on its rollout; None while it is in progress.
        tag: a tag that it follows.
        back: the tag that a rollback would move; None where there is nothing to roll back.
        old: its pods that do not run the image of the tag.
        failing_container: a pod and container that run the new image and cannot become ready by themselves.
    """

    resource: Resource
    data: Mapping[str, Any]
    result: RolloutResult | None
    tag: TagName
    back: TagName | None
    old: tuple[Pod, ...]
    failing_container: tuple[Pod, Container] | None

    @property
    def where(self) -> tuple[str, str]:
        """The option for its namespace."""
        return "-n", str(object_in(self.data, "metadata").get("namespace", ""))

    @property
    def target(self) -> str:
        """How `oc` names it."""
        return reference(self.resource, str(object_in(self.data, "metadata").get("name", "")))

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec."""
        return object_in(self.data, "spec")

    @property
    def stuck(self) -> tuple[Pod, ...]:
        """Old pods that are not ready; a StatefulSet waits for them without end."""
        return tuple(pod for pod in self.old if not pod.ready)

    @property
    def is_on_delete(self) -> bool:
        """Whether its pods are replaced only when they are deleted."""
        return object_in(self.spec, "updateStrategy").get("type") == "OnDelete"

    @property
    def has_failed_pod(self) -> bool:
        """Whether its rollout failed because of a pod."""
        return self.result is RolloutResult.FAILED and self.failing_container is not None

    def oc(self, *words: str) -> str:
        """A command of `oc` in its namespace."""
        return command("oc", *words, *self.where)


@dataclass(frozen=True, slots=True)
class Remedy:
    """A command, and the workloads that it is for."""

    applies: Callable[[UnhealthyWorkload], bool]
    command: Callable[[UnhealthyWorkload], str]


def _waits(workload: UnhealthyWorkload) -> bool:
    return workload.result is RolloutResult.WAITING


def _back(workload: UnhealthyWorkload) -> str:
    return ours("rollback", workload.back or workload.tag)


def _pod_log(workload: UnhealthyWorkload) -> str:
    """The log of the container's last run; one that never started has none, so its pod is described."""
    assert workload.failing_container is not None
    pod, container = workload.failing_container
    if container.restarts:
        return workload.oc("logs", f"pod/{pod.name}", "-c", container.name, "--previous")
    return workload.oc("describe", f"pod/{pod.name}")


# The first that applies is suggested.
REMEDIES: tuple[Remedy, ...] = (
    Remedy(lambda it: it.result is RolloutResult.WILL_NOT_REDEPLOY, lambda it: ours("doctor", it.tag)),
    Remedy(lambda it: _waits(it) and it.spec.get("paused") is True, lambda it: it.oc("rollout", "resume", it.target)),
    Remedy(
        lambda it: _waits(it) and it.is_on_delete,
        lambda it: it.oc("delete", "pod", *(pod.name for pod in it.old[:MOST_PODS])),
    ),
    Remedy(_waits, lambda it: it.oc("patch", it.target, "--type=merge", "-p", _ALL_PODS)),
    Remedy(
        lambda it: it.result is None and it.resource == STATEFUL_SETS and bool(it.stuck),
        lambda it: it.oc("delete", "pod", it.stuck[0].name),
    ),
    Remedy(lambda it: it.has_failed_pod and it.back is not None, _back),
    Remedy(lambda it: it.has_failed_pod, _pod_log),
    Remedy(
        lambda it: it.result is None and kind_of(it.resource).has_rollout_status,
        lambda it: it.oc("rollout", "status", it.target),
    ),
    Remedy(lambda it: True, lambda it: it.oc("describe", it.target)),
)


def remedy(
    resource: Resource,
    data: Mapping[str, Any],
    pods: Sequence[Pod],
    result: RolloutResult | None,
    wanted: Mapping[str, str],
    tag: TagName,
    back: TagName | None,
) -> str | None:
    """The command that fixes a workload, or shows more of what is wrong; None where nothing is.

    Args:
        resource: its kind.
        data: the workload, as the API returned it.
        pods: those that its selector selects.
        result: the verdict on its rollout; None while it is in progress.
        wanted: the digest that each container should run.
        tag: a tag that it follows.
        back: the tag that a rollback would move; None where it was rolled back already, or has no earlier image.
    """
    if result in (RolloutResult.HEALTHY, RolloutResult.PAUSED):
        return None
    name = str(object_in(data, "metadata").get("name", ""))
    images = {container: frozenset({digest}) for container, digest in wanted.items()}
    own = (pod for pod in pods if pod.active and pod.owner[:2] == (resource.kind, name))
    new = [pod for pod in pods if pod.runs(images)]
    failing_container = next(
        ((pod, candidate) for pod in new for candidate in pod.containers if candidate.is_hopeless), None
    )
    old = tuple(pod for pod in own if not pod.runs(images))
    workload = UnhealthyWorkload(resource, data, result, tag, back, old, failing_container)
    return next(candidate.command(workload) for candidate in REMEDIES if candidate.applies(workload))
