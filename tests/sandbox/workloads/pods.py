"""Pods as those see them who keep so many of them. Pure.

Source of behaviour: Kubernetes' pkg/controller/controller_utils.go and pkg/api/v1/pod.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import uuid
from collections.abc import Iterable
from datetime import datetime

from tests.sandbox import timestamps
from tests.sandbox.resources import Kind
from tests.sandbox.status import Json
from tests.sandbox.store import Entry

# No vowels, so that no name becomes a word.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def hash_of(value: object) -> str:
    """A short name for what something says, the same for the same."""
    number = int.from_bytes(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:8], "big")
    letters = ""
    for _ in range(10):
        number, place = divmod(number, len(_LETTERS))
        letters += _LETTERS[place]
    return letters


def random_name(prefix: str) -> str:
    return prefix + "".join(random.choices(_LETTERS, k=5))


def owner_reference(entry: Entry) -> Json:
    return {
        "apiVersion": entry.kind.api_version,
        "kind": entry.kind.kind,
        "name": entry.name,
        "uid": entry.object["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(item: Json) -> Json | None:
    """The reference to what looks after an object."""
    owners = item["metadata"].get("ownerReferences") or ()
    return next((each for each in owners if each.get("controller")), None)


def new_metadata(owner: Entry, name: str, labels: Json, annotations: Json | None = None) -> Json:
    """The metadata of an object that a controller makes."""
    metadata: Json = {
        "name": name,
        "namespace": owner.namespace,
        "uid": str(uuid.uuid4()),
        "creationTimestamp": timestamps.now(),
        "labels": labels,
        "ownerReferences": [owner_reference(owner)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return metadata


def new_pod(owner: Entry, template: Json, name: str, labels: Json) -> Json:
    """A pod of a template that nobody has started yet."""
    head = template.get("metadata") or {}
    metadata = new_metadata(owner, name, {**(head.get("labels") or {}), **labels}, dict(head.get("annotations") or {}))
    spec = {**copy.deepcopy(template["spec"]), "nodeName": "node-1"}
    return {
        "metadata": {**metadata, "generateName": f"{owner.name}-", "generation": 1},
        "spec": spec,
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


def is_kept(item: Json, kind: Kind) -> bool:
    """Whether a workload says enough for pods to be made; what only a test for storing stores does not."""
    spec = item.get("spec")
    if not isinstance(spec, dict) or item["metadata"].get("deletionTimestamp"):
        return False
    template = spec.get("template")
    if not isinstance(template, dict) or not (template.get("spec") or {}).get("containers"):
        return False
    return kind.kind in ("DeploymentConfig", "ReplicationController") or bool(spec.get("selector"))


def is_alive(pod: Json) -> bool:
    metadata, phase = pod["metadata"], pod.get("status", {}).get("phase")
    return not metadata.get("deletionTimestamp") and phase not in ("Succeeded", "Failed")


def ready_since(pod: Json) -> float | None:
    """When a pod became ready; None if it is not."""
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True" and status.get("phase") == "Running":
            return seconds_of(condition["lastTransitionTime"])
    return None


def is_available(pod: Json, least: float, now: float) -> bool:
    """Ready for at least so many seconds."""
    since = ready_since(pod)
    return since is not None and now - since >= least


def seconds_of(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def soonest(pods: Iterable[Json], least: float, now: float) -> float | None:
    """The seconds until the next of the pods that are ready counts as available."""
    waits = [since + least - now for pod in pods if (since := ready_since(pod)) is not None and now - since < least]
    return max(min(waits), 0.01) if waits else None


def revision_of(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get("controller-revision-hash", ""))
