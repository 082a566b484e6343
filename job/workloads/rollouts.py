"""Whether the workloads that follow a tag came up: watching them until each has a verdict.

What a trigger means is in `image_triggers`, and what one read of a workload and its pods means in `health`. Here is
what only several reads show: whether a problem lasts, and whether pods that are ready stay so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from job.cluster import PODS, Cluster
from job.domain.errors import ClusterError
from job.domain.model import Reason, Rollout, RolloutResult
from job.domain.records import dataclass, field, replace
from job.runtime.clock import SYSTEM, Clock
from job.runtime.pool import Throttle, run_tasks
from job.workloads.followers import Followed, verdict, wanted_digests
from job.workloads.health import Health, stuck_pods
from job.workloads.image_triggers import Workload
from job.workloads.kinds import kind_of
from job.workloads.kinds.kind import Rolling
from job.workloads.pods import Container, Pod, pod_from
from job.workloads.troubles import PATIENCE_SECONDS, Trouble

log = logging.getLogger(__name__)

# A page of pods is large, and the pod of a run is small.
LOOKS_AT_ONCE = 8
READS_A_SECOND = 10
FIRST_PAUSE_SECONDS = 1.0
PAUSE_SECONDS = 2.0
# A timeout is `timed_out` if the last successful read is at most this old, else `aborted`.
FRESH_SECONDS = 30.0
# A request that hangs does not hold up the verdict for longer.
OVERTIME_SECONDS = 10.0
GRACE_SECONDS = 1.0
# What ROLLOUT_STABLE is unless it is set.
STABLE_SECONDS = 15.0


def pace(reads: int, watched: int) -> float:
    """Seconds to the next read of a workload, after so many, while so many workloads are watched."""
    return max(FIRST_PAUSE_SECONDS if reads == 1 else PAUSE_SECONDS, watched / READS_A_SECOND)


Changed = Callable[[Workload, Health], None]


class Memory:
    """What several reads of the pods of one workload show.

    Args:
        patience: for how many seconds a problem must last to decide the rollout, where a later try may help.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._now = 0.0
        # Since when each container has had its problem, and the last word on why its image cannot be pulled.
        self._since: dict[tuple[str, str], tuple[str, float]] = {}
        self._causes: dict[tuple[str, str], Trouble] = {}
        self._pods: tuple[tuple[str, int], ...] = ()
        self._unchanged_since = 0.0

    def record(self, pods: Sequence[Pod], now: float) -> list[Pod]:
        """Record a read, and return the pods with the causes that an earlier read showed."""
        self._now = now
        known = [self._with_causes(pod) for pod in pods]
        troubles = {
            (pod.name, container.name): container.trouble
            for pod in known
            for container in pod.containers
            if container.trouble
        }
        before = self._since
        self._since = {
            key: before[key] if before.get(key, ("", 0.0))[0] == trouble.group else (trouble.group, now)
            for key, trouble in troubles.items()
        }
        restarts = [
            (pod.uid or pod.name, sum(container.restarts for container in pod.containers))
            for pod in known
            if pod.active
        ]
        if self._pods != (seen := tuple(sorted(restarts))):
            self._pods, self._unchanged_since = seen, now
        return known

    def not_ready(self) -> None:
        """Forget for how long the pods have been ready: they are not."""
        self._unchanged_since = self._now

    def lasted(self, pod: Pod, container: Container) -> float:
        """For how long the container has had its problem, in seconds of PATIENCE_SECONDS."""
        _, since = self._since.get((pod.name, container.name), ("", self._now))
        return (self._now - since) * PATIENCE_SECONDS / self._patience

    @property
    def steady(self) -> float:
        """Seconds since the pods last changed, started again or were not ready."""
        return self._now - self._unchanged_since

    def _with_causes(self, pod: Pod) -> Pod:
        containers = []
        for container in pod.containers:
            key, trouble = (pod.name, container.name), container.trouble
            if trouble and trouble.group == "pull":
                # A kubelet before 1.31 gives the cause only while it tries, and not while it waits.
                if not trouble.is_vague:
                    self._causes[key] = trouble
                container = replace(container, trouble=self._causes.get(key, trouble))
            containers.append(container)
        return replace(pod, containers=tuple(containers))


