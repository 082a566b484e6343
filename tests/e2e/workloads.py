"""Workloads that follow a tag and run the suite's images, as the restricted pod security standard wants them. Pure."""

from __future__ import annotations

import json

from tests.e2e.cluster import Json
from tests.e2e.images import READY

TRIGGERS = "image.openshift.io/triggers"


def security(run_as_user: int | None) -> Json:
    """Of a pod; the user only where the cluster gives none."""
    user = {} if run_as_user is None else {"runAsUser": run_as_user}
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **user}


def trigger(tag: str, container: str = "app") -> str:
    """The annotation of a workload whose container follows a tag."""
    field = f'spec.template.spec.containers[?(@.name=="{container}")].image'
    return json.dumps([{"from": {"kind": "ImageStreamTag", "name": tag}, "fieldPath": field}])


def workload(kind: str, name: str, tag: str, image: str, *, replicas: int = 1, run_as_user: int | None = None) -> Json:
    """A workload of one container, which is ready once its image has the file of `images.READY`."""
    container = {
        "name": "app",
        "image": image,
        "readinessProbe": {"exec": {"command": READY}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "containers": [container],
        "securityContext": security(run_as_user),
        # The program ignores SIGTERM.
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
    }
    spec: Json = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    metadata = {"name": name, "annotations": {TRIGGERS: trigger(tag)}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}
