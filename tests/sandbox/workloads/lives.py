"""What kubelet writes about a pod, by how its images behave and how far it has come. Pure.

A pod's life is a number of steps: made, started, and then what its worst container does. A container that crashes is
never ready before it does, as one with a startup probe.
Source of behaviour: Kubernetes' pkg/kubelet (kuberuntime, status and images).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.sandbox.status import Json

READY, CRASH, HANG, UNPULLABLE, CONFIG_ERROR = ("ready", "crash", "hang", "unpullable", "config-error")
# More ways in which an image cannot be pulled, each with the words of a runtime and the reason where it is of its own.
_PULLS = {
    UNPULLABLE: (
        "ErrImagePull",
        'rpc error: code = NotFound desc = failed to pull and unpack image "{0}": failed to resolve reference "{0}":'
        " {0}: not found",
    ),
    "refused": (
        "ErrImagePull",
        "unable to pull image or OCI artifact: pull image err: initializing source docker://{0}: reading manifest: "
        "unauthorized: access to the requested resource is not authorized",
    ),
    "policy": (
        "SignatureValidationFailed",
        "image pull failed for {0} because the signature validation failed: Source image rejected: A signature was "
        "required, but no signature exists",
    ),
    "wrong-architecture": (
        "ErrImagePull",
        'choosing image instance: no image found in image index for architecture "arm64", variant "v8", OS "linux"',
    ),
    "unreachable": (
        "ErrImagePull",
        'failed to pull and unpack image "{0}": failed to resolve reference "{0}": failed to do request: Head '
        '"https://{0}": dial tcp 10.0.0.9:443: connect: connection refused',
    ),
}
# Of these no container is created.
NOT_STARTED = (*_PULLS, CONFIG_ERROR)
BEHAVIOURS = (READY, CRASH, HANG, *NOT_STARTED)

# What kubelet waits before a container is started again, in its own seconds.
_FIRST_BACK_OFF, _LONGEST_BACK_OFF = 10, 300
# A container that crashes: running, ended, and running once more before kubelet waits for the first time.
_FIRST_WAIT = 4

Behaviour = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast lives go, in seconds."""

    ready: float
    back_off: float


def next_step(behaviours: list[str], step: int, pace: Pace) -> float | None:
    """How long a pod stays at a step; None means for good."""
    if step == 0:
        return pace.ready
    if CRASH in behaviours:
        waits = step >= _FIRST_WAIT and step % 2 == 0
        return pace.back_off * _back_off(step) / _FIRST_BACK_OFF if waits else pace.ready
    if step == 1 and not _PULLS.keys().isdisjoint(behaviours):
        return pace.ready
    return None