@dataclass(slots=True)
class _Watch:
    """What all workloads of a watch share; `lock` guards `watched` and the calls of `changed`."""

    cluster: Cluster
    throttle: Throttle
    changed: Changed
    clock: Clock
    pace: Callable[[int, int], float]
    begun: float
    timeout: float
    stable: float
    watched: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def until(self) -> float:
        return self.begun + self.timeout

    @property
    def patience(self) -> float:
        """For how many seconds a problem must last, which leaves time to report it."""
        return max(min(PATIENCE_SECONDS, self.timeout / 2), 0.001)


class _Watched:
    """One workload that is watched."""

    def __init__(self, followed: Followed, shared: _Watch) -> None:
        self.rollout: Rollout | None = None
        self._followed = followed
        self._shared = shared
        self._memory = Memory(shared.patience)
        self._gone = False
        self._reads = 0
        self._request = ""
        self._seen_at = float("-inf")
        self._seen: Health | None = None
        self._last: RolloutResult | None = None
        self._has_pods = False
        self._reported: Health | None = None
        self._note: str | None = None

    def step(self) -> float | None:
        """Read the workload and its pods once; see `pool.Task`."""
        shared, retry_after = self._shared, 0.0
        self._reads += 1
        try:
            health = self._read()
            shared.throttle.succeeded()
        except ClusterError as error:
            if error.code in (429, 503):
                shared.throttle.slow_down()
            retry_after = error.retry_after or 0.0
            health = self._not_seen(error)
        if health is None:
            self._leave()
            return None
        now = shared.clock.monotonic()
        if now < shared.until:
            health = self._held_back(health)
        elif health.result is None:
            health = self._overdue(health)
        self._report(health)
        if health.result is not None:
            return None
        return min(max(retry_after, shared.pace(self._reads, shared.watched)), max(0.0, shared.until - now))

    def end(self) -> None:
        """Give a verdict, since the watch is over."""
        last = self._reported or Health(None, "it was not checked yet")
        if self._shared.clock.monotonic() >= self._shared.until:
            self._report(self._overdue(last))
        else:
            self._report(Health(RolloutResult.ABORTED, f"stopped watching: {last.message}"))

    def _read(self) -> Health | None:
        workload, cluster = self._followed.workload, self._shared.cluster
        kind = kind_of(workload.resource)
        self._request = f"get on {workload.resource.plural}"
        try:
            data = cluster.get(workload.resource, workload.namespace, workload.name)
        except ClusterError as error:
            if error.code == 404:
                return None
            raise
        pods: list[Pod] = []
        if isinstance(kind, Rolling):
            self._request = "list on pods"
            listed = cluster.list(PODS, workload.namespace, kind.selector(data) or None)
            pods = [pod for pod in map(pod_from, listed) if kind.owns(data, pod)]
        self._seen_at = self._shared.clock.monotonic()
        pods = self._memory.record(pods, self._seen_at)
        self._has_pods = bool(pods)
        self._heal(data, pods)
        health = verdict(self._followed, data, pods, self._memory.lasted)
        if health.result is not RolloutResult.HEALTHY:
            self._memory.not_ready()
        self._seen = health
        return health

    @property
    def _is_stable(self) -> bool:
        return not self._has_pods or self._memory.steady >= self._shared.stable

    def _held_back(self, health: Health) -> Health:
        """A verdict that one read does not prove is held back.

        A pod without a probe counts as ready until its first crash, and the conditions of the rollout before may stay
        for a moment.
        """
        last, self._last = self._last, health.result
        if health.result is RolloutResult.HEALTHY and not self._is_stable:
            return Health(None, f"its pods are ready; healthy after {self._shared.stable:g} s without a restart")
        if health.result is RolloutResult.FAILED and last is not RolloutResult.FAILED:
            return replace(health, result=None)
        return health

    def _heal(self, data: Mapping[str, Any], pods: Sequence[Pod]) -> None:
        workload = self._followed.workload
        bad = frozenset(part.moved.bad for part in self._followed.parts if part.moved.bad)
        if not bad or self._note:
            return
        for pod in stuck_pods(workload.resource, data, pods, wanted_digests(self._followed, data), bad):
            try:
                self._shared.cluster.delete(PODS, workload.namespace, pod.name, pod.uid)
                log.info("deleted pod %s of %s, which was stuck on the image before", pod.name, workload)
            except ClusterError as error:
                if error.reason is Reason.FORBIDDEN:
                    self._note = f"pod {pod.name} is not deleted: grant delete on pods, or delete it by hand"
                    return
                # A pod that is gone, or is another by now, needs nothing; for the rest there is the next read.

    def _not_seen(self, error: ClusterError) -> Health:
        if error.reason in (Reason.FORBIDDEN, Reason.UNAUTHORIZED):
            advice = f"; grant {self._request}, or add the rollouts component"
            message = f"cannot be watched: {error}{advice if error.reason is Reason.FORBIDDEN else ''}"
            return Health(RolloutResult.ABORTED, message)
        seen = f"{self._seen.message}; " if self._seen and self._seen.message else ""
        return replace(self._seen or Health(None), result=None, message=f"{seen}the last check failed: {error}")

    def _overdue(self, last: Health) -> Health:
        # The image is not to blame for what was not seen of late.
        fresh = self._shared.clock.monotonic() - self._seen_at <= FRESH_SECONDS
        result = RolloutResult.TIMED_OUT if fresh else RolloutResult.ABORTED
        return replace(last, result=result, message=f"after {self._shared.timeout:.0f} s: {last.message}")

    def _leave(self) -> None:
        with self._shared.lock:
            self._gone = True
            self._shared.watched -= 1

    def _report(self, health: Health) -> None:
        shared, workload = self._shared, self._followed.workload
        if (
            self._note
            and health.result is not RolloutResult.HEALTHY
            and not (health.message or "").endswith(self._note)
        ):
            health = replace(health, message=f"{health.message}; {self._note}")
        with shared.lock:
            # A read under way may end when the verdict has been given without it.
            if self.rollout is not None or self._gone or health == self._reported:
                return
            self._reported = health
            if health.result is not None:
                shared.watched -= 1
                self.rollout = Rollout(
                    namespace=workload.namespace,
                    kind=workload.resource.kind,
                    name=workload.name,
                    tags=self._followed.tags,
                    result=health.result,
                    message=health.message,
                    seconds=shared.clock.monotonic() - shared.begun,
                    blame=health.blame,
                    culprits=self._followed.tags_of(health.culprits),
                )
            shared.changed(workload, health)


