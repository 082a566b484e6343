"""Whether the workloads that follow a tag came up: the watching.

What a trigger means is told by `workloads`, and what a look at a workload and its pods means by `health`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from job.cluster import CRON_JOBS, DEPLOYMENT_CONFIGS, PODS, Cluster, Resource
from job.cluster.unstructured import object_in, objects_in
from job.domain.errors import ClusterError
from job.domain.model import Reason, Rollout, RolloutResult, TagName
from job.domain.text import clean
from job.runtime.clock import SYSTEM, Clock
from job.runtime.pool import Throttle, run_tasks
from job.workloads.health import Health, health, runs, stuck_pods
from job.workloads.image_triggers import Follows, Workload, digest_in, template_image
from job.workloads.pods import Pod, pod_from

log = logging.getLogger(__name__)

# A page of pods is large, and the pod of a run is small.
LOOKS_AT_ONCE = 8
LOOKS_A_SECOND = 10
FIRST_PAUSE_SECONDS = 1.0
PAUSE_SECONDS = 2.0
# How old what was seen last may be for a verdict on the workload, and not on the way to it.
FRESH_SECONDS = 30.0
# A request that hangs does not hold up the verdict for longer.
OVERTIME_SECONDS = 10.0
GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Moved:
    """The digest that a tag has now; `bad` is the one that it was rolled back from."""

    digest: str
    bad: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A trigger of a workload, and where its tag has moved."""

    follows: Follows
    moved: Moved


@dataclass(frozen=True, slots=True)
class Followed:
    """A workload that follows tags which moved, with those of its triggers that are on them."""

    workload: Workload
    parts: tuple[Part, ...]

    @property
    def tags(self) -> tuple[TagName, ...]:
        """The tags, each once."""
        return tuple(dict.fromkeys(part.follows.tag for part in self.parts))


def followed_by(workloads: Iterable[Workload], moved: Mapping[TagName, Moved]) -> tuple[Followed, ...]:
    """The workloads that follow one of the tags, with what their containers are to run."""
    found = []
    for workload in workloads:
        parts = tuple(Part(each, moved[each.tag]) for each in workload.follows if each.tag in moved)
        if parts:
            found.append(Followed(workload, parts))
    return tuple(found)


def selector_of(resource: Resource, data: Mapping[str, Any]) -> str:
    """The label selector of a workload's pods, as a query has it."""
    if resource == DEPLOYMENT_CONFIGS:
        return ",".join(f"{key}={value}" for key, value in sorted(object_in(data, "spec", "selector").items()))
    selector = object_in(data, "spec", "selector")
    parts = [f"{key}={value}" for key, value in sorted(object_in(selector, "matchLabels").items())]
    for each in objects_in(selector, "matchExpressions"):
        key, operator, values = each.get("key"), each.get("operator"), each.get("values")
        listed = ",".join(map(str, values)) if isinstance(values, list) else ""
        forms = {"In": f"{key} in ({listed})", "NotIn": f"{key} notin ({listed})", "DoesNotExist": f"!{key}"}
        parts.append(forms.get(str(operator), str(key)))
    return ",".join(parts)


def verdict(followed: Followed, data: Mapping[str, Any], pods: Sequence[Pod]) -> Health:
    """What one look at a workload and its pods says of all its triggers that are on tags which moved.

    A trigger that cannot fire, or is switched off, is no fault where the workload runs the image all the same.
    """
    resource, wanted = followed.workload.resource, _wanted(followed, data)
    found = health(resource, data, pods, wanted) if wanted else Health(RolloutResult.HEALTHY)
    if found.result is not RolloutResult.HEALTHY:
        return found
    idle = [
        part.follows
        for part in followed.parts
        if part.follows.container not in wanted
        and not runs(resource, data, pods, {part.follows.container: part.moved.digest})
    ]
    if not idle:
        return found
    # Of several the one that nobody meant.
    told = next((follows for follows in idle if not follows.paused), idle[0])
    tag = told.tag.seen_from(followed.workload.namespace)
    if told.paused:
        image = clean(template_image(resource, data, told.container) or "its image")
        return Health(RolloutResult.PAUSED, f"its trigger on {tag} is paused: container {told.container} keeps {image}")
    return Health(RolloutResult.WILL_NOT_REDEPLOY, f"its trigger on {tag} does not fire: {told.problem}")


