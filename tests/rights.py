"""The rights that a run of the job needs in its namespace, and no more."""

from __future__ import annotations

from tests.sandbox.client import rule

RUN = (
    rule("image.openshift.io", ["imagestreams"], ["get", "list"]),
    rule("image.openshift.io", ["imagestreamimports"], ["create"]),
    rule("image.openshift.io", ["imagestreamimages"], ["get"]),
    rule("coordination.k8s.io", ["leases"], ["get", "list", "create", "update"]),
    rule("", ["configmaps", "events"], ["get", "create", "update"]),
    rule("batch", ["jobs", "cronjobs"], ["get"]),
)
