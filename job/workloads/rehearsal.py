"""Rehearsals: whether the nodes of a workload can use an image, before its tag moves.

One pod for each workload and digest pulls the image as the workload would, and runs nothing of it
(`job.workloads.rehearsal_pod`). Pods are removed whatever happens; what a killed run leaves is owned by its Job, is
ended by the node after a time, and is removed by the next run.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from job.cluster import PODS, Cluster
from job.cluster.unstructured import number, object_in
from job.domain.durations import describe
from job.domain.errors import ClusterError
from job.domain.involved import Involved
from job.domain.model import ANNOTATION_PREFIX
from job.domain.records import dataclass, replace
from job.domain.rehearsals import Obstacle, Rehearsal
from job.domain.scope import Scope, Shard
from job.domain.shell import oc
from job.domain.text import clean
from job.domain.times import parse_time
from job.runtime.clock import SYSTEM, Clock
from job.runtime.pool import gather
from job.runtime.retry import Retrier, retrier
from job.workloads.follower_images import FollowerImage
from job.workloads.kinds import kind_of
from job.workloads.rehearsal_pod import (
    RUN_LABEL,
    SELECTOR,
    Identity,
    Sight,
    refusal_of,
    rehearsal_pod,
    requires_non_root,
    sight_of,
)
from job.workloads.troubles import PATIENCE_SECONDS

log = logging.getLogger(__name__)

# A pull is work for a node and a registry.
PODS_AT_ONCE = 10
REQUESTS_AT_ONCE = 4
POLL_SECONDS = 1.0
# For the answers to requests that create pods, once the run is to stop.
REMOVAL_GRACE_SECONDS = 10.0
_REMOVAL_RETRIES = 2
_NAME = "import-images-rehearsal"
_SCOPE_ANNOTATION = f"{ANNOTATION_PREFIX}scope"
_WORKLOAD_ANNOTATION = f"{ANNOTATION_PREFIX}rehearses"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of one rehearsal; `obstacle` and `message` say why it did not pass, `node` where the pod was."""

    candidate: FollowerImage
    result: Rehearsal
    obstacle: Obstacle | None = None
    message: str | None = None
    node: str | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        where = f" on node {self.node}" if self.node else ""
        cause = f"{self.obstacle.replace('_', ' ')}: " if self.obstacle else ""
        return f"{self.candidate.workload}{where}: {cause}{self.message or self.result}"


@dataclass(frozen=True, slots=True)
class Stage:
    """What all rehearsals of a run share.

    Attributes:
        cluster: the cluster.
        run: the run's id.
        scope: what the run imports, and `namespaces` where, which says whose leftovers it may remove: it has the locks.
        owner: the Job of the run, if it has one.
        timeout: seconds that a pod gets.
        retrier: sends a request again where that may help, and knows when to stop.
        clock: measures how long a problem lasts.
    """

    cluster: Cluster
    run: str
    scope: Scope
    namespaces: frozenset[str]
    owner: Involved | None
    timeout: float
    retrier: Retrier
    clock: Clock = SYSTEM

    @property
    def patience(self) -> float:
        """For how many seconds a problem must last that a later try may solve."""
        return max(min(PATIENCE_SECONDS, self.timeout / 2), 0.001)


@dataclass(slots=True, eq=False)
class _Pod:
    """A pod that was asked for, and what is known of it; `since` is when the problem that it has now began."""

    candidate: FollowerImage
    name: str
    begun: float
    is_asked_for: bool = False
    error: ClusterError | None = None
    refuses_root: bool = False
    uid: str | None = None
    node: str | None = None
    since: float = 0.0
    sight: Sight | None = None
    result: Rehearsed | None = None

    @property
    def namespace(self) -> str:
        return self.candidate.workload.namespace


def rehearse(stage: Stage, candidates: Sequence[FollowerImage]) -> tuple[Rehearsed, ...]:
    """Rehearse each candidate, a few at a time; the results are in the order given, and no pod is left."""
    clock, stopping = stage.clock, stage.retrier.stopping
    pods = [_Pod(candidate, f"{_NAME}-{os.urandom(5).hex()}", 0.0) for candidate in candidates]
    waiting, current = list(pods), list[_Pod]()
    try:
        while (waiting or current) and not stopping():
            room = PODS_AT_ONCE - len(current)
            new, waiting = waiting[:room], waiting[room:]
            current += new
            _create(stage, new)
            _read(stage, [pod for pod in current if pod.result is None])
            ended = [pod for pod in current if pod.result is not None]
            _remove(stage, ended)
            current = [pod for pod in current if pod.result is None]
            if current:
                clock.pause(POLL_SECONDS, stopping)
    finally:
        _remove(stage, current)
    return tuple(pod.result or _result(stage, pod, Obstacle.LATE, "the run was stopped first") for pod in pods)


