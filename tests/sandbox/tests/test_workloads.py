"""Workloads of the sandbox look as those of real controllers did, at five moments of a day with a bad image."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import cache

import pytest

from tests.sandbox import workload_manifests
from tests.sandbox.client import IMAGE, Refused, Sandbox, until
from tests.sandbox.status import Json
from tests.sandbox.workloads.sizes import Size, limits, rolling
from tests.support.paths import CONFORMANCE

pytest_plugins = ["tests.sandbox.fixtures"]

RECORDED = CONFORMANCE / "workloads"
MOMENTS = sorted(file.stem for file in RECORDED.glob("*.json"))
WORKLOADS = {
    "web": ("Deployment", 2, {"progressDeadlineSeconds": 4}),
    "paused": ("Deployment", 1, {}),
    "worker": ("StatefulSet", 2, {}),
    "parallel": ("StatefulSet", 2, {"podManagementPolicy": "Parallel"}),
    "partitioned": ("StatefulSet", 2, {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}),
    "ondelete": ("StatefulSet", 1, {"updateStrategy": {"type": "OnDelete"}}),
}

# How each of them looked at one moment.
Picture = dict[str, Json]


def picture(objects: list[Json]) -> Picture:
    """What is compared: a workload's spec and status, its replica sets and revisions, and its pods.

    Left out are uids and times; the deadline, which is shorter here; and of pods

    - the number of restarts, what was before the last one, and the words about waiting: kubelet counts on, while the
      recorded pods were made ready or crashing by hand, once;
    - a reason in conditions, which nobody wrote by hand, and the generation, which only servers newer than OpenShift's
      give them.

    Hashes in names become the image that they stand for, or for revisions the number.
    """
    numbers = {
        each["metadata"]["name"]: f"revision {each['revision']}"
        for each in objects
        if each["kind"] == "ControllerRevision"
    }
    return {name: _picture_of(name, [each for each in objects if _belongs(each, name)], numbers) for name in WORKLOADS}


def _belongs(item: Json, name: str) -> bool:
    found: str = item["metadata"]["name"]
    return found == name or found.startswith(f"{name}-")


def _picture_of(name: str, objects: list[Json], numbers: dict[str, str]) -> Json:
    by_kind: dict[str, list[Json]] = {}
    for each in objects:
        by_kind.setdefault(each["kind"], []).append(each)
    [workload] = by_kind.get("Deployment") or by_kind["StatefulSet"]
    status = {**workload["status"], "generation": workload["metadata"]["generation"]}
    status["revision"] = workload["metadata"]["annotations"].get("deployment.kubernetes.io/revision")
    for key in ("currentRevision", "updateRevision"):
        status[key] = numbers.get(status.get(key, ""))
    sets = {_image(each["spec"]["template"]["spec"]): each for each in by_kind.get("ReplicaSet", [])}
    hashes = {each["metadata"]["name"]: image for image, each in sets.items()}
    if "conditions" in status:
        status["conditions"] = sorted((_said(each, hashes) for each in status["conditions"]), key=str)
    return {
        "spec": {**workload["spec"], "progressDeadlineSeconds": None},
        "status": status,
        "replica sets": {image: _replica_set(each) for image, each in sorted(sets.items())},
        "revisions": sorted(numbers[each["metadata"]["name"]] for each in by_kind.get("ControllerRevision", [])),
        "pods": sorted((_pod(name, each, numbers) for each in by_kind["Pod"]), key=str),
    }


def _image(spec: Json) -> str:
    image: str = spec["containers"][0]["image"]
    return image


def _said(condition: Json, hashes: dict[str, str]) -> list[str]:
    message: str = condition["message"]
    for name, image in hashes.items():
        message = message.replace(name, image)
    return [condition["type"], condition["status"], condition["reason"], message]


def _replica_set(item: Json) -> Json:
    annotations = {name: value for name, value in item["metadata"]["annotations"].items() if "triggers" not in name}
    generation = item["metadata"]["generation"]
    return {
        "annotations": annotations, "generation": generation, "replicas": item["spec"]["replicas"],
        "status": item["status"],
    }  # fmt: skip


def _pod(workload: str, item: Json, numbers: dict[str, str]) -> Json:
    metadata, status = item["metadata"], item["status"]
    [container] = status["containerStatuses"]
    [(state, details)] = container["state"].items()
    labels = {name: numbers.get(value, value) for name, value in metadata["labels"].items()}
    if "pod-template-hash" in labels:
        labels["pod-template-hash"] = "a hash"
    [owner] = metadata["ownerReferences"]
    return {
        "name": metadata["name"] if "statefulset.kubernetes.io/pod-name" in labels else workload,
        "labels": labels,
        "owner": [owner["kind"], owner["controller"], owner["blockOwnerDeletion"]],
        "image": [_image(item["spec"]), container["image"], container["imageID"]],
        "phase": status["phase"],
        "ready": [container["ready"], container["started"]],
        "state": [state, details.get("reason")],
        "conditions": [[each["type"], each["status"]] for each in status["conditions"]],
    }


@cache
def recorded(moment: str) -> Picture:
    return picture(json.loads((RECORDED / f"{moment}.json").read_text()))


class Day:
    """The day as it was recorded, played in one namespace."""

    def __init__(self, sandbox: Sandbox, namespace: str) -> None:
        self._sandbox = sandbox
        self._namespace = namespace
        self._digests: dict[str, str] = {}
        self.pictures: dict[str, Picture] = {}

    def play(self) -> None:
        sandbox, namespace = self._sandbox, self._namespace
        sandbox.create_stream(namespace, "app", {"prod": sandbox.source("conf/wl/app:prod")})
        for name, (kind, replicas, spec) in WORKLOADS.items():
            # Made before the tag has an image, so that there are pods of an image that no trigger set.
            sandbox.create_workload(namespace, kind, name, tag="app:prod", replicas=replicas, spec=spec)
        until(lambda: len(self._ready()) == sum(replicas for _, replicas, _ in WORKLOADS.values()))
        good = self._import("GOOD")
        self._look("1-healthy")
        sandbox.patch(f"{workload_manifests.path('Deployment', namespace)}/paused", {"spec": {"paused": True}})
        self._import("BAD")
        self._look("2-bad-image-rolling")
        self._look("3-bad-image-stuck")
        tag = {"name": "prod", "from": {"kind": "ImageStreamImage", "name": f"app@{good}"}}
        place = f"{IMAGE}/namespaces/{namespace}/imagestreamtags/app:prod"
        sandbox.replace(place, {"metadata": {"name": "app:prod"}, "tag": tag})
        self._look("4-tag-moved-back")
        ready = self._ready()
        for pod in sandbox.pods(namespace):
            if pod["metadata"]["name"] not in ready:
                sandbox.delete_pod(namespace, pod["metadata"]["name"], uid=pod["metadata"]["uid"])
        self._look("5-stuck-pods-deleted")

    def _import(self, name: str) -> str:
        digest = self._sandbox.registry.push("conf/wl/app", "prod", name)
        self._digests[digest] = name
        if name == "BAD":
            self._sandbox.image_behaves(digest, "crash")
        self._sandbox.import_tag(self._namespace, "app", "prod")
        return digest

    def _ready(self) -> set[str]:
        return {
            pod["metadata"]["name"]
            for pod in self._sandbox.pods(self._namespace)
            if {"type": "Ready", "status": "True"}.items() <= {**pod["status"].get("conditions", [{}])[-1]}.items()
        }

    def _look(self, moment: str) -> None:
        """Keep what is seen once it is as recorded, or else what is seen in the end."""

        def seen() -> bool:
            self.pictures[moment] = self._now()
            return self.pictures[moment] == recorded(moment)

        try:
            until(seen, seconds=8)
        except TimeoutError:
            return

    def _now(self) -> Picture:
        objects: list[Json] = []
        for plural, kind in (
            ("deployments", "Deployment"),
            ("statefulsets", "StatefulSet"),
            ("replicasets", "ReplicaSet"),
            ("controllerrevisions", "ControllerRevision"),
        ):
            found = self._sandbox.items(f"/apis/apps/v1/namespaces/{self._namespace}/{plural}")
            objects += [{**each, "kind": kind} for each in found]
        objects += [{**each, "kind": "Pod"} for each in self._sandbox.pods(self._namespace)]
        text = json.dumps(objects).replace(self._sandbox.registry_address, "REGISTRY")
        for digest, name in self._digests.items():
            text = text.replace(digest, f"sha256:{name}")
        try:
            return picture(json.loads(text))
        except (KeyError, ValueError):
            # A pod that nobody has started yet.
            return {}


@pytest.fixture(scope="module")
def day(shared_sandbox: Sandbox) -> Iterator[Day]:
    namespace = shared_sandbox.create_namespace()
    with shared_sandbox.settings(image_behaviours={}):
        played = Day(shared_sandbox, namespace)
        played.play()
        yield played
    shared_sandbox.delete(f"/api/v1/namespaces/{namespace}")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("name", WORKLOADS)
def test_as_recorded(day: Day, name: str, moment: str) -> None:
    assert day.pictures[moment][name] == recorded(moment)[name]


# How images behave


def container(pod: Json, *, initial: bool = False) -> Json:
    found: Json = pod["status"]["initContainerStatuses" if initial else "containerStatuses"][0]
    return found


def waiting(pod: Json, *, initial: bool = False) -> str:
    if not pod["status"].get("containerStatuses"):
        return ""
    reason: str = container(pod, initial=initial)["state"].get("waiting", {}).get("reason", "")
    return reason


def the_pod(sandbox: Sandbox, namespace: str, reason: str = "", *, initial: bool = False) -> Json:
    """The only pod, once it waits for that reason, or else is ready."""

    def there() -> list[Json]:
        found = [pod for pod in sandbox.pods(namespace) if pod["status"].get("containerStatuses")]
        if reason:
            return [pod for pod in found if waiting(pod, initial=initial) == reason]
        return [pod for pod in found if container(pod)["ready"]]

    [pod] = until(there)
    return pod


def test_an_image_that_crashes(sandbox: Sandbox, namespace: str) -> None:
    sandbox.change_settings(crash_back_off=0.05, pod_ready_delay=0.02)
    sandbox.image_behaves("team/app", "crash")
    sandbox.create_workload(namespace, "Deployment", "x", image="quay.io/team/app:1")
    pod = the_pod(sandbox, namespace, "CrashLoopBackOff")
    status = container(pod)
    assert (status["ready"], status["started"], pod["status"]["phase"]) == (False, False, "Running")
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert status["lastState"]["terminated"]["exitCode"] == 1
    what = f"container=app pod={pod['metadata']['name']}_{namespace}({pod['metadata']['uid']})"
    assert status["state"]["waiting"]["message"].endswith(f" restarting failed {what}")
    until(lambda: container(sandbox.pods(namespace)[0])["restartCount"] >= 4)


def test_an_image_that_hangs(sandbox: Sandbox, namespace: str) -> None:
    sandbox.image_behaves("team/app", "hang")
    sandbox.create_workload(namespace, "Deployment", "x", image="quay.io/team/app:1")
    [pod] = until(lambda: [pod for pod in sandbox.pods(namespace) if pod["status"]["phase"] == "Running"])
    assert "running" in container(pod)["state"]
    assert (container(pod)["ready"], container(pod)["started"]) == (False, True)
    ready = pod["status"]["conditions"][-1]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "ContainersNotReady")


@pytest.mark.parametrize(
    ("how", "reason", "message"),
    [
        ("unpullable", "ImagePullBackOff", 'Back-off pulling image "quay.io/team/app:1": ErrImagePull: '),
        ("config-error", "CreateContainerConfigError", 'secret "app" not found'),
    ],
)
def test_an_image_that_does_not_start(sandbox: Sandbox, namespace: str, how: str, reason: str, message: str) -> None:
    sandbox.image_behaves("team/app", how)
    sandbox.create_workload(namespace, "StatefulSet", "x", image="quay.io/team/app:1")
    pod = the_pod(sandbox, namespace, reason)
    assert pod["status"]["phase"] == "Pending"
    assert container(pod)["imageID"] == ""
    assert container(pod)["state"]["waiting"]["message"].startswith(message)


def test_a_pull_fails_before_it_is_waited_for(sandbox: Sandbox, namespace: str) -> None:
    sandbox.image_behaves("team/app", "unpullable")
    reasons: list[str] = []
    with sandbox.watch(f"/api/v1/namespaces/{namespace}/pods") as events:
        sandbox.create_workload(namespace, "StatefulSet", "x", image="quay.io/team/app:1")
        while reasons[-1:] != ["ImagePullBackOff"]:
            pod = next(events)["object"]
            if pod["status"].get("containerStatuses") and [waiting(pod)] != reasons[-1:]:
                reasons.append(waiting(pod))
    assert reasons == ["ContainerCreating", "ErrImagePull", "ImagePullBackOff"]


def test_a_container_for_initialization_that_crashes(sandbox: Sandbox, namespace: str) -> None:
    sandbox.image_behaves("setup", "crash")
    spec = {"initContainers": [{"name": "setup", "image": "setup:1"}], "containers": [{"name": "app", "image": "app"}]}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": spec}
    sandbox.create_workload(namespace, "Deployment", "x", spec={"template": template})
    pod = the_pod(sandbox, namespace, "CrashLoopBackOff", initial=True)
    assert (pod["status"]["phase"], waiting(pod)) == ("Pending", "PodInitializing")
    sandbox.image_behaves("setup", "ready")
    pod = the_pod(sandbox, namespace)
    assert container(pod, initial=True)["state"]["terminated"]["reason"] == "Completed"


def test_an_image_that_runs_turns_bad_and_good_again(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(namespace, "Deployment", "x", image="quay.io/team/app:1")
    before = the_pod(sandbox, namespace)
    sandbox.image_behaves("team/app", "crash")
    the_pod(sandbox, namespace, "CrashLoopBackOff")
    available = until(lambda: status_is(sandbox, namespace, "Deployment", unavailableReplicas=1))
    assert "readyReplicas" not in available
    sandbox.image_behaves("team/app", "ready")
    assert the_pod(sandbox, namespace)["metadata"]["uid"] == before["metadata"]["uid"]


def test_the_last_told_counts(sandbox: Sandbox, namespace: str) -> None:
    sandbox.image_behaves("team/", "hang")
    sandbox.image_behaves("team/app:1", "unpullable")
    sandbox.create_workload(namespace, "Deployment", "x", image="quay.io/team/app:1")
    the_pod(sandbox, namespace, "ImagePullBackOff")
    with pytest.raises(Refused, match="none of ready, crash, hang, unpullable, refused"):
        sandbox.image_behaves("app", "dance")


# What keeps pods


def status_is(sandbox: Sandbox, namespace: str, kind: str, name: str = "x", **wanted: object) -> Json | None:
    """The status, once it holds what is wanted and has seen the newest spec."""
    found = sandbox.workload(namespace, kind, name)
    status: Json = found["status"]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    # A number that is nought is left out.
    return status if seen and all(status.get(part, 0) == value for part, value in wanted.items()) else None


def change(sandbox: Sandbox, namespace: str, kind: str, **spec: object) -> None:
    sandbox.patch(f"{workload_manifests.path(kind, namespace)}/x", {"spec": spec})


def with_image(image: str) -> Json:
    return {"spec": {"containers": [{"name": "app", "image": image}]}}


def new(wanted: int, available: int) -> Size:
    return Size("new", wanted, wanted, available)


def old(wanted: int, available: int) -> Size:
    return Size("old", wanted, wanted, available)


@pytest.mark.parametrize(
    ("surge", "unavailable", "sizes", "step"),
    [
        ("25%", "25%", (new(0, 0), old(4, 4)), {"new": 1}),
        ("25%", "25%", (new(1, 0), old(4, 4)), {"old": 3}),
        ("25%", "25%", (new(1, 0), old(3, 3)), {"new": 2}),
        ("25%", "25%", (new(2, 0), old(3, 3)), {}),
        (0, 1, (new(0, 0), old(4, 4)), {"old": 3}),
        (0, 1, (new(1, 0), old(3, 3)), {}),
        (0, 0, (new(0, 0), old(4, 4)), {"old": 3}),
        # What is broken is replaced first, whatever may be missing.
        (1, 0, (new(1, 0), old(4, 1)), {}),
        (1, 0, (new(1, 1), old(4, 1)), {"old": 3}),
        ("100%", 0, (new(4, 4), old(4, 4)), {"old": 0}),
        ("25%", "25%", (new(6, 6), old(0, 0)), {"new": 4}),
        ("25%", "25%", (new(4, 4), old(0, 0)), {}),
    ],
)
def test_a_step_of_a_rolling_update(surge: object, unavailable: object, sizes: tuple[Size, Size], step: Json) -> None:
    within = limits(4, surge, unavailable)
    assert rolling(within, sizes[0], sizes[1:]) == step


def test_recreate_never_has_both(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(
        namespace, "Deployment", "x", image="one", replicas=2, spec={"strategy": {"type": "Recreate"}}
    )
    until(lambda: status_is(sandbox, namespace, "Deployment", availableReplicas=2, updatedReplicas=2))
    with sandbox.watch(f"/api/v1/namespaces/{namespace}/pods") as events:
        change(sandbox, namespace, "Deployment", template=with_image("two"))
        there: dict[str, str] = {}
        for event in events:
            pod = event["object"]
            there[pod["metadata"]["name"]] = pod["spec"]["containers"][0]["image"]
            if event["type"] == "DELETED":
                del there[pod["metadata"]["name"]]
            assert len(set(there.values())) <= 1
            if list(there.values()) == ["two", "two"]:
                break
    until(lambda: status_is(sandbox, namespace, "Deployment", availableReplicas=2, updatedReplicas=2))


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DeploymentConfig"])
def test_scaling(sandbox: Sandbox, namespace: str, kind: str) -> None:
    sandbox.create_workload(namespace, kind, "x", image="one", replicas=1)
    for replicas in (3, 0, 2):
        change(sandbox, namespace, kind, replicas=replicas)
        until(lambda replicas=replicas: status_is(sandbox, namespace, kind, replicas=replicas))  # type: ignore[misc]
        until(lambda replicas=replicas: len(sandbox.pods(namespace)) == replicas)  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "DeploymentConfig"])
def test_what_is_deleted_takes_its_pods_along(sandbox: Sandbox, namespace: str, kind: str) -> None:
    sandbox.create_workload(namespace, kind, "x", image="one")
    the_pod(sandbox, namespace)
    sandbox.delete(f"{workload_manifests.path(kind, namespace)}/x")
    for place in ("pods", "replicationcontrollers"):
        assert sandbox.items(f"/api/v1/namespaces/{namespace}/{place}") == []
    for place in ("replicasets", "controllerrevisions"):
        assert sandbox.items(f"/apis/apps/v1/namespaces/{namespace}/{place}") == []


def test_a_pod_is_deleted_only_if_it_is_the_one_meant(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(namespace, "StatefulSet", "x", image="one")
    old = the_pod(sandbox, namespace)["metadata"]["uid"]
    sandbox.delete_pod(namespace, "x-0", uid=old)
    until(lambda: [pod for pod in sandbox.pods(namespace) if pod["metadata"]["uid"] != old])
    with pytest.raises(Refused, match="the UID in the precondition") as refused:
        sandbox.delete_pod(namespace, "x-0", uid=old)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


def test_ready_is_not_yet_available(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_workload(namespace, "Deployment", "x", image="one", spec={"minReadySeconds": 2})
    status = until(lambda: status_is(sandbox, namespace, "Deployment", readyReplicas=1))
    assert "availableReplicas" not in status
    until(lambda: status_is(sandbox, namespace, "Deployment", availableReplicas=1))


def test_a_daemon_set_is_stuck_until_its_template_is_good(sandbox: Sandbox, namespace: str) -> None:
    sandbox.image_behaves("bad", "crash")
    sandbox.create_workload(namespace, "DaemonSet", "x", image="one")
    until(lambda: status_is(sandbox, namespace, "DaemonSet", numberAvailable=1, updatedNumberScheduled=1))
    change(sandbox, namespace, "DaemonSet", template=with_image("bad"))
    the_pod(sandbox, namespace, "CrashLoopBackOff")
    status = until(lambda: status_is(sandbox, namespace, "DaemonSet", numberUnavailable=1))
    assert (status["desiredNumberScheduled"], status["numberReady"]) == (1, 0)
    change(sandbox, namespace, "DaemonSet", template=with_image("one"))
    until(lambda: status_is(sandbox, namespace, "DaemonSet", numberAvailable=1, updatedNumberScheduled=1))


def test_a_deployment_config_gives_a_rollout_up(sandbox: Sandbox, namespace: str) -> None:
    sandbox.image_behaves("bad", "crash")
    strategy = {"type": "Rolling", "rollingParams": {"timeoutSeconds": 1}}
    sandbox.create_workload(namespace, "DeploymentConfig", "x", image="one", replicas=2, spec={"strategy": strategy})
    status = until(lambda: progressing(sandbox, namespace, "NewReplicationControllerAvailable"))
    assert (status["latestVersion"], status["updatedReplicas"], status["availableReplicas"]) == (1, 2, 2)
    change(sandbox, namespace, "DeploymentConfig", template=with_image("bad"))
    status = until(lambda: progressing(sandbox, namespace, "ReplicationControllerUpdated"))
    status = until(lambda: progressing(sandbox, namespace, "ProgressDeadlineExceeded"))
    assert status["latestVersion"] == 2
    until(lambda: status_is(sandbox, namespace, "DeploymentConfig", updatedReplicas=0, availableReplicas=2, replicas=2))


def progressing(sandbox: Sandbox, namespace: str, reason: str) -> Json | None:
    status: Json = sandbox.workload(namespace, "DeploymentConfig", "x")["status"]
    return status if any(each.get("reason") == reason for each in status.get("conditions", [])) else None


def test_controllers_can_be_stopped(sandbox: Sandbox, namespace: str) -> None:
    with sandbox.settings(workload_controllers=False):
        sandbox.create_workload(namespace, "Deployment", "x", image="one")
        time.sleep(0.3)
        assert sandbox.pods(namespace) == []
        assert sandbox.workload(namespace, "Deployment", "x")["status"] == {}
    the_pod(sandbox, namespace)


def test_pods_that_nobody_keeps_stay_as_they_are(sandbox: Sandbox, namespace: str) -> None:
    place = f"/api/v1/namespaces/{namespace}/pods"
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": True}
    spec = {"containers": [{"name": "app", "image": "one"}]}
    for name, owners in (("bare", []), ("of-a-job", [owner])):
        sandbox.create(place, {"metadata": {"name": name, "ownerReferences": owners}, "spec": spec})
    time.sleep(0.3)
    assert [pod["status"] for pod in sandbox.pods(namespace)] == [{}, {}]
