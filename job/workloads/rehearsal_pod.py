"""The pod of a rehearsal, and what its status says of the image.

The pod asks a node to pull an image and to start a command in it that no image has. The node gets as far as creating
the container, and nothing of the image runs. containerd then ends it with StartError, CRI-O reports
CreateContainerError; both name the command (recorded from a real kubelet; CRI-O's words are those of crun and runc).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from job.cluster.unstructured import condition_text, object_in, objects_in
from job.domain.involved import Involved
from job.domain.model import ANNOTATION_PREFIX, Blame
from job.domain.records import dataclass
from job.domain.rehearsals import Obstacle
from job.domain.text import clean
from job.workloads.troubles import AT_ONCE, PATIENCE_SECONDS, Trouble, trouble_of, without_names

Json = Mapping[str, Any]

CONTAINER = "rehearsal"
# A random part follows, so that no image can have the file on purpose.
COMMAND = "/import-images/no-such-file"
SELECTOR = "app.kubernetes.io/managed-by=import-images,app.kubernetes.io/component=rehearsal"
RUN_LABEL = f"{ANNOTATION_PREFIX}run"
LABELS = {
    "app.kubernetes.io/managed-by": "import-images",
    "app.kubernetes.io/component": "rehearsal",
    # A sidecar would run, and might keep the pod.
    "sidecar.istio.io/inject": "false",
}
# The API removes no pod that has been ended by this; it ends what a killed run leaves behind.
OVERTIME_SECONDS = 60
# Requests and limits are the same, as the ratio that a LimitRange allows may be 1.
_RESOURCES = {"cpu": "50m", "memory": "64Mi"}
_SCC_ANNOTATION = "openshift.io/required-scc"
_WRONG_ARCHITECTURE = r"(?i)no match for platform|no image found in|exec format"
_RUNS_AS_ROOT = r"(?i)will run as root|cannot verify user is non-root|non-numeric user"
_GONE = r"(?i)not ?found|manifest unknown|name unknown|404\b"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a rehearsal's pod is called, and what finds it again.

    Attributes:
        name: of the pod.
        namespace: the workload's.
        run: the run's id.
        annotations: more that it gets.
        owner: the Job of the run, in the same namespace; the pod goes when the Job does.
        seconds: after how many the node ends it.
        suffix: the random part of the command.
    """

    name: str
    namespace: str
    run: str
    annotations: Mapping[str, str]
    owner: Involved | None
    seconds: float
    suffix: str


def rehearsal_pod(template: Json, container: str, image: str, identity: Identity) -> dict[str, Any]:
    """The pod as it is created.

    It goes to a node as the workload's pods do and pulls as they do. What decides where other pods must or must not be
    (pod affinity) is left out, since the pod is one more beside those of the workload.

    Args:
        template: the pod template of the workload, with `metadata` and `spec`.
        container: the one of it that is to get the image.
        image: a pull spec with a digest.
        identity: see there.
    """
    spec = object_in(template, "spec")
    metadata: dict[str, Any] = {
        "name": identity.name,
        "namespace": identity.namespace,
        "labels": {**LABELS, RUN_LABEL: identity.run},
        "annotations": {**identity.annotations, **_scc_of(template)},
    }
    if identity.owner is not None and identity.owner.uid and identity.owner.namespace == identity.namespace:
        owner = identity.owner
        metadata["ownerReferences"] = [
            {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}
        ]
    copied = ("serviceAccountName", "imagePullSecrets", "nodeSelector", "tolerations", "runtimeClassName")
    node_affinity = object_in(spec, "affinity", "nodeAffinity")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            **{name: spec[name] for name in (*copied, "schedulerName") if spec.get(name)},
            **({"affinity": {"nodeAffinity": node_affinity}} if node_affinity else {}),
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(identity.seconds) + OVERTIME_SECONDS,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": _security(spec, container),
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    # A node that has the image already must still be allowed to pull it.
                    "imagePullPolicy": "Always",
                    "command": [f"{COMMAND}-{identity.suffix}"],
                    "resources": {"requests": _RESOURCES, "limits": _RESOURCES},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
        },
    }


def requires_non_root(template: Json, container: str) -> bool:
    """Whether the workload itself refuses an image that runs as root; the pod of a rehearsal always does."""
    return _context(object_in(template, "spec"), container).get("runAsNonRoot") is True


def _scc_of(template: Json) -> dict[str, str]:
    """The SecurityContextConstraints that the workload asks for by name."""
    wanted = object_in(template, "metadata", "annotations").get(_SCC_ANNOTATION)
    return {_SCC_ANNOTATION: str(wanted)} if wanted else {}


def _security(spec: Json, container: str) -> dict[str, Any]:
    """What Pod Security `restricted` asks for. An SCC gives a user from its range where the template names none."""
    context = _context(spec, container)
    ids = {name: context[name] for name in ("runAsUser", "runAsGroup") if context.get(name)}
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **ids}


