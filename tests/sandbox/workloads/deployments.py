"""Deployments, by way of ReplicaSets.

Source of behaviour: Kubernetes' pkg/controller/deployment (sync.go, rolling.go, recreate.go, progress.go).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import remove
from tests.sandbox.resources import REPLICA_SETS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry
from tests.sandbox.workloads import conditions, pods, sizes
from tests.sandbox.workloads.conditions import Conditions
from tests.sandbox.workloads.replica_sets import size_of, total
from tests.sandbox.workloads.writing import without_zeros, write_spec, write_status

_PREFIX = "deployment.kubernetes.io/"
REVISION = _PREFIX + "revision"
_HISTORY = _PREFIX + "revision-history"
_DESIRED = _PREFIX + "desired-replicas"
_MOST = _PREFIX + "max-replicas"
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration", REVISION, _HISTORY, _DESIRED, _MOST,
    "deprecated.deployment.rollback.to",
}  # fmt: skip
HASH = "pod-template-hash"
# Nobody waits for a rollout with this deadline.
_NO_DEADLINE = 2**31 - 1


def reconcile(cluster: Cluster, entry: Entry) -> float | None:
    """One step of a rollout; what it changes brings the next. Gives the seconds until time alone changes something."""
    entry = _tell_pause(cluster, entry)
    name = f"{entry.name}-{pods.hash_of(entry.object['spec']['template'])}"
    every, new = _replica_sets(cluster, entry, name)
    if new is None and not entry.object["spec"].get("paused"):
        _make(cluster, entry, every)
        # The real controller's write of the status fails here, because it wrote the annotation a moment before. When it
        # comes again the new pods are counted already, so that nothing tells of progress until one is ready.
        return None
    if new is not None:
        entry = _take_up(cluster, entry, new, every)
    every, new = _replica_sets(cluster, entry, name)
    if not _scale(cluster, entry, every) and new is not None and not entry.object["spec"].get("paused"):
        _roll(cluster, entry, new, [each for each in every if each.name != new.name])
    every, new = _replica_sets(cluster, entry, name)
    entry = _write_status(cluster, entry, every, new)
    if _is_complete(entry.object, entry.object["status"]):
        _forget_oldest(cluster, entry, new, every)
    return _until_deadline(entry.object)


def _replica_sets(cluster: Cluster, entry: Entry, name: str) -> tuple[list[Entry], Entry | None]:
    """All of a Deployment's, oldest first, and the one of that name."""
    owned = cluster.store.owned_by(entry.object["metadata"]["uid"])
    found = sorted((each for each in owned if each.kind is REPLICA_SETS), key=_revision)
    return found, next((each for each in found if each.name == name), None)


def _revision(entry: Entry) -> int:
    return int((entry.object["metadata"].get("annotations") or {}).get(REVISION, 0))


def _limits(entry: Entry) -> sizes.Limits:
    spec = entry.object["spec"]
    if spec["strategy"]["type"] == "Recreate":
        # Recreate has no limits of its own, and so none to make up for.
        return sizes.Limits(spec["replicas"], 0, 0)
    rolling = spec["strategy"].get("rollingUpdate") or {}
    return sizes.limits(spec["replicas"], rolling.get("maxSurge"), rolling.get("maxUnavailable"))


# Conditions


def _has_deadline(item: Json) -> bool:
    return bool(item["spec"]["progressDeadlineSeconds"] != _NO_DEADLINE)


def _conditions(item: Json) -> Conditions:
    return list((item.get("status") or {}).get("conditions") or ())


def _progress(cluster: Cluster, entry: Entry, status: str, reason: str, message: str) -> Entry:
    found = conditions.put(_conditions(entry.object), "Progressing", status, reason, message)
    return write_status(cluster, entry, {**(entry.object.get("status") or {}), "conditions": found})


def _tell_pause(cluster: Cluster, entry: Entry) -> Entry:
    known = conditions.find(_conditions(entry.object), "Progressing")
    if not _has_deadline(entry.object) or (known and known["reason"] == "ProgressDeadlineExceeded"):
        return entry
    if entry.object["spec"].get("paused"):
        return _progress(cluster, entry, "Unknown", "DeploymentPaused", "Deployment is paused")
    if known and known["reason"] == "DeploymentPaused":
        return _progress(cluster, entry, "Unknown", "DeploymentResumed", "Deployment is resumed")
    return entry