def _wanted(followed: Followed, data: Mapping[str, Any]) -> dict[str, str]:
    """What will run: where the trigger fires, and where the template has the image however it came there."""
    wanted = {}
    for part in followed.parts:
        follows, digest = part.follows, part.moved.digest
        there = digest_in(template_image(followed.workload.resource, data, follows.container)) == digest
        if there or not (follows.problem or follows.paused):
            wanted[follows.container] = digest
    return wanted


def pace(looks: int, watched: int) -> float:
    """Seconds to the next look at a workload, after so many, while so many workloads are watched."""
    return max(FIRST_PAUSE_SECONDS if looks == 1 else PAUSE_SECONDS, watched / LOOKS_A_SECOND)


Changed = Callable[[Workload, Health], None]


@dataclass(slots=True)
class _Around:
    """What all that is watched shares; `telling` guards `watched` and the calls of `changed`."""

    cluster: Cluster
    throttle: Throttle
    changed: Changed
    clock: Clock
    pace: Callable[[int, int], float]
    begun: float
    timeout: float
    watched: int
    telling: threading.Lock

    @property
    def until(self) -> float:
        return self.begun + self.timeout


class _Watched:
    """One workload that is watched."""

    def __init__(self, followed: Followed, around: _Around) -> None:
        self.rollout: Rollout | None = None
        self._followed = followed
        self._around = around
        self._gone = False
        self._looks = 0
        self._asking = ""
        self._seen_at = float("-inf")
        self._seen: str | None = None
        self._last: RolloutResult | None = None
        # How often its pods started again; and whether none did since a look that found them healthy.
        self._restarts = 0
        self._steady = False
        self._told: Health | None = None
        self._note: str | None = None

    def step(self) -> float | None:
        """Look once: at the workload and at its pods; see `pool.Task`."""
        around, waited = self._around, 0.0
        self._looks += 1
        try:
            found = self._look()
            around.throttle.succeeded()
        except ClusterError as error:
            if error.code in (429, 503):
                around.throttle.slow_down()
            waited = error.retry_after or 0.0
            found = self._not_seen(error)
        if found is None:
            self._leave()
            return None
        now = around.clock.monotonic()
        if now < around.until:
            found = self._held_back(found)
        elif found.result is None:
            found = self._overdue(found)
        self._tell(found)
        if found.result is not None:
            return None
        return min(max(waited, around.pace(self._looks, around.watched)), max(0.0, around.until - now))

    def end(self) -> None:
        """Give a verdict, since it is looked at no longer."""
        last = self._told or Health(None, "it was not looked at yet")
        if self._around.clock.monotonic() >= self._around.until:
            self._tell(self._overdue(last))
        else:
            self._tell(Health(RolloutResult.ABORTED, f"watched no longer: {last.message}"))

    def _look(self) -> Health | None:
        workload, cluster = self._followed.workload, self._around.cluster
        self._asking = f"get on {workload.resource.plural}"
        try:
            data = cluster.get(workload.resource, workload.namespace, workload.name)
        except ClusterError as error:
            if error.code == 404:
                return None
            raise
        pods: list[Pod] = []
        if workload.resource != CRON_JOBS:
            self._asking = "list on pods"
            selector = selector_of(workload.resource, data) or None
            pods = [pod_from(each) for each in cluster.list(PODS, workload.namespace, selector)]
        self._heal(data, pods)
        found = verdict(self._followed, data, pods)
        self._seen, self._seen_at = found.message, self._around.clock.monotonic()
        restarts = sum(container.restarts for pod in pods for container in pod.containers)
        self._steady = not pods or (self._last is RolloutResult.HEALTHY and restarts <= self._restarts)
        self._restarts = restarts
        return found

    def _held_back(self, found: Health) -> Health:
        """What is not believed at first sight is still on its way.

        A pod without a probe counts as ready until its first crash, and the conditions of the rollout before may stay
        for a moment.
        """
        last, self._last = self._last, found.result
        if found.result is RolloutResult.HEALTHY and not self._steady:
            return Health(None, "its pods run the image; they are looked at once more")
        if found.result is RolloutResult.FAILED and last is not RolloutResult.FAILED:
            return Health(None, found.message)
        return found

    def _heal(self, data: Mapping[str, Any], pods: Sequence[Pod]) -> None:
        workload = self._followed.workload
        bad = frozenset(part.moved.bad for part in self._followed.parts if part.moved.bad)
        if not bad or self._note:
            return
        for pod in stuck_pods(workload.resource, data, pods, _wanted(self._followed, data), bad):
            try:
                self._around.cluster.delete(PODS, workload.namespace, pod.name, pod.uid)
                log.info("deleted pod %s of %s, which was stuck on the image before", pod.name, workload)
            except ClusterError as error:
                if error.reason is Reason.FORBIDDEN:
                    self._note = f"pod {pod.name} is not deleted: grant delete on pods, or delete it by hand"
                    return
                # One that is gone, or is another by now, is as it should be; for the rest there is the next look.

    def _not_seen(self, error: ClusterError) -> Health:
        if error.reason in (Reason.FORBIDDEN, Reason.UNAUTHORIZED):
            advice = f"; grant {self._asking}, or add the rollouts component"
            message = f"cannot be watched: {error}{advice if error.reason is Reason.FORBIDDEN else ''}"
            return Health(RolloutResult.ABORTED, message)
        seen = f"{self._seen}; " if self._seen else ""
        return Health(None, f"{seen}the last look failed: {error}")

    def _overdue(self, last: Health) -> Health:
        # What was not seen of late is nothing that the image could be blamed for.
        fresh = self._around.clock.monotonic() - self._seen_at <= FRESH_SECONDS
        result = RolloutResult.TIMED_OUT if fresh else RolloutResult.ABORTED
        return Health(result, f"after {self._around.timeout:.0f} s: {last.message}")

    def _leave(self) -> None:
        with self._around.telling:
            self._gone = True
            self._around.watched -= 1

    def _tell(self, found: Health) -> None:
        around, workload = self._around, self._followed.workload
        if self._note and found.result is not RolloutResult.HEALTHY and not (found.message or "").endswith(self._note):
            found = Health(found.result, f"{found.message}; {self._note}")
        with around.telling:
            # A look under way may end when the verdict has been given without it.
            if self.rollout is not None or self._gone or found == self._told:
                return
            self._told = found
            if found.result is not None:
                around.watched -= 1
                self.rollout = Rollout(
                    namespace=workload.namespace,
                    kind=workload.resource.kind,
                    name=workload.name,
                    tags=self._followed.tags,
                    result=found.result,
                    message=found.message,
                    seconds=around.clock.monotonic() - around.begun,
                )
            around.changed(workload, found)


