"""DeploymentConfigs, by way of ReplicationControllers; the pod that would do the rollout is left out.

Source of behaviour: openshift-controller-manager pkg/apps/deploymentconfig and pkg/apps/deployer.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence

from tests.sandbox.cluster import Cluster
from tests.sandbox.resources import REPLICATION_CONTROLLERS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry
from tests.sandbox.workloads import conditions, pods, sizes
from tests.sandbox.workloads.replica_sets import size_of, total
from tests.sandbox.workloads.sizes import Limits
from tests.sandbox.workloads.writing import without_zeros, write_spec, write_status

_PHASE = "openshift.io/deployment.phase"
_TEMPLATE = "openshift.io/encoded-deployment-config"
_VERSION = "openshift.io/deployment-config.latest-version"
_NAME = "openshift.io/deployment-config.name"
_COUNTED = ("replicas", "updatedReplicas", "availableReplicas", "unavailableReplicas", "latestVersion")


def reconcile(cluster: Cluster, entry: Entry) -> float | None:
    """One step of a rollout. Gives the seconds until time alone may change something."""
    every = _controllers(cluster, entry)
    new = every[-1] if every else None
    if _is_due(entry.object, new):
        new = _next(cluster, entry, every)
    wait = None
    if new is not None:
        every = _controllers(cluster, entry)
        wait = _roll(cluster, entry, new, [each for each in every if each.name != new.name])
    _write_status(cluster, entry)
    return wait


def _controllers(cluster: Cluster, entry: Entry) -> list[Entry]:
    """Oldest first."""
    owned = cluster.store.owned_by(entry.object["metadata"]["uid"])
    return sorted((each for each in owned if each.kind is REPLICATION_CONTROLLERS), key=_version)


def _annotation(entry: Entry, name: str) -> str:
    return str((entry.object["metadata"].get("annotations") or {}).get(name, ""))


def _version(entry: Entry) -> int:
    return int(_annotation(entry, _VERSION) or 0)


def _is_due(item: Json, new: Entry | None) -> bool:
    """Whether the template is to be rolled out: something asks for it, and all images are known."""
    spec = item["spec"]
    for trigger in spec["triggers"]:
        params = trigger.get("imageChangeParams") or {}
        if params.get("automatic") and not params.get("lastTriggeredImage"):
            return False
    if new is None:
        return bool(spec["triggers"])
    by_change = any(trigger.get("type") in ("ConfigChange", "ImageChange") for trigger in spec["triggers"])
    return by_change and json.loads(_annotation(new, _TEMPLATE)) != spec["template"]


def _next(cluster: Cluster, entry: Entry, every: Sequence[Entry]) -> Entry:
    version = _version(every[-1]) + 1 if every else 1
    spec, name = entry.object["spec"], f"{entry.name}-{version}"
    template = copy.deepcopy(spec["template"])
    labels = {"deployment": name, "deploymentconfig": entry.name}
    inner = {**((template.get("metadata") or {}).get("labels") or {}), **labels}
    told = {_VERSION: str(version), _NAME: entry.name}
    template["metadata"] = {"labels": inner, "annotations": {**told, "openshift.io/deployment.name": name}}
    encoded = json.dumps(spec["template"], sort_keys=True)
    annotations = {**told, _PHASE: "Running", _TEMPLATE: encoded}
    metadata = {**pods.new_metadata(entry, name, inner, annotations), "generation": 1}
    selector = {**(spec.get("selector") or {}), **labels}
    return cluster.store.put(
        REPLICATION_CONTROLLERS,
        {
            "metadata": metadata,
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        },
    )


def _roll(cluster: Cluster, entry: Entry, new: Entry, old: Sequence[Entry]) -> float | None:
    spec, phase = entry.object["spec"], _annotation(new, _PHASE)
    by_name = {each.name: each for each in (new, *old)}
    wanted = spec["replicas"]
    if phase == "Complete":
        write_spec(cluster, new, replicas=wanted)
        return None
    if phase == "Failed":
        # What ran last goes on running.
        write_spec(cluster, new, replicas=0)
        before = next((each for each in reversed(old) if _annotation(each, _PHASE) == "Complete"), None)
        if before is not None:
            write_spec(cluster, before, replicas=wanted)
        return None
    recreates = spec["strategy"]["type"] == "Recreate"
    olds = [size_of(each) for each in old]
    if recreates:
        changes = sizes.recreate(wanted, size_of(new), olds)
    else:
        changes = sizes.rolling(_limits(entry), size_of(new), olds)
    for name, replicas in changes.items():
        write_spec(cluster, by_name[name], replicas=replicas)
    if not changes and size_of(new).available == wanted and not any(each.wanted for each in olds):
        _mark(cluster, new, "Complete")
        return None
    params = spec["strategy"].get("recreateParams" if recreates else "rollingParams") or {}
    started = pods.seconds_of(new.object["metadata"]["creationTimestamp"])
    left = started + (params.get("timeoutSeconds") or 600) + 1 - time.time()
    if left <= 0:
        _mark(cluster, new, "Failed")
        return 0.01
    return left


def _limits(entry: Entry) -> Limits:
    spec = entry.object["spec"]
    params = spec["strategy"].get("rollingParams") or {}
    return sizes.limits(spec["replicas"], params.get("maxSurge", "25%"), params.get("maxUnavailable", "25%"))


def _mark(cluster: Cluster, new: Entry, phase: str) -> None:
    current = cluster.store.get(REPLICATION_CONTROLLERS, new.namespace, new.name)
    if current is not None:
        write_spec(cluster, current, {**current.object["metadata"]["annotations"], _PHASE: phase})


def _write_status(cluster: Cluster, entry: Entry) -> None:
    every, spec = _controllers(cluster, entry), entry.object["spec"]
    new = every[-1] if every else None
    available = total(every, "availableReplicas")
    wanted = sum(each.object["spec"]["replicas"] for each in every)
    status: Json = {
        "latestVersion": _version(new) if new else 0,
        "observedGeneration": entry.object["metadata"]["generation"],
        "replicas": total(every, "replicas"),
        "updatedReplicas": total([new], "replicas") if new else 0,
        "availableReplicas": available,
        "unavailableReplicas": max(wanted - available, 0),
        "readyReplicas": total(every, "readyReplicas"),
    }
    recreates = spec["strategy"]["type"] == "Recreate"
    least = spec["replicas"] - (0 if recreates else _limits(entry).unavailable)
    found = list((entry.object.get("status") or {}).get("conditions") or ())
    enough = available >= least and (available > 0 or spec["replicas"] == 0)
    says = "has" if enough else "does not have"
    found = conditions.put(found, "Available", str(enough), "", f"Deployment config {says} minimum availability.")
    if new is not None:
        name, phase = new.name, _annotation(new, _PHASE)
        said = {
            "Running": ("True", "ReplicationControllerUpdated", f'replication controller "{name}" is progressing'),
            "Failed": ("False", "ProgressDeadlineExceeded", f'replication controller "{name}" has failed progressing'),
            "Complete": (
                "True",
                "NewReplicationControllerAvailable",
                f'replication controller "{name}" successfully rolled out',
            ),
        }[phase]
        known = conditions.find(found, "Progressing")
        renew = known is not None and known["message"] != said[2]
        found = conditions.put(found, "Progressing", *said, renew=renew)
    status["conditions"] = found
    write_status(cluster, entry, without_zeros(status, *_COUNTED))