# The ReplicaSet of the template as it is now


def _take_up(cluster: Cluster, entry: Entry, new: Entry, every: Sequence[Entry]) -> Entry:
    """Make the ReplicaSet of the template the newest, which it may have been before."""
    revision = max(_next_revision([each for each in every if each is not new]), _revision(new))
    annotations = _annotations_of(entry, new.object["metadata"].get("annotations") or {}, revision)
    write_spec(cluster, new, annotations, minReadySeconds=entry.object["spec"].get("minReadySeconds", 0))
    if _has_deadline(entry.object) and not conditions.find(_conditions(entry.object), "Progressing"):
        entry = _progress(cluster, entry, "True", "FoundNewReplicaSet", f'Found new replica set "{new.name}"')
    return _tell_revision(cluster, entry, revision)


def _make(cluster: Cluster, entry: Entry, every: Sequence[Entry]) -> None:
    revision = _next_revision(every)
    new = cluster.store.put(REPLICA_SETS, _replica_set(entry, every, revision))
    if _has_deadline(entry.object):
        entry = _progress(cluster, entry, "True", "NewReplicaSetCreated", f'Created new replica set "{new.name}"')
    _tell_revision(cluster, entry, revision)


def _next_revision(others: Sequence[Entry]) -> int:
    return max((_revision(each) for each in others), default=0) + 1


def _tell_revision(cluster: Cluster, entry: Entry, revision: int) -> Entry:
    annotations = {**(entry.object["metadata"].get("annotations") or {}), REVISION: str(revision)}
    return write_status(cluster, entry, entry.object.get("status") or {}, annotations)


def _annotations_of(entry: Entry, known: Json, revision: int) -> Json:
    own = entry.object["metadata"].get("annotations") or {}
    annotations = {**known, **{name: value for name, value in own.items() if name not in _NOT_COPIED}}
    before = known.get(REVISION)
    if before and before != str(revision):
        annotations[_HISTORY] = ",".join(each for each in (known.get(_HISTORY), before) if each)
    annotations[REVISION] = str(revision)
    return annotations


def _sized(entry: Entry) -> Json:
    """What a ReplicaSet knows of its Deployment's size."""
    within = _limits(entry)
    return {_DESIRED: str(within.replicas), _MOST: str(within.replicas + within.surge)}


def _replica_set(entry: Entry, every: Sequence[Entry], revision: int) -> Json:
    spec = entry.object["spec"]
    short = pods.hash_of(spec["template"])
    template = copy.deepcopy(spec["template"])
    labels = {**(template.get("metadata") or {}).get("labels", {}), HASH: short}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: short}
    annotations = {**_annotations_of(entry, {}, revision), **_sized(entry)}
    within, others = _limits(entry), sum(each.object["spec"]["replicas"] for each in every)
    room = within.replicas + within.surge - others
    replicas = max(min(room, within.replicas), 0)
    if spec["strategy"]["type"] == "Recreate":
        replicas = within.replicas if not others else 0
    metadata = {**pods.new_metadata(entry, f"{entry.name}-{short}", labels, annotations), "generation": 1}
    ready = spec.get("minReadySeconds", 0)
    inner = {"replicas": replicas, "minReadySeconds": ready, "selector": selector, "template": template}
    return {"metadata": metadata, "spec": inner, "status": {"replicas": 0}}


# Sizes


def _resize(cluster: Cluster, entry: Entry, one: Entry, replicas: int) -> None:
    annotations = {**(one.object["metadata"].get("annotations") or {}), **_sized(entry)}
    write_spec(cluster, one, annotations, replicas=replicas)


def _scale(cluster: Cluster, entry: Entry, every: Sequence[Entry]) -> bool:
    """Take over a new number of replicas: where only one ReplicaSet has pods, it gets them all.

    In the middle of a rollout the rollout itself comes to the right number; it does not keep proportions.
    """
    wanted = entry.object["spec"]["replicas"]
    active = [each for each in every if each.object["spec"]["replicas"]] or list(every[-1:])
    asked = [each for each in active if each.object["metadata"]["annotations"].get(_DESIRED) != str(wanted)]
    for each in asked:
        replicas = wanted if len(active) == 1 else each.object["spec"]["replicas"]
        _resize(cluster, entry, each, replicas)
    return bool(asked)