def watch(
    cluster: Cluster,
    followed: Sequence[Followed],
    *,
    timeout: float,
    stopping: Callable[[], bool],
    concurrency: int,
    stable: float = STABLE_SECONDS,
    changed: Changed = lambda workload, health: None,
    clock: Clock = SYSTEM,
    pace: Callable[[int, int], float] = pace,
) -> tuple[Rollout, ...]:
    """Watch workloads until each came up, failed, waits for a user, or the time is over. No API error is raised.

    A failure is believed when two reads in a row show it. Pods that are stuck on an image that was rolled back
    (`Moved.bad`) are deleted on the way.

    Args:
        cluster: the cluster.
        followed: the workloads.
        timeout: seconds that all of them have.
        stopping: asked several times a second; once true, what has no verdict is `aborted`.
        concurrency: reads at a time, at most.
        stable: for how many seconds all pods must have been ready without a restart to count as healthy; at most half
            of the timeout counts.
        changed: called with each change of what is known of a workload, one call at a time; the verdict comes last.
        clock: the time.
        pace: seconds to the next read, after so many reads, while so many workloads are watched.

    Returns:
        The verdicts, in the order given. A workload that was deleted meanwhile has none. One that cannot be watched,
        because a right is missing or the API fails, is `aborted`, since its image is not to blame.
    """
    throttle = Throttle(max(1, min(concurrency, LOOKS_AT_ONCE)))
    begun, stable = clock.monotonic(), min(stable, timeout / 2)
    shared = _Watch(cluster, throttle, changed, clock, pace, begun, timeout, stable, len(followed))
    tasks = [_Watched(follower, shared) for follower in followed]

    def stop() -> bool:
        return stopping() or clock.monotonic() >= shared.until + OVERTIME_SECONDS

    run_tasks(tasks, throttle, stop, GRACE_SECONDS)
    for task in tasks:
        task.end()
    return tuple(task.rollout for task in tasks if task.rollout)
