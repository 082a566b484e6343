"""Pods as a verdict on a rollout sees them: what each container runs, and what keeps it from running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from job.cluster.unstructured import condition_text, number, object_in, objects_in
from job.domain.text import clean
from job.workloads.image_triggers import container_image, digest_in

# A first crash may be one of a dependency that is not there yet.
CRASHES = 2
_CRASH_LOOP = "CrashLoopBackOff"
_HOPELESS = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
_DEPLOYER_LABEL = "openshift.io/deployer-pod-for.name"
_LONGEST_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod.

    Attributes:
        image: of the pod's spec.
        image_id: what the runtime says that it runs; empty until it does.
        stopped: the reason why it does not run, or None.
        detail: what else the kubelet says of that, and how it ended last.
        unready: it runs, but is not ready.
        restarts: how often it was started again.
    """

    name: str
    image: str
    image_id: str
    stopped: str | None
    detail: str | None
    unready: bool
    restarts: int

    def runs(self, digests: frozenset[str]) -> bool:
        """Whether its image is one of those.

        A runtime may report the manifest of an index, so that what the spec names is right as well.
        """
        return digest_in(self.image) in digests or digest_in(self.image_id) in digests

    @property
    def is_hopeless(self) -> bool:
        """Whether it will not run by waiting longer."""
        return self.stopped in _HOPELESS or (self.stopped == _CRASH_LOOP and self.restarts >= CRASHES)

    @property
    def trouble(self) -> str | None:
        """Why it does not run, or is of no use."""
        if self.stopped in (None, "ContainerCreating", "PodInitializing"):
            return f"container {self.name} runs, but is not ready" if self.unready else None
        return f"container {self.name}: {self.stopped}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Pod:
    """What a verdict needs to know of a pod, which is little of its JSON.

    Attributes:
        owner: kind, name and uid of its controller; empty where there is none.
        template: the label that says of which ReplicaSet it is.
        active: it is neither over nor being deleted.
        pending: why no node takes it, or None.
    """

    name: str
    uid: str | None
    owner: tuple[str, str, str]
    template: str | None
    active: bool
    ready: bool
    pending: str | None
    containers: tuple[Container, ...]

    def runs(self, images: Mapping[str, frozenset[str]]) -> bool:
        """Whether every container named runs one of its digests."""
        found = {container.name: container for container in self.containers}
        return all(name in found and found[name].runs(digests) for name, digests in images.items())

    def runs_any(self, images: Mapping[str, frozenset[str]]) -> bool:
        """Whether one of the containers named runs one of its digests."""
        return any(each.name in images and each.runs(images[each.name]) for each in self.containers)

    @property
    def trouble(self) -> str | None:
        """Why it is not ready, as far as it says; the worst first."""
        found = sorted(self.containers, key=lambda each: (not each.is_hopeless, each.stopped is None))
        return next((each.trouble for each in found if each.trouble), self.pending)

    @property
    def ordinal(self) -> int:
        """Its number in a StatefulSet; -1 where it has none."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1


def pod_from(data: Mapping[str, Any]) -> Pod:
    """A pod from its JSON."""
    metadata, spec, status = object_in(data, "metadata"), object_in(data, "spec"), object_in(data, "status")
    labels = object_in(metadata, "labels")
    owner = next((each for each in objects_in(metadata, "ownerReferences") if each.get("controller") is True), {})
    conditions = {str(each.get("type")): each for each in objects_in(status, "conditions")}
    scheduled = conditions.get("PodScheduled", {})
    statuses = (*objects_in(status, "initContainerStatuses"), *objects_in(status, "containerStatuses"))
    states = {str(each.get("name")): each for each in statuses}
    # Of those that only prepare the pod, none is ready while it runs.
    lasting = {str(each.get("name")) for each in objects_in(spec, "containers")}
    names = [str(each.get("name")) for kind in ("initContainers", "containers") for each in objects_in(spec, kind)]
    return Pod(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid") or "") or None,
        owner=(str(owner.get("kind", "")), str(owner.get("name", "")), str(owner.get("uid") or "")),
        template=str(labels.get("pod-template-hash") or "") or None,
        active=not metadata.get("deletionTimestamp")
        and status.get("phase") not in ("Succeeded", "Failed")
        # It starts the pods of a DeploymentConfig, and is none of them.
        and _DEPLOYER_LABEL not in labels,
        ready=conditions.get("Ready", {}).get("status") == "True",
        pending=condition_text(scheduled) if scheduled.get("status") == "False" else None,
        containers=tuple(
            _container_from(name, container_image(spec, name), states.get(name, {}), lasting=name in lasting)
            for name in names
        ),
    )


def _container_from(name: str, image: str | None, status: Mapping[str, Any], *, lasting: bool) -> Container:
    waiting, ended = object_in(status, "state", "waiting"), object_in(status, "state", "terminated")
    before = ended or object_in(status, "lastState", "terminated")
    stopped = waiting.get("reason") or (ended.get("reason") if ended.get("exitCode") else None)
    # Of a crash loop it says how long the kubelet waits, and the pod's name once more.
    said_more = waiting.get("message") and not (before and waiting.get("reason") == _CRASH_LOOP)
    details = [clean(str(waiting["message"]), _LONGEST_DETAIL)] if said_more else []
    if before:
        reason = f" ({clean(str(before['reason']))})" if before.get("reason") else ""
        said = f": {clean(str(before['message']), _LONGEST_DETAIL)}" if before.get("message") else ""
        details.append(f"ended with exit code {number(before.get('exitCode'))}{reason}{said}")
    return Container(
        name=name,
        image=image or "",
        image_id=str(status.get("imageID") or ""),
        stopped=clean(str(stopped)) if stopped else None,
        detail="; ".join(details) or None,
        unready=lasting and "running" in object_in(status, "state") and status.get("ready") is False,
        restarts=number(status.get("restartCount")),
    )
