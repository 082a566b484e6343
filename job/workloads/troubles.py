"""Why a container does not run: who is to blame, and whether it can still pass.

The words are those of the kubelet and of the two runtimes, containerd and CRI-O (kubelet, pkg/kubelet/images and
pkg/kubelet/kuberuntime). What is matched here was recorded from a real kubelet, or is in CRI-O's source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from job.cluster.unstructured import number, object_in
from job.domain.model import Blame
from job.domain.records import dataclass, replace
from job.domain.text import clean

# A first crash may be one of a dependency that is not there yet.
CRASHES = 2
# How long a problem must last to decide a rollout where a later try may help. The kubelet tries a pull again after 10
# seconds and then after 20 more.
PATIENCE_SECONDS = 30.0
AT_ONCE = 0.0
# Only the end of the watch decides.
NEVER = float("inf")

_LONGEST_DETAIL = 300
_CRASH_LOOP = "CrashLoopBackOff"
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_POLICY = r"(?i)signature ?validation|source image rejected|signature was required"
# The pull spec and addresses in a message may hold any word.
_NAMES = r'"(?:[^"\\]|\\.)*"|\S*[/@]\S*'


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a container does not run, or is of no use.

    Attributes:
        group: what kind of problem it is; one that goes on under another reason (a pull that is tried again) keeps it.
        blame: who is to blame, where the container's image is one that a run has just moved.
        decides: after how many seconds of the same problem it decides the rollout; None: it is not a failure by itself.
        words: the kubelet's own.
        is_vague: whether they do not give the cause.
    """

    group: str
    blame: Blame
    decides: float | None
    words: str
    is_vague: bool = False


# Patterns ignore case.
_Rules = tuple[tuple[str, Blame, float], ...]
_PULL: _Rules = (
    # The node, its network or the registry; a registry that answers again is asked again.
    (
        r"dial tcp|no such host|connection re|i/o timeout|deadline exceeded|no route to host|unreachable|x509:|\btls:"
        r"|toomanyrequests|too many requests|no space left|\bEOF\b|50\d [A-Z]|unexpected status.*: 5\d\d",
        Blame.NODE,
        NEVER,
    ),
    (r"no match for platform|no image found in|exec format", Blame.IMAGE, AT_ONCE),
    (
        r"unauthorized|authentication required|no basic auth|denied|forbidden|40[13]\b",
        Blame.CONFIGURATION,
        PATIENCE_SECONDS,
    ),
    (r"not ?found|manifest unknown|name unknown|404\b", Blame.IMAGE, PATIENCE_SECONDS),
)
_CREATE: _Rules = (
    (r"will run as root|cannot verify user is non-root|non-numeric user", Blame.IMAGE, AT_ONCE),
    (
        r"exec:|executable file|exec format|exec container process|no such file or directory",
        Blame.IMAGE,
        AT_ONCE,
    ),
    (r"deadline exceeded|timed? ?out|reserv|load|no space left", Blame.NODE, NEVER),
    (r"(?:secret|configmap|key).*(?:not found|in)|couldn't find key", Blame.CONFIGURATION, PATIENCE_SECONDS),
    (r"permission denied", Blame.IMAGE, AT_ONCE),
)
# By the reason of a container that waits: how its message is read, and what holds where the message says nothing known.
_REASONS: Mapping[str, tuple[str, _Rules, Blame, float]] = {
    "ErrImagePull": ("pull", _PULL, Blame.IMAGE, PATIENCE_SECONDS),
    "ImagePullBackOff": ("pull", _PULL, Blame.IMAGE, PATIENCE_SECONDS),
    "RegistryUnavailable": ("pull", (), Blame.NODE, NEVER),
    "SignatureValidationFailed": ("policy", (), Blame.IMAGE, AT_ONCE),
    "InvalidImageName": ("pull", (), Blame.IMAGE, AT_ONCE),
    "ErrImageNeverPull": ("pull", (), Blame.CONFIGURATION, AT_ONCE),
    "ImageInspectError": ("pull", (), Blame.NODE, PATIENCE_SECONDS),
    "CreateContainerConfigError": ("create", _CREATE, Blame.CONFIGURATION, PATIENCE_SECONDS),
    "CreateContainerError": ("create", _CREATE, Blame.IMAGE, PATIENCE_SECONDS),
    "RunContainerError": ("create", _CREATE, Blame.IMAGE, PATIENCE_SECONDS),
    "PreCreateHookError": ("create", (), Blame.NODE, PATIENCE_SECONDS),
    "PreStartHookError": ("create", (), Blame.NODE, PATIENCE_SECONDS),
    "PostStartHookError": ("crash", (), Blame.IMAGE, PATIENCE_SECONDS),
}