def _roll(cluster: Cluster, entry: Entry, new: Entry, old: Sequence[Entry]) -> None:
    by_name = {each.name: each for each in (new, *old)}
    within, olds = _limits(entry), [size_of(each) for each in old]
    if entry.object["spec"]["strategy"]["type"] == "Recreate":
        changes = sizes.recreate(within.replicas, size_of(new), olds)
    else:
        changes = sizes.rolling(within, size_of(new), olds)
    for name, replicas in changes.items():
        _resize(cluster, entry, by_name[name], replicas)


def _forget_oldest(cluster: Cluster, entry: Entry, new: Entry | None, every: Sequence[Entry]) -> None:
    idle = [each for each in every if each is not new and not each.object["spec"]["replicas"]]
    for each in idle[: max(len(idle) - entry.object["spec"].get("revisionHistoryLimit", 10), 0)]:
        remove(cluster, each)


# Status


def _write_status(cluster: Cluster, entry: Entry, every: Sequence[Entry], new: Entry | None) -> Entry:
    item = entry.object
    within, available = _limits(entry), total(every, "availableReplicas")
    wanted = sum(each.object["spec"]["replicas"] for each in every)
    status = {
        "observedGeneration": item["metadata"]["generation"],
        "replicas": total(every, "replicas"),
        "updatedReplicas": total([new], "replicas") if new else 0,
        "readyReplicas": total(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(wanted - available, 0),
        "terminatingReplicas": 0,
    }
    if available >= within.replicas - within.unavailable:
        said = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        said = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    found = conditions.put(_conditions(item), "Available", *said)
    if not item["spec"].get("paused"):
        found = _judged(item, status, found, new)
    return write_status(cluster, entry, {**without_zeros(status, "terminatingReplicas"), "conditions": found})


def _is_complete(item: Json, status: Json) -> bool:
    wanted = item["spec"]["replicas"]
    numbers = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    return numbers == [wanted] * 3 and status["observedGeneration"] >= item["metadata"]["generation"]


def _judged(item: Json, status: Json, found: Conditions, new: Entry | None) -> Conditions:
    """The conditions with what is to be said of the rollout's progress."""
    if not _has_deadline(item):
        return conditions.without(found, "Progressing")
    known = conditions.find(found, "Progressing")
    done = known is not None and known["reason"] == "NewReplicaSetAvailable"
    if done and status["replicas"] == status["updatedReplicas"]:
        return found
    what = f'ReplicaSet "{new.name}"' if new else f'Deployment "{item["metadata"]["name"]}"'
    if _is_complete(item, status):
        message = f"{what} has successfully progressed."
        return conditions.put(found, "Progressing", "True", "NewReplicaSetAvailable", message)
    if _has_progressed(item.get("status") or {}, status):
        message = f"{what} is progressing."
        return conditions.put(found, "Progressing", "True", "ReplicaSetUpdated", message, renew=True)
    if known and not done and _left(item, known) <= 0:
        message = f"{what} has timed out progressing."
        return conditions.put(found, "Progressing", "False", "ProgressDeadlineExceeded", message)
    return found


def _has_progressed(before: Json, now: Json) -> bool:
    def old(status: Json) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return old(now) < old(before) or any(now[name] > before.get(name, 0) for name in grown)


def _left(item: Json, progressing: Json) -> float:
    """The seconds until the deadline."""
    since = pods.seconds_of(progressing["lastUpdateTime"])
    # Times have whole seconds; the deadline must not pass early.
    return float(since + item["spec"]["progressDeadlineSeconds"] + 1 - time.time())


def _until_deadline(item: Json) -> float | None:
    known = conditions.find(_conditions(item), "Progressing")
    if known is None or item["spec"].get("paused") or not _has_deadline(item):
        return None
    if known["reason"] in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable"):
        return None
    return max(_left(item, known), 0.0) + 0.05
