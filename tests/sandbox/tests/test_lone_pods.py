"""Pods that somebody creates by hand to run a command that no image has: as a real kubelet reported them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.client import Refused, Sandbox, until
from tests.sandbox.status import Json
from tests.support.paths import CONFORMANCE

pytest_plugins = ["tests.sandbox.fixtures"]

RECORDED: dict[str, Json] = json.loads((CONFORMANCE / "pods" / "states.json").read_text())
COMMAND = "/import-images/no-such-file"


def pod(image: str, name: str = "app", **spec: Any) -> Json:
    container = {"name": "app", "image": image, "command": [COMMAND], "securityContext": RESTRICTED}
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container], "securityContext": context, **spec},
    }


RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def picture(status: Json) -> Json:
    """What the job may read of a status, without times, ids and the name of the image."""
    entries = []
    for entry in status.get("containerStatuses", ()):
        [(state, details)] = entry["state"].items()
        known = {key: details.get(key) for key in ("reason", "exitCode")}
        message = str(details.get("message") or "").replace(entry["image"], "IMAGE")
        entries.append([entry["name"], state, known, message, entry["restartCount"], bool(entry["imageID"])])
    conditions = sorted([each["type"], each["status"], each.get("reason")] for each in status.get("conditions", ()))
    return {"phase": status["phase"], "containers": entries, "conditions": conditions}


def seen(sandbox: Sandbox, namespace: str, wanted: Json) -> bool:
    [found] = sandbox.pods(namespace)
    return picture(found["status"]) == picture(wanted)


@pytest.mark.parametrize(("recording", "how"), [("no-such-command-once", "ready"), ("no-such-command-once", "crash")])
def test_what_runs_no_command_ends_as_recorded(sandbox: Sandbox, recording: str, how: str) -> None:
    namespace = sandbox.create_namespace()
    sandbox.image_behaves("team/once@sha256:1", how)
    sandbox.create(path(namespace), pod("quay.io/team/once@sha256:1"))
    last = RECORDED[recording]["states"][-1]["status"]
    until(lambda: sandbox.pods(namespace)[0]["status"]["phase"] == "Failed")
    assert picture(sandbox.pods(namespace)[0]["status"]) == picture(last)


def test_what_cannot_be_pulled_waits_as_recorded(sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    sandbox.image_behaves("team/gone@sha256:2", "unpullable")
    sandbox.create(path(namespace), pod("quay.io/team/gone@sha256:2"))
    first, last = (each["status"] for each in RECORDED["image-not-found"]["states"])
    until(lambda: seen(sandbox, namespace, last))
    assert picture(first)["containers"][0][2]["reason"] == "ErrImagePull"


def test_what_no_node_takes_is_pending_as_recorded(sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    sandbox.change_settings(unschedulable=f"^{namespace}$")
    sandbox.create(path(namespace), pod("quay.io/team/big@sha256:3"))
    until(lambda: sandbox.pods(namespace)[0]["status"].get("conditions"))
    [found] = sandbox.pods(namespace)
    wanted = picture(RECORDED["unschedulable"]["states"][0]["status"])
    assert picture(found["status"]) == wanted and "nodeName" not in found["spec"]


def test_another_runtime_never_creates_the_container(sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    sandbox.change_settings(container_runtime="cri-o")
    sandbox.create(path(namespace), pod("quay.io/team/once@sha256:1"))

    def waiting() -> Json:
        status = sandbox.pods(namespace)[0]["status"]
        return (status.get("containerStatuses") or [{"state": {}}])[0]["state"].get("waiting", {})  # type: ignore[no-any-return]

    until(lambda: waiting().get("reason") == "CreateContainerError")
    assert COMMAND in waiting()["message"] and sandbox.pods(namespace)[0]["status"]["phase"] == "Pending"


def test_admission_refuses_and_adds(sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace(labels={"pod-security.kubernetes.io/enforce": "restricted"})
    sandbox.patch(f"/api/v1/namespaces/{namespace}/serviceaccounts/default", {"imagePullSecrets": [{"name": "quay"}]})
    created = sandbox.create(path(namespace), pod("x@sha256:1"))
    assert created["spec"]["imagePullSecrets"] == [{"name": "quay"}]
    sandbox.change_settings(pod_quota={namespace: 1})
    with pytest.raises(Refused, match="exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1"):
        sandbox.create(path(namespace), pod("x@sha256:1", "second"))
    with pytest.raises(Refused, match="violates PodSecurity"):
        sandbox.create(path(namespace), pod("x@sha256:1", "root", securityContext={}))


def test_other_pods_stay_as_they_were_sent(sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    other = pod("x@sha256:1")
    other["spec"]["containers"][0]["command"] = ["/bin/true"]
    sandbox.create(path(namespace), other)
    sandbox.create(path(namespace), pod("x@sha256:1", "second"))
    until(lambda: sandbox.pods(namespace)[1]["status"]["phase"] == "Failed")
    assert sandbox.pods(namespace)[0]["status"] == {}