def trouble_of(name: str, status: Mapping[str, Any], *, lasting: bool) -> Trouble | None:
    """Why a container does not run, or is of no use.

    Args:
        name: the container's.
        status: its entry in the pod's status; empty where it has none yet.
        lasting: whether it is to run for good, unlike one that only prepares the pod.
    """
    waiting, ended = object_in(status, "state", "waiting"), object_in(status, "state", "terminated")
    reason = str(waiting.get("reason") or (ended.get("reason") if ended.get("exitCode") else None) or "")
    if not reason or reason in _STARTING:
        unready = lasting and "running" in object_in(status, "state") and status.get("ready") is False
        words = f"container {name} runs, but is not ready"
        return Trouble("unready", Blame.IMAGE, None, words) if unready else None
    before = ended or object_in(status, "lastState", "terminated")
    restarts = number(status.get("restartCount"))
    message = str(waiting.get("message") or before.get("message") or "")
    detail = "; ".join(_details(reason, waiting, before))
    words = f"container {name}: {clean(reason)}" + (f" ({detail})" if detail else "")
    if re.search(_POLICY, message) or reason == "SignatureValidationFailed":
        refused = f"container {name}: a cluster policy refuses the image: {clean(reason)}"
        return Trouble("policy", Blame.IMAGE, AT_ONCE, refused + (f" ({detail})" if detail else ""))
    if reason in _REASONS:
        group, rules, blame, decides = _REASONS[reason]
        # An older kubelet says no more than that it waits.
        is_vague = reason == "ImagePullBackOff" and "Err" not in message and "desc =" not in message
        trouble = _read(rules, message, Trouble(group, blame, decides, words, is_vague))
        # The kubelet reports it between two tries, the first of which proves nothing.
        return replace(trouble, decides=None) if reason == "ErrImagePull" and trouble.decides else trouble
    if before.get("reason") in ("StartError", "ContainerCannotRun"):
        crash = replace(_crash(restarts, words), group="create")
        return _read(_CREATE, str(before.get("message") or ""), crash)
    return _crash(restarts, words)


def without_names(message: str) -> str:
    """A message of the kubelet without pull specs and what is quoted, which may hold any word."""
    return re.sub(_NAMES, "", message)


def _crash(restarts: int, words: str) -> Trouble:
    return Trouble("crash", Blame.IMAGE, AT_ONCE if restarts >= CRASHES else None, words)


def _read(rules: _Rules, message: str, otherwise: Trouble) -> Trouble:
    text = without_names(message)
    for pattern, blame, decides in rules:
        if re.search(pattern, text, re.IGNORECASE):
            return replace(otherwise, blame=blame, decides=decides)
    return otherwise


def _details(reason: str, waiting: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """What else the kubelet says of it, and how the container ended last."""
    details = []
    # A crash loop's message says only how long the kubelet waits, and the pod's name once more.
    if waiting.get("message") and not (before and reason == _CRASH_LOOP):
        details.append(clean(str(waiting["message"]), _LONGEST_DETAIL))
    if before:
        ended = f" ({clean(str(before['reason']))})" if before.get("reason") else ""
        said = f": {clean(str(before['message']), _LONGEST_DETAIL)}" if before.get("message") else ""
        details.append(f"ended with exit code {number(before.get('exitCode'))}{ended}{said}")
    return details