def _restarts(step: int) -> int:
    return max(0, (step - 1) // 2)


def _back_off(step: int) -> int:
    return min(_FIRST_BACK_OFF << min(max(step // 2 - 2, 0), 10), _LONGEST_BACK_OFF)


def status_of(pod: Json, behaves: Behaviour, step: int, now: str, before: Json) -> Json:
    """The whole status; `before` is what it was."""
    spec = pod["spec"]
    first = [_container(pod, each, behaves(each.get("image", "")), step, now, before) for each in _initial(spec)]
    broken = any(behaves(each.get("image", "")) != READY for each in _initial(spec)) or (first and step == 0)
    if broken:
        main = [_waiting(each, "PodInitializing", "") for each in spec["containers"]]
    else:
        main = [_container(pod, each, behaves(each.get("image", "")), step, now, before) for each in spec["containers"]]
        first = [_completed(each, now) for each in first]
    started = not broken and all("imageID" in each and each["imageID"] for each in main)
    unready = [each["name"] for each in main if not each["ready"]]
    status: Json = {
        "phase": "Running" if started else "Pending",
        "conditions": _conditions(before, now, initialized=not broken, unready=unready),
        "containerStatuses": main,
        "qosClass": "BestEffort",
        "hostIP": "10.0.0.1",
        "startTime": before.get("startTime", now),
    }
    if first:
        status["initContainerStatuses"] = first
    if started:
        status |= {"podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}]}
    return status


def _initial(spec: Json) -> list[Json]:
    return spec.get("initContainers") or []


def _conditions(before: Json, now: str, *, initialized: bool, unready: list[str]) -> list[Json]:
    ready = not unready
    known = {each["type"]: each for each in before.get("conditions") or ()}
    states = {"PodScheduled": True, "Initialized": initialized, "ContainersReady": ready, "Ready": ready}
    found = []
    for kind, holds in states.items():
        status = str(holds)
        changed = known[kind]["lastTransitionTime"] if kind in known and known[kind]["status"] == status else now
        condition: Json = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": changed}
        if not holds:
            condition["reason"] = "ContainersNotInitialized" if kind == "Initialized" else "ContainersNotReady"
            if kind != "Initialized":
                condition["message"] = f"containers with unready status: [{' '.join(unready)}]"
        found.append(condition)
    return found


def _base(container: Json) -> Json:
    image = container.get("image", "")
    return {
        "name": container["name"], "image": image, "imageID": "", "ready": False, "started": False,
        "restartCount": 0, "lastState": {},
    }  # fmt: skip


def _waiting(container: Json, reason: str, message: str) -> Json:
    state = {"reason": reason, **({"message": message} if message else {})}
    return {**_base(container), "state": {"waiting": state}}


def _completed(status: Json, now: str) -> Json:
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    return {**status, "ready": True, "started": False, "lastState": {}, "state": {"terminated": ended}}


def _container(pod: Json, container: Json, behaviour: str, step: int, now: str, before: Json) -> Json:
    if step == 0:
        return _waiting(container, "ContainerCreating", "")
    image = container.get("image", "")
    if behaviour in _PULLS:
        reason, words = _PULLS[behaviour]
        why = words.format(image)
        if step == 1:
            return _waiting(container, reason, why)
        return _waiting(container, "ImagePullBackOff", f'Back-off pulling image "{image}": {reason}: {why}')
    if behaviour == CONFIG_ERROR:
        return _waiting(container, "CreateContainerConfigError", f'secret "{container["name"]}" not found')
    running = {
        **_base(container),
        "imageID": image,
        "state": {"running": {"startedAt": _since(before, container, now)}},
    }
    if behaviour == CRASH:
        return _crashing(pod, running, step, now)
    return {**running, **_restarted(before, container), "started": True, "ready": behaviour == READY}


def _since(before: Json, container: Json, now: str) -> str:
    """When a container that runs on was started."""
    for each in before.get("containerStatuses") or ():
        if each["name"] == container["name"] and "running" in each["state"]:
            return str(each["state"]["running"]["startedAt"])
    return now


def _restarted(before: Json, container: Json) -> Json:
    """What a container that runs again keeps of its crashes."""
    for each in before.get("containerStatuses") or ():
        if each["name"] == container["name"]:
            ended = {"terminated": each["state"]["terminated"]} if "terminated" in each["state"] else each["lastState"]
            restarts = each["restartCount"] + ("running" not in each["state"] and bool(ended))
            return {"restartCount": restarts, "lastState": ended}
    return {}


def _crashing(pod: Json, running: Json, step: int, now: str) -> Json:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now}}
    restarts = _restarts(step)
    status = {**running, "restartCount": restarts, "lastState": ended if restarts else {}}
    if step == 2:
        return {**status, "state": ended}
    if step % 2:
        return {**status, "state": {"running": {"startedAt": now}}}
    metadata, wait = pod["metadata"], _back_off(step)
    back_off = "5m0s" if wait == _LONGEST_BACK_OFF else _printed(wait)
    name = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    message = f"back-off {back_off} restarting failed container={running['name']} pod={name}"
    return {**status, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": message}}}


def _printed(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
