"""Workloads and pods as the API writes them, made by hand, and those that were recorded."""

from __future__ import annotations

import json
from typing import Any

from job.cluster import CRON_JOBS, DAEMON_SETS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Resource
from job.workloads.image_triggers import TRIGGERS_ANNOTATION
from tests.support.paths import CONFORMANCE
from tests.unit.objects import NAMESPACE

JSON = dict[str, Any]
RECORDINGS = CONFORMANCE / "workloads"
MOMENTS = {1: "1-healthy", 2: "2-bad-image-rolling", 3: "3-bad-image-stuck", 4: "4-tag-moved-back"}
MOMENTS[5] = "5-stuck-pods-deleted"
NEW, OLD, BAD = "sha256:new", "sha256:old", "sha256:bad"
CRASH_LOOP = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "restartCount": 3}


def recorded(moment: int) -> list[JSON]:
    """All objects of a moment."""
    objects: list[JSON] = json.loads((RECORDINGS / f"{MOMENTS[moment]}.json").read_text())
    return objects


def by_name(container: str = "web", base: str = "spec.template.spec") -> str:
    return f'{base}.containers[?(@.name=="{container}")].image'


def trigger(name: str = "web:prod", path: str | None = None, **more: Any) -> JSON:
    """A trigger as in the annotation; `paused` and what else there is as given, parts of `from` as `from_...`."""
    source = {"kind": "ImageStreamTag", "name": name}
    source |= {key.removeprefix("from_"): value for key, value in more.items() if key.startswith("from_")}
    rest = {key: value for key, value in more.items() if not key.startswith("from_")}
    return {"from": source, "fieldPath": by_name() if path is None else path, **rest}


def image(digest: str) -> str:
    return f"quay.io/packit/web@{digest}"


def workload(
    resource: Resource,
    name: str = "web",
    *,
    digest: str = NEW,
    replicas: int | None = 2,
    triggers: object = None,
    generation: int = 2,
    status: JSON | None = None,
    containers: list[JSON] | None = None,
    namespace: str = NAMESPACE,
    **spec: Any,
) -> JSON:
    """A workload whose status is complete unless told otherwise."""
    metadata: JSON = {"name": name, "namespace": namespace, "generation": generation, "uid": f"uid-of-{name}"}
    if triggers is not None:
        text = triggers if isinstance(triggers, str) else json.dumps(triggers)
        metadata["annotations"] = {TRIGGERS_ANNOTATION: text}
    pod_spec = {"containers": containers or [{"name": "web", "image": image(digest)}]}
    template: JSON = {"template": {"spec": pod_spec}}
    if resource == CRON_JOBS:
        return {"metadata": metadata, "spec": {"jobTemplate": {"spec": template}, **spec}}
    labels = {"app": name}
    selector: JSON = labels if resource == DEPLOYMENT_CONFIGS else {"matchLabels": labels}
    count = {} if replicas is None or resource == DAEMON_SETS else {"replicas": replicas}
    return {
        "metadata": metadata,
        "spec": {"selector": selector, **count, **template, **spec},
        "status": {"observedGeneration": generation, **counts(resource, replicas or 0), **(status or {})},
    }


def counts(resource: Resource, replicas: int) -> JSON:
    """What a status counts when all is there."""
    if resource == DAEMON_SETS:
        names = ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady"]
    else:
        names = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
    return dict.fromkeys(names, replicas)


def deployment(name: str = "web", **more: Any) -> JSON:
    return workload(DEPLOYMENTS, name, **more)


def stateful_set(name: str = "web", **more: Any) -> JSON:
    return workload(STATEFUL_SETS, name, **more)


_OWNERS = {
    DEPLOYMENTS: "ReplicaSet",
    DEPLOYMENT_CONFIGS: "ReplicationController",
    STATEFUL_SETS: "StatefulSet",
    DAEMON_SETS: "DaemonSet",
}


def pod(
    resource: Resource,
    name: str,
    digest: str = NEW,
    *,
    of: str = "web",
    status: JSON | None = None,
    ready: bool | None = None,
    generation: str = "1",
    **metadata: Any,
) -> JSON:
    """A pod that runs, or whose container `web` is as `status` says."""
    owner = of if resource in (STATEFUL_SETS, DAEMON_SETS) else f"{of}-{generation}"
    labels = {"app": of, **({"pod-template-hash": generation} if resource == DEPLOYMENTS else {})}
    is_ready = status is None if ready is None else ready
    running = {"state": {"running": {}}, "ready": is_ready, "restartCount": 0, "imageID": image(digest)}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "labels": labels,
            "ownerReferences": [{"kind": _OWNERS[resource], "name": owner, "controller": True}],
            **metadata,
        },
        "spec": {"containers": [{"name": "web", "image": image(digest)}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if is_ready else "False"}],
            "containerStatuses": [{"name": "web", **running, **(status or {})}],
        },
    }


def waiting(reason: str, message: str = "", restarts: int = 0) -> JSON:
    """The status of a container that does not run."""
    return {"state": {"waiting": {"reason": reason, "message": message}}, "restartCount": restarts, "ready": False}