def watch(
    cluster: Cluster,
    followed: Sequence[Followed],
    *,
    timeout: float,
    stopping: Callable[[], bool],
    concurrency: int,
    changed: Changed = lambda workload, found: None,
    clock: Clock = SYSTEM,
    pace: Callable[[int, int], float] = pace,
) -> tuple[Rollout, ...]:
    """Watch workloads until each came up, failed, waits for a person, or the time is over. No API error is raised.

    That one came up or failed is believed when two looks in a row say so.
    Pods that are stuck on an image that was taken back (`Moved.bad`) are deleted on the way.

    Args:
        cluster: the cluster.
        followed: the workloads.
        timeout: seconds that all of them have.
        stopping: asked several times a second; once true, what has no verdict is `aborted`.
        concurrency: looks at a time, at most.
        changed: called with each thing that becomes known of a workload, one call at a time; the verdict comes last.
        clock: the time.
        pace: seconds to the next look, after so many looks, while so many workloads are watched.

    Returns:
        The verdicts, in the order given. A workload that was deleted meanwhile has none. One that cannot be looked
        at, for want of a right or for an API that fails, is `aborted`, since its image is not to blame.
    """
    throttle = Throttle(max(1, min(concurrency, LOOKS_AT_ONCE)))
    around = _Around(
        cluster, throttle, changed, clock, pace, clock.monotonic(), timeout, len(followed), threading.Lock()
    )
    tasks = [_Watched(each, around) for each in followed]

    def stop() -> bool:
        return stopping() or clock.monotonic() >= around.until + OVERTIME_SECONDS

    run_tasks(tasks, throttle, stop, GRACE_SECONDS)
    for task in tasks:
        task.end()
    return tuple(task.rollout for task in tasks if task.rollout)
