"""What kubelet writes about a pod that no controller made and that is to run a command that no image has. Pure.

With containerd the container is created and ends at once (recorded: `no-such-command-once` of the conformance folder).
With CRI-O it is never created (its source, server/container_create.go, and the words of crun).
"""

from __future__ import annotations

from tests.sandbox.status import Json
from tests.sandbox.workloads import lives
from tests.sandbox.workloads.lives import Behaviour, Pace

NO_SUCH_FILE = "/import-images/no-such-file"
CONTAINERD, CRI_O = RUNTIMES = ("containerd", "cri-o")


def is_one(pod: Json) -> bool:
    """Whether a pod is to run that command, once."""
    spec = pod.get("spec") or {}
    first = (spec.get("containers") or [{}])[0]
    return spec.get("restartPolicy") == "Never" and str((first.get("command") or [""])[0]).startswith(NO_SUCH_FILE)


def next_step(behaviours: list[str], step: int, pace: Pace) -> float | None:
    """How long it stays at a step; None means for good."""
    if step == 0 or (step == 1 and behaviours[0] != lives.CONFIG_ERROR):
        return pace.ready
    return None


def unschedulable(before: Json, now: str, why: str) -> Json:
    """The status of a pod that no node takes."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
    return {
        **before,
        "phase": "Pending",
        "conditions": [{**condition, "lastProbeTime": None, "lastTransitionTime": now}],
    }


def status_of(pod: Json, behaves: Behaviour, step: int, now: str, before: Json, runtime: str) -> Json:
    """The whole status; `before` is what it was."""
    container = pod["spec"]["containers"][0]
    how = behaves(container.get("image", ""))
    status = lives.status_of(pod, lambda image: how if how in lives.NOT_STARTED else lives.READY, step, now, before)
    status["containerStatuses"] = [dict(status["containerStatuses"][0])]
    if step == 0 or how in lives.NOT_STARTED:
        return _typed(status, now, sandbox_is_up=step > 0)
    entry, command = status["containerStatuses"][0], container["command"][0]
    status["phase"] = "Pending"
    if runtime == CRI_O:
        why = f"container create failed: executable file `{command}` not found: No such file or directory"
        entry |= {"state": {"waiting": {"reason": "CreateContainerError", "message": why}}}
        _unready(status, "ContainersNotReady", f"containers with unready status: [{container['name']}]")
        return _typed({**status, **_not_started(entry)}, now, sandbox_is_up=True)
    why = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed:"
        f' unable to start container process: exec: "{command}": stat {command}: no such file or directory: unknown'
    )
    ended = {"exitCode": 128, "reason": "StartError", "message": why, "startedAt": now, "finishedAt": now}
    entry |= {"state": {"terminated": {**ended, "containerID": "containerd://1"}}, "containerID": "containerd://1"}
    _unready(status, "PodFailed", "")
    status |= _not_started(entry)
    return _typed({**status, "phase": "Failed" if step > 1 else "Pending"}, now, sandbox_is_up=step == 1)


def _not_started(entry: Json) -> Json:
    return {"containerStatuses": [{**entry, "ready": False, "started": False, "restartCount": 0, "lastState": {}}]}


def _unready(status: Json, reason: str, message: str) -> None:
    for condition in status["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition |= {"status": "False", "reason": reason}
            condition.pop("message", None)
            if message:
                condition["message"] = message


def _typed(status: Json, now: str, *, sandbox_is_up: bool) -> Json:
    """The status with the condition that newer kubelets add."""
    up = {"type": "PodReadyToStartContainers", "status": str(sandbox_is_up)}
    status["conditions"] = [{**up, "lastProbeTime": None, "lastTransitionTime": now}, *status["conditions"]]
    return status
