"""Pods and rollouts that a real kubelet and real controllers reported, in the shapes that the job reads.

`pods/states.json` has pods in trouble, moment by moment; `timelines` has whole rollouts, frame by frame. The recordings
name images by tag where a trigger of OpenShift would have written a digest. Each tag is therefore replaced by the
digest that the runtime reported for it, or by a made-up one where the image was never pulled.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from job.cluster import DAEMON_SETS, DEPLOYMENTS, PODS, STATEFUL_SETS, Resource
from job.domain.errors import ClusterError
from job.domain.model import Reason, TagName
from job.workloads.followers import Followed, Moved, Part
from job.workloads.image_triggers import Follows, Workload
from job.workloads.pods import Pod, pod_from
from tests.support.paths import CONFORMANCE

Json = dict[str, Any]

NAMESPACE = "packit-prod"
_RESOURCES = {each.kind: each for each in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS)}
_SET_TO = "image set to "


def digest_of(reference: str) -> str:
    """A made-up digest for an image that no runtime pulled."""
    return "sha256:" + hashlib.sha256(reference.encode()).hexdigest()


@cache
def _states() -> Mapping[str, Json]:
    content: Mapping[str, Json] = json.loads((CONFORMANCE / "pods" / "states.json").read_text(encoding="utf-8"))
    return content


@cache
def _recording(name: str) -> Json:
    content: Json = json.loads((CONFORMANCE / "timelines" / f"{name}.json").read_text(encoding="utf-8"))
    return content


POD_NAMES = tuple(sorted(_states()))
TIMELINES = tuple(sorted(file.stem for file in (CONFORMANCE / "timelines").glob("*.json")))


def _reported_digests(pods: Iterator[Json]) -> dict[str, str]:
    """The digest that the runtime reported for each image that a pod's spec names."""
    found = {}
    for pod in pods:
        images = {each["name"]: each["image"] for each in _containers(pod["spec"])}
        for status in _statuses(pod.get("status", {})):
            if "@" in status.get("imageID", ""):
                found[images[status["name"]]] = status["imageID"].partition("@")[2]
    return found


def _containers(spec: Json) -> list[Json]:
    return [*spec.get("initContainers", ()), *spec["containers"]]


def _statuses(status: Json) -> list[Json]:
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _pin(spec: Json, digests: Mapping[str, str]) -> None:
    """Name the images of a pod's spec by digest, as a trigger does."""
    for container in _containers(spec):
        image = container["image"]
        if "@" not in image:
            repository = image.rpartition(":")[0]
            container["image"] = f"{repository}@{digests.get(image) or digest_of(image)}"


# Single pods