def _create(stage: Stage, pods: Sequence[_Pod]) -> None:
    calls = {}
    for pod in pods:
        pod.begun = stage.clock.monotonic()
        calls[pod] = functools.partial(_create_one, stage, pod)
    answers = gather(calls, REQUESTS_AT_ONCE, stage.retrier.stopping, REMOVAL_GRACE_SECONDS)
    for pod, answer in answers.items():
        if not isinstance(answer, ClusterError):
            continue
        pod.error = answer
        pod.is_asked_for &= answer.may_have_taken_effect
        if not pod.is_asked_for:
            pod.result = _result(stage, pod, refusal_of(str(answer)), _advised(answer, pod))


def _create_one(stage: Stage, pod: _Pod) -> None:
    workload, container = pod.candidate.workload, pod.candidate.container
    read = functools.partial(stage.cluster.get, workload.resource, workload.namespace, workload.name)
    template = object_in(stage.retrier.call(read), *kind_of(workload.resource).pod_spec_path[:-1])
    pod.refuses_root = requires_non_root(template, container)
    identity = Identity(
        name=pod.name,
        namespace=pod.namespace,
        run=stage.run,
        annotations={
            _SCOPE_ANNOTATION: _written(stage.scope, sorted({tag.namespace for tag in pod.candidate.tags})),
            _WORKLOAD_ANNOTATION: f"{workload.resource.kind}/{workload.name}",
        },
        owner=stage.owner,
        seconds=stage.timeout,
        suffix=os.urandom(6).hex(),
    )
    body = rehearsal_pod(template, container, pod.candidate.image, identity)
    pod.is_asked_for = True
    try:
        stage.retrier.call(functools.partial(stage.cluster.create, PODS, pod.namespace, body))
    except ClusterError as error:
        # It is there already where the answer to an earlier try was lost.
        if error.code != 409:
            raise


def _read(stage: Stage, pods: Sequence[_Pod]) -> None:
    """Read the pods that are under way, by one list a namespace, and give those a result that have one."""
    selector = f"{SELECTOR},{RUN_LABEL}={stage.run}"
    calls = {
        namespace: functools.partial(stage.retrier.call, functools.partial(_list, stage.cluster, namespace, selector))
        for namespace in sorted({pod.namespace for pod in pods})
    }
    answers = gather(calls, REQUESTS_AT_ONCE, stage.retrier.stopping)
    for pod in pods:
        answer = answers.get(pod.namespace)
        if isinstance(answer, ClusterError):
            pod.result = _result(stage, pod, Obstacle.NOT_CREATED, f"its pod cannot be read: {answer}")
        elif answer is not None:
            _judge(stage, pod, answer.get(pod.name))


def _list(cluster: Cluster, namespace: str, selector: str) -> Mapping[str, Mapping[str, Any]]:
    """The pods with these labels, by name."""
    return {str(object_in(data, "metadata").get("name")): data for data in cluster.list(PODS, namespace, selector)}


def _judge(stage: Stage, pod: _Pod, data: Mapping[str, Any] | None) -> None:
    now = stage.clock.monotonic()
    if data is None:
        why = _advised(pod.error, pod) if pod.error else "another client removed its pod"
        pod.result = _result(stage, pod, Obstacle.NOT_CREATED if pod.error else Obstacle.REMOVED, why)
        return
    pod.uid = str(object_in(data, "metadata").get("uid") or "") or None
    pod.node = clean(str(object_in(data, "spec").get("nodeName") or "")) or None
    sight, before = sight_of(data, refuses_root=pod.refuses_root), pod.sight
    if sight is None or before is None or sight.group != before.group:
        before, pod.since = None, now
    if sight is not None and sight.is_vague:
        # A kubelet before 1.31 gives the cause only while it tries, and not while it waits.
        is_known = before is not None and not before.is_vague
        sight = replace(before, decides=sight.decides) if before and is_known else replace(sight, decides=None)
    pod.sight = sight
    if sight is None or sight.decides is None or now - pod.since < sight.decides * stage.patience / PATIENCE_SECONDS:
        if now - pod.begun >= stage.timeout:
            waits = sight.words if sight else "its container is still being created"
            obstacle = sight.obstacle if sight and sight.obstacle else Obstacle.LATE
            pod.result = _result(stage, pod, obstacle, f"no result within {describe(stage.timeout)}: {waits}")
        return
    pod.result = _result(stage, pod, sight.obstacle, sight.words)