def _context(spec: Json, container: str) -> dict[str, Any]:
    """The security context of a container, where what it does not say is the pod's."""
    containers = (*objects_in(spec, "initContainers"), *objects_in(spec, "containers"))
    own = next((candidate for candidate in containers if candidate.get("name") == container), {})
    return {**object_in(spec, "securityContext"), **object_in(own, "securityContext")}


@dataclass(frozen=True, slots=True)
class Sight:
    """What one read of the pod shows.

    Attributes:
        group: what kind of problem it is; it lasts while this stays the same.
        obstacle: the problem; None: the rehearsal has passed.
        words: the kubelet's, or those of the scheduler.
        decides: after how many seconds of the same problem it is the result; None: not by itself.
        is_vague: whether the words do not give the cause, which an earlier read may have shown.
    """

    group: str
    obstacle: Obstacle | None
    words: str
    decides: float | None = AT_ONCE
    is_vague: bool = False


def sight_of(pod: Json, *, refuses_root: bool) -> Sight | None:
    """What a pod shows; None while it is on its way.

    Args:
        pod: as the API has it.
        refuses_root: whether the workload itself refuses an image that runs as root.
    """
    status = object_in(pod, "status")
    entries = [entry for entry in objects_in(status, "containerStatuses") if entry.get("name") == CONTAINER]
    entry = entries[0] if entries else {}
    if _is_created(entry):
        return Sight("created", None, "a node pulled it and created a container of it")
    if object_in(pod, "metadata").get("deletionTimestamp"):
        return Sight("removed", Obstacle.REMOVED, "another client removed the pod")
    if status.get("phase") == "Failed" and not object_in(entry, "state", "terminated"):
        return Sight("failed", Obstacle.NODE, condition_text(status))
    trouble = trouble_of(CONTAINER, entry, lasting=False)
    if trouble is not None:
        return _of_trouble(pod, entry, trouble, refuses_root=refuses_root)
    conditions = {str(condition.get("type")): condition for condition in objects_in(status, "conditions")}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Sight("pending", Obstacle.UNSCHEDULABLE, condition_text(scheduled), PATIENCE_SECONDS)
    return None


def _is_created(entry: Json) -> bool:
    """Whether the runtime got as far as looking for the command, which no image has."""
    waiting, ended = object_in(entry, "state", "waiting"), object_in(entry, "state", "terminated")
    if object_in(entry, "state", "running"):
        # A runtime that starts a process of its own first; the pod is removed at once.
        return True
    message = str(waiting.get("message") or ended.get("message") or "")
    if re.search(_WRONG_ARCHITECTURE, without_names(message)):
        return False
    return COMMAND in message or (bool(ended) and ended.get("reason") in ("Completed", "Error"))


def _of_trouble(pod: Json, entry: Json, trouble: Trouble, *, refuses_root: bool) -> Sight:
    words = trouble.words.removeprefix(f"container {CONTAINER}: ")
    waiting, ended = object_in(entry, "state", "waiting"), object_in(entry, "state", "terminated")
    message = without_names(str(waiting.get("message") or ended.get("message") or ""))
    if re.search(_WRONG_ARCHITECTURE, message):
        return Sight(trouble.group, Obstacle.ARCHITECTURE, words)
    if trouble.group == "create" and re.search(_RUNS_AS_ROOT, message) and not refuses_root:
        return Sight("created", None, "a node pulled it")
    if trouble.group == "policy":
        return Sight("policy", Obstacle.POLICY, words)
    # What may pass is worth no longer wait: the tag is judged again by the next run.
    decides = trouble.decides if trouble.decides is None else min(trouble.decides, PATIENCE_SECONDS)
    obstacle = _obstacle_of(pod, trouble, message)
    if obstacle is Obstacle.NO_LOGIN:
        words = f"neither the workload nor its service account has a pull secret; {words}"
    return Sight(trouble.group, obstacle, words, decides, trouble.is_vague)


def _obstacle_of(pod: Json, trouble: Trouble, message: str) -> Obstacle:
    if trouble.group == "pull" and trouble.blame is Blame.CONFIGURATION:
        # Admission has added the pull secrets of the service account by now.
        has_secret = bool(objects_in(object_in(pod, "spec"), "imagePullSecrets"))
        return Obstacle.REFUSED if has_secret else Obstacle.NO_LOGIN
    if trouble.blame is not Blame.IMAGE:
        return Obstacle.NODE
    is_gone = trouble.group == "pull" and re.search(_GONE, message)
    return Obstacle.GONE if is_gone else Obstacle.UNFIT


def refusal_of(message: str) -> Obstacle:
    """Why the API does not create a pod, from its words."""
    return Obstacle.QUOTA if re.search(r"(?i)exceeded quota|failed quota", clean(message)) else Obstacle.NOT_CREATED
