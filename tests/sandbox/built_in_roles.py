"""The roles every cluster has.

Source of behaviour: a part of OpenShift's bootstrap policy, openshift-apiserver pkg/bootstrappolicy.
"""

from __future__ import annotations

import uuid
from typing import Any

from tests.sandbox import timestamps
from tests.sandbox.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, IMAGE_GROUP, RBAC_GROUP
from tests.sandbox.status import Json
from tests.sandbox.store import Store

_READ = ["get", "list", "watch"]


_WRITE = ["create", "delete", "deletecollection", "patch", "update"]


def _rule(group: str, names: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": names, "verbs": verbs}


_VIEW = [
    _rule("", ["configmaps", "events", "namespaces", "persistentvolumeclaims", "serviceaccounts", "services"], _READ),
    _rule("networking.k8s.io", ["networkpolicies"], _READ),
    _rule("build.openshift.io", ["buildconfigs"], _READ),
    _rule("", ["pods", "pods/log", "pods/status"], _READ),
    _rule("apps", ["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"], _READ),
    _rule("apps", ["daemonsets/status", "deployments/status", "replicasets/status", "statefulsets/status"], _READ),
    _rule("", ["replicationcontrollers", "replicationcontrollers/status"], _READ),
    _rule("apps.openshift.io", ["deploymentconfigs", "deploymentconfigs/status"], _READ),
    _rule("batch", ["cronjobs", "cronjobs/status", "jobs", "jobs/status"], _READ),
    _rule(
        IMAGE_GROUP,
        ["imagestreamimages", "imagestreammappings", "imagestreams", "imagestreams/status", "imagestreamtags"],
        _READ,
    ),
]  # fmt: skip


_EDIT = [
    *_VIEW,
    _rule("", ["secrets"], _READ + _WRITE),
    _rule("", ["configmaps", "events", "persistentvolumeclaims", "pods", "serviceaccounts", "services"], _WRITE),
    _rule("", ["pods/eviction"], ["create"]),
    _rule("networking.k8s.io", ["networkpolicies"], _WRITE),
    _rule("build.openshift.io", ["buildconfigs"], _WRITE),
    _rule("", ["serviceaccounts/token"], ["create"]),
    _rule("apps", ["daemonsets", "deployments", "replicasets", "statefulsets"], _WRITE),
    _rule("", ["replicationcontrollers"], _WRITE),
    _rule("apps.openshift.io", ["deploymentconfigs"], _WRITE),
    _rule("batch", ["cronjobs", "jobs"], _WRITE),
    _rule("coordination.k8s.io", ["leases"], _READ + _WRITE),
    _rule(IMAGE_GROUP, ["imagestreamimages", "imagestreammappings", "imagestreams", "imagestreamtags"], _WRITE),
    _rule(IMAGE_GROUP, ["imagestreams/layers"], ["get", "update"]),
    _rule(IMAGE_GROUP, ["imagestreamimports"], ["create"]),
]


_ADMIN = [
    *_EDIT,
    _rule(RBAC_GROUP, ["rolebindings", "roles"], _READ + _WRITE),
    _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
    _rule("project.openshift.io", ["projects"], ["delete", "get"]),
]


_EVERYONE = [
    _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    _rule("authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
    _rule("project.openshift.io", ["projects"], ["list", "watch"]),
    {"nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"],
     "verbs": ["get"]},
    {"nonResourceURLs": ["/healthz", "/livez", "/readyz"], "verbs": ["get"]},
]  # fmt: skip


CLUSTER_ROLE_RULES: dict[str, list[Json]] = {
    "cluster-admin": [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ],
    "admin": _ADMIN,
    "edit": _EDIT,
    "view": _VIEW,
    "basic-user": _EVERYONE,
    "self-provisioner": [_rule("project.openshift.io", ["projectrequests"], ["create"])],
    "system:image-puller": [_rule(IMAGE_GROUP, ["imagestreams/layers"], ["get"])],
    "system:image-pusher": [_rule(IMAGE_GROUP, ["imagestreams/layers"], ["get", "update"])],
}


_BINDINGS = (
    ("cluster-admins", "cluster-admin", "system:masters"),
    ("basic-users", "basic-user", "system:authenticated"),
    ("self-provisioners", "self-provisioner", "system:authenticated:oauth"),
)


def bootstrap(store: Store) -> None:
    """The roles every cluster has."""
    for name, rules in CLUSTER_ROLE_RULES.items():
        store.put(CLUSTER_ROLES, {"metadata": _metadata(name), "rules": rules})
    for name, role, group in _BINDINGS:
        binding: dict[str, Any] = {
            "metadata": _metadata(name),
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}],
        }
        store.put(CLUSTER_ROLE_BINDINGS, binding)


def _metadata(name: str) -> Json:
    return {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()}
