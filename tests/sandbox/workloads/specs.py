"""What the server makes of a workload that is sent: defaults, and when its generation grows.

Source of behaviour: Kubernetes' pkg/apis/apps/v1/defaults.go and pkg/registry/apps; openshift-apiserver
pkg/apps/apis/apps/v1/defaults.go.
"""

from __future__ import annotations

from tests.sandbox.calls import Call
from tests.sandbox.objects import Objects
from tests.sandbox.resources import (
    DAEMON_SETS,
    DEPLOYMENT_CONFIGS,
    DEPLOYMENTS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
    Kind,
)
from tests.sandbox.status import Json
from tests.sandbox.store import Entry
from tests.sandbox.workloads.pods import is_kept

KINDS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS, DEPLOYMENT_CONFIGS, REPLICATION_CONTROLLERS)

_HALF = {"maxSurge": "25%", "maxUnavailable": "25%"}
_DEFAULTS: dict[Kind, Json] = {
    DEPLOYMENTS: {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate"},
    },
    STATEFUL_SETS: {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "podManagementPolicy": "OrderedReady",
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "updateStrategy": {"type": "RollingUpdate"},
        "serviceName": "",
    },
    DAEMON_SETS: {"revisionHistoryLimit": 10, "updateStrategy": {"type": "RollingUpdate"}},
    REPLICA_SETS: {"replicas": 1},
    REPLICATION_CONTROLLERS: {"replicas": 1},
    DEPLOYMENT_CONFIGS: {
        "replicas": 1,
        "triggers": [{"type": "ConfigChange"}],
        "strategy": {"type": "Rolling"},
    },
}
_POD: Json = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}
_CONTAINER: Json = {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
# What a strategy gets that moves pods one by one: where it stands, of what type, and what.
_ROLLING: dict[Kind, tuple[str, str, str, Json]] = {
    DEPLOYMENTS: ("strategy", "RollingUpdate", "rollingUpdate", _HALF),
    STATEFUL_SETS: ("updateStrategy", "RollingUpdate", "rollingUpdate", {"partition": 0}),
    DAEMON_SETS: ("updateStrategy", "RollingUpdate", "rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1}),
    DEPLOYMENT_CONFIGS: ("strategy", "Rolling", "rollingParams", {**_HALF, "timeoutSeconds": 600}),
}


def with_defaults(spec: Json, kind: Kind) -> Json:
    filled = {**_DEFAULTS[kind], **{name: value for name, value in spec.items() if value is not None}}
    if kind in _ROLLING:
        name, wanted, place, values = _ROLLING[kind]
        strategy = {"type": wanted, **(filled[name] or {})}
        if strategy["type"] == wanted:
            strategy[place] = {**values, **(strategy.get(place) or {})}
        filled[name] = strategy
    return {**filled, "template": _template(filled["template"])}


def _template(template: Json) -> Json:
    """A template as the server keeps it, so that one that a client has read and sends again is the same."""
    metadata = {name: value for name, value in (template.get("metadata") or {}).items() if value}
    pod = {**_POD, **_given(template["spec"])}
    for name in ("initContainers", "containers"):
        if name in pod:
            pod[name] = [_container(each) for each in pod[name]]
    return {"metadata": metadata, "spec": pod}


def _given(value: Json) -> Json:
    return {name: each for name, each in value.items() if each is not None}


def _container(container: Json) -> Json:
    image = str(container.get("image", ""))
    changing = "@" not in image and image.rpartition("/")[2].partition(":")[2] in ("", "latest")
    return {**_CONTAINER, "imagePullPolicy": "Always" if changing else "IfNotPresent", **_given(container)}


class Workloads(Objects):
    """Workloads; those that say too little to be run are stored as they are sent."""

    def prepare_create(self, call: Call, item: Json) -> Json:
        return super().prepare_create(call, self._filled(item))

    def prepare_update(self, call: Call, item: Json, old: Entry) -> Json:
        item = super().prepare_update(call, self._filled(item), old)
        before = old.object
        same = (item["metadata"].get("annotations") or {}) == (before["metadata"].get("annotations") or {})
        if self.kind is DEPLOYMENTS and not same:
            # Alone among them, a Deployment counts its annotations too.
            item["metadata"]["generation"] = before["metadata"]["generation"] + 1
        return item

    def _filled(self, item: Json) -> Json:
        if is_kept(item, self.kind):
            item["spec"] = with_defaults(item["spec"], self.kind)
        return item