@dataclass(frozen=True, slots=True)
class Moment:
    """A pod at one moment of its life.

    Attributes:
        pod: the name of the recording, one of POD_NAMES.
        second: seconds since the pod was created.
        data: the whole pod as the API writes it, owned by the ReplicaSet of the Deployment that `deployment` gives.
    """

    pod: str
    second: float
    data: Json

    @property
    def parsed(self) -> Pod:
        """The pod as a verdict on a rollout sees it."""
        return pod_from(self.data)

    @property
    def digests(self) -> dict[str, str]:
        """The digest that each container of the spec, by name, should run; init containers included."""
        return {each["name"]: each["image"].partition("@")[2] for each in _containers(self.data["spec"])}

    @property
    def wanted(self) -> dict[str, str]:
        """The container `app` and its digest: what a trigger on the image of `app` moves."""
        return {"app": self.digests["app"]}

    @property
    def deployment(self) -> Json:
        """The Deployment of one replica that this pod belongs to, its counts as the pod's readiness has them."""
        ready = int(self.parsed.ready)
        counts = {"replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1 - ready}
        spec = {key: value for key, value in self.data["spec"].items() if key not in ("nodeName", "restartPolicy")}
        return {
            "metadata": {"name": self.pod, "namespace": NAMESPACE, "generation": 2, "uid": f"uid-of-{self.pod}"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": self.pod}},
                "template": {"metadata": {"labels": {"app": self.pod}}, "spec": copy.deepcopy(spec)},
            },
            "status": {
                "observedGeneration": 2,
                **{name: count for name, count in counts.items() if count},
                **({"readyReplicas": 1, "availableReplicas": 1} if ready else {}),
            },
        }


def moments(name: str) -> tuple[Moment, ...]:
    """A recorded pod, moment by moment; the first is that of its creation."""
    recorded = _states()[name]
    plain = {"spec": recorded["spec"]}
    digests = _reported_digests({**plain, "status": each["status"]} for each in recorded["states"])
    spec = copy.deepcopy(recorded["spec"])
    _pin(spec, digests)
    metadata = {
        "name": f"{name}-abcde-x1y2z",
        "namespace": NAMESPACE,
        "uid": f"uid-of-pod-{name}",
        "labels": {"app": name, "pod-template-hash": "abcde"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": f"{name}-abcde", "controller": True}],
    }
    return tuple(
        Moment(name, each["after_seconds"], {"metadata": metadata, "spec": spec, "status": each["status"]})
        for each in recorded["states"]
    )


# Whole rollouts


@dataclass(frozen=True, slots=True)
class Frame:
    """A workload and what belongs to it at one moment.

    Attributes:
        second: seconds since the recording began.
        note: what was just done to the workload, or None.
        workload: as the API writes it.
        pods: as the API writes them.
        replica_sets: of a Deployment, as the API writes them.
    """

    second: float
    note: str | None
    workload: Json
    pods: tuple[Json, ...]
    replica_sets: tuple[Json, ...]

    @property
    def parsed(self) -> tuple[Pod, ...]:
        """The pods as a verdict on a rollout sees them."""
        return tuple(map(pod_from, self.pods))

    @property
    def template(self) -> dict[str, str]:
        """The digest that each container of the workload's template, by name, is to run."""
        containers = _containers(self.workload["spec"]["template"]["spec"])
        return {each["name"]: each["image"].partition("@")[2] for each in containers}


@dataclass(frozen=True, slots=True)
class Move:
    """The moment when the workload's image was set to another digest; `bad` is the one that it left when set back."""

    second: float
    digest: str
    bad: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """A recorded rollout; its only container that matters is `app`."""

    name: str
    resource: Resource
    frames: tuple[Frame, ...]

    def at(self, second: float) -> Frame:
        """What was to be seen at a moment: the last frame that was not later."""
        return [frame for frame in self.frames if frame.second <= max(second, 0.0)][-1]

    @property
    def end(self) -> float:
        """Seconds from the beginning to the last frame."""
        return self.frames[-1].second

    @property
    def moves(self) -> tuple[Move, ...]:
        """When the template's image was set, and to which digest; the image of the beginning does not count."""
        found: list[Move] = []
        before = seen = self.frames[0].template["app"]
        for frame in self.frames[1:]:
            digest = frame.template["app"]
            if digest != before:
                found.append(Move(frame.second, digest, before if digest == seen else None))
            before = digest
        return tuple(found)

    def until(self, move: Move) -> float:
        """When the next move ended what the given one began: the end of the recording after the last."""
        later = [each.second for each in self.moves if each.second > move.second]
        return min(later, default=self.end)

    def during(self, move: Move) -> tuple[Frame, ...]:
        """The frames from a move to the next."""
        until = self.until(move)
        last = until == self.end
        return tuple(each for each in self.frames if move.second <= each.second and (last or each.second < until)
                     and each.template["app"] == move.digest)  # fmt: skip

    def followed(self, move: Move) -> Followed:
        """The workload as `rollouts.watch` takes it, its trigger on a tag that made the move."""
        metadata = self.frames[0].workload["metadata"]
        tag = TagName(NAMESPACE, "app", "prod")
        follows = Follows(tag, "app")
        workload = Workload(self.resource, NAMESPACE, metadata["name"], (follows,))
        return Followed(workload, (Part(follows, Moved(move.digest, move.bad)),))


@cache
def timeline(name: str) -> Timeline:
    """A recorded rollout, one of TIMELINES."""
    recorded = _recording(name)
    digests = _reported_digests(pod for frame in recorded["frames"] for pod in frame["pods"])
    frames: list[Frame] = []
    for number, each in enumerate(recorded["frames"]):
        frame = copy.deepcopy(each)
        for item in (frame["workload"], *frame["replicasets"]):
            item["metadata"].setdefault("namespace", NAMESPACE)
        _pin(frame["workload"]["spec"]["template"]["spec"], digests)
        for pod in frame["pods"]:
            pod["metadata"] |= {"namespace": NAMESPACE, "uid": f"uid-of-{pod['metadata']['name']}-{_birth(pod)}"}
            _pin(pod["spec"], digests)
        second = frame.get("second", 0.0 if number == 0 else frames[-1].second)
        frames.append(
            Frame(second, frame.get("what"), frame["workload"], tuple(frame["pods"]), tuple(frame["replicasets"]))
        )
    return Timeline(name, _RESOURCES[recorded["kind"]], tuple(frames))


def _birth(pod: Json) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


@dataclass(slots=True)
class Replay:
    """A cluster that shows a recorded rollout, with a clock that only looks move.

    It implements `job.cluster.Cluster` as far as a watch needs it. With `clock=replay.clock` and `pace=replay.pace` a
    watch runs through the recording without waiting; after its end the last frame stays.

    Attributes:
        recording: what is shown.
        now: seconds since the recording began.
        step: seconds between two looks.
        deleted: the pods that were asked to be deleted, with the second.
    """

    recording: Timeline
    now: float = 0.0
    step: float = 0.5
    deleted: list[tuple[float, str]] = field(default_factory=list)

    default_namespace: str | None = NAMESPACE
    clock_skew: float | None = 0.0
    server: str = "https://api.example:6443"
    context: str | None = None

    def clock(self) -> float:
        """Seconds since the recording began."""
        return self.now

    def pace(self, looks: int, watched: int) -> float:
        """Move on by a step; the seconds that a watch has to wait in truth are none."""
        self.now += self.step
        return 0.0

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        """The workload as it was at this moment."""
        frame = self.recording.at(self.now)
        if resource != self.recording.resource or name != frame.workload["metadata"]["name"]:
            raise ClusterError(Reason.NOT_FOUND, f"{resource.plural} {name!r} not found", code=404)
        return frame.workload

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The pods, or ReplicaSets, as they were at this moment."""
        frame = self.recording.at(self.now)
        kinds = {PODS.plural: frame.pods, "replicasets": frame.replica_sets}
        return iter(kinds.get(resource.plural, ()))

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Not possible: what was recorded does not change."""
        raise ClusterError(Reason.FORBIDDEN, "a recording cannot be changed", code=403)

    replace = create

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Keep what was asked; the recording shows what came of it where it was done."""
        self.deleted.append((self.now, name))

    def close(self) -> None:
        """Nothing to close."""