def _result(stage: Stage, pod: _Pod, obstacle: Obstacle | None, message: str) -> Rehearsed:
    result = obstacle.result if obstacle else Rehearsal.PASSED
    if pod.candidate.is_from_source and obstacle in (Obstacle.REFUSED, Obstacle.NO_LOGIN):
        result = Rehearsal.INCONCLUSIVE
        message += "; it would pull through the integrated registry, which serves no image that a tag does not have yet"
    # A name that differs from run to run would make each message another one.
    message = message.replace(pod.name, _NAME)
    seconds = stage.clock.monotonic() - pod.begun if pod.begun else 0.0
    return Rehearsed(pod.candidate, result, obstacle, clean(message), pod.node, seconds)


def _advised(error: ClusterError, pod: _Pod) -> str:
    if not error.lacks_right:
        return f"its pod cannot be created: {error}"
    return f"its pod cannot be created: grant create and delete on pods in {pod.namespace} (component gates): {error}"


def _remove(stage: Stage, pods: Sequence[_Pod]) -> None:
    """Remove pods, also while the run is being stopped, and those of which it is not known whether they exist."""
    _delete(stage.cluster, [(pod.namespace, pod.name, pod.uid) for pod in pods if pod.is_asked_for])


def remove_leftovers(stage: Stage, namespaces: Sequence[str]) -> None:
    """Remove what killed runs have left in some namespaces.

    A pod of a run that imports the same is left over, since this run has the lock. One of another run is when the node
    must have ended it by now. Runs of other namespaces have pods here, too, for workloads that follow a tag there.
    """
    calls = {
        namespace: functools.partial(stage.retrier.call, functools.partial(_list, stage.cluster, namespace, SELECTOR))
        for namespace in namespaces
    }
    leftovers = []
    for namespace, answer in gather(calls, REQUESTS_AT_ONCE, stage.retrier.stopping).items():
        if isinstance(answer, ClusterError):
            log.warning("pods of earlier rehearsals in %s cannot be listed: %s", namespace, answer)
            continue
        leftovers += [
            (namespace, name, str(object_in(data, "metadata").get("uid") or "") or None)
            for name, data in answer.items()
            if _is_left_over(stage, data)
        ]
    for namespace, name, _ in leftovers:
        log.info("removing pod %s in %s, which a killed run has left", name, namespace)
    _delete(stage.cluster, leftovers)


def _is_left_over(stage: Stage, data: Mapping[str, Any]) -> bool:
    if object_in(data, "metadata", "labels").get(RUN_LABEL) == stage.run:
        return False
    created = parse_time(object_in(data, "metadata").get("creationTimestamp"))
    limit = timedelta(seconds=number(object_in(data, "spec").get("activeDeadlineSeconds"), 3600))
    if created is not None and stage.clock.now() - created > limit:
        return True
    scope, namespaces = _read_scope(object_in(data, "metadata", "annotations").get(_SCOPE_ANNOTATION))
    return scope.overlaps(stage.scope) and (namespaces is None or not stage.namespaces.isdisjoint(namespaces))


def _delete(cluster: Cluster, pods: Sequence[tuple[str, str, str | None]]) -> None:
    patient = retrier(_REMOVAL_RETRIES, lambda: False)
    calls = {
        (namespace, name): functools.partial(
            patient.call, functools.partial(cluster.delete, PODS, namespace, name, uid)
        )
        for namespace, name, uid in pods
    }
    for (namespace, name), answer in gather(calls, REQUESTS_AT_ONCE, lambda: False).items():
        # 409: another object has the name by now.
        if isinstance(answer, ClusterError) and answer.code not in (404, 409):
            log.warning("pod %s was not removed: %s; %s", name, answer, oc(namespace, "delete", "pod", name))


def _written(scope: Scope, namespaces: Sequence[str]) -> str:
    shard = [scope.shard.index, scope.shard.count] if scope.shard else None
    return json.dumps({"deployment": scope.deployment, "shard": shard, "namespaces": namespaces})


def _read_scope(text: object) -> tuple[Scope, tuple[str, ...] | None]:
    """The scope of the run that created a pod, and the namespaces of the tags that it was for.

    What cannot be read is taken to overlap everything (None: any namespace).
    """
    try:
        written = json.loads(str(text))
        shard = Shard(int(written["shard"][0]), int(written["shard"][1])) if written.get("shard") else None
        return Scope(written.get("deployment"), shard), tuple(map(str, written["namespaces"]))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return Scope(), None
