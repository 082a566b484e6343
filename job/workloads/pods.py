"""Pods as far as a verdict on a rollout needs them: what each container runs, and what keeps it from running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job.cluster.unstructured import condition_text, number, object_in, objects_in
from job.domain.records import dataclass
from job.workloads.image_triggers import container_image, digest_in
from job.workloads.troubles import Trouble, trouble_of

_DEPLOYER_LABEL = "openshift.io/deployer-pod-for.name"


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod.

    Attributes:
        image: of the pod's spec.
        image_id: what the runtime says that it runs; empty until it does.
        trouble: why it does not run or is of no use; None where it does, or is being started.
        restarts: how often it was started again.
    """

    name: str
    image: str
    image_id: str
    trouble: Trouble | None
    restarts: int

    def runs(self, digests: frozenset[str]) -> bool:
        """Whether its image is one of those.

        A runtime may report the manifest of an index, so that what the spec names is right as well.
        """
        return digest_in(self.image) in digests or digest_in(self.image_id) in digests

    @property
    def is_hopeless(self) -> bool:
        """Whether what it reports decides a rollout, at once or when it lasts."""
        return self.trouble is not None and self.trouble.decides is not None


@dataclass(frozen=True, slots=True)
class Pod:
    """What a verdict needs to know of a pod, which is little of its JSON.

    Attributes:
        owner: kind, name and uid of its controller; empty without one.
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
        by_name = {container.name: container for container in self.containers}
        return all(name in by_name and by_name[name].runs(digests) for name, digests in images.items())

    def runs_any(self, images: Mapping[str, frozenset[str]]) -> bool:
        """Whether one of the containers named runs one of its digests."""
        return any(container.name in images and container.runs(images[container.name]) for container in self.containers)

    @property
    def trouble(self) -> str | None:
        """Why it is not ready, as far as it says; the worst first."""
        troubled = [container for container in self.containers if container.trouble]
        troubled.sort(
            key=lambda container: (
                not container.is_hopeless,
                container.trouble is not None and container.trouble.group == "unready",
            )
        )
        return next((container.trouble.words for container in troubled if container.trouble), self.pending)

    @property
    def ordinal(self) -> int:
        """Its number in a StatefulSet; -1 where it has none."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1


def pod_from(data: Mapping[str, Any]) -> Pod:
    """A pod from its JSON."""
    metadata, spec, status = object_in(data, "metadata"), object_in(data, "spec"), object_in(data, "status")
    labels = object_in(metadata, "labels")
    owner = next(
        (reference for reference in objects_in(metadata, "ownerReferences") if reference.get("controller") is True), {}
    )
    conditions = {str(condition.get("type")): condition for condition in objects_in(status, "conditions")}
    scheduled = conditions.get("PodScheduled", {})
    statuses = (*objects_in(status, "initContainerStatuses"), *objects_in(status, "containerStatuses"))
    states = {str(container_status.get("name")): container_status for container_status in statuses}
    # Of those that only prepare the pod, none is ready while it runs.
    lasting = {str(container.get("name")) for container in objects_in(spec, "containers")}
    names = [
        str(container.get("name")) for kind in ("initContainers", "containers") for container in objects_in(spec, kind)
    ]
    return Pod(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid") or "") or None,
        owner=(str(owner.get("kind", "")), str(owner.get("name", "")), str(owner.get("uid") or "")),
        template=str(labels.get("pod-template-hash") or "") or None,
        active=not metadata.get("deletionTimestamp")
        and status.get("phase") not in ("Succeeded", "Failed")
        # A deployer starts the pods of a DeploymentConfig and is not one of them.
        and _DEPLOYER_LABEL not in labels,
        ready=conditions.get("Ready", {}).get("status") == "True",
        pending=condition_text(scheduled) if scheduled.get("status") == "False" else None,
        containers=tuple(
            _container_from(name, container_image(spec, name), states.get(name, {}), lasting=name in lasting)
            for name in names
        ),
    )


def _container_from(name: str, image: str | None, status: Mapping[str, Any], *, lasting: bool) -> Container:
    return Container(
        name=name,
        image=image or "",
        image_id=str(status.get("imageID") or ""),
        trouble=trouble_of(name, status, lasting=lasting),
        restarts=number(status.get("restartCount")),
    )
