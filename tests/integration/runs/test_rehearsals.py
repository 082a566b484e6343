"""REHEARSE: nodes try a new image before its tag moves; nothing of it runs, and no pod is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.client import Sandbox, rule, until
from tests.sandbox.status import Json
from tests.support.place import Ended, Place, ended
from tests.support.rights import GATES, RUN, WATCH, without
from tests.support.tiers import slow

SELECTOR = "app.kubernetes.io/component=rehearsal"
# The kubelet's patience is half of it.
QUICK = {"REHEARSE": "true", "ROLLOUT_TIMEOUT": "4s"}


# Unit tests hold each of the recorded pods to its result.
ONE_GATES = slow("each is a whole run; one of its kind gates")


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    made = Place(sandbox, GATES)
    yield made
    sandbox.remove_faults()
    sandbox.change_settings(pod_quota={}, unschedulable="", container_runtime="containerd")
    assert rehearsals(made) == []


def rehearsals(place: Place) -> list[Json]:
    """The pods of rehearsals that there are."""
    return place.sandbox.items(f"/api/v1/namespaces/{place.namespace}/pods", labelSelector=SELECTOR)


def follower(place: Place, name: str, kind: str = "Deployment", **more: Any) -> tuple[str, str]:
    """A workload on a tag, whose registry has something newer; the digests of both images."""
    old = place.imported(name, f"{name} old")
    place.sandbox.create_workload(place.namespace, kind, name, tag=f"{name}:prod", **more)
    return old, place.push(name, f"{place.namespace} {name} new")


def watched(place: Place, **settings: str) -> tuple[Json, Ended]:
    """The first pod of a rehearsal that a run creates, and the run."""
    path = f"/api/v1/namespaces/{place.namespace}/pods"
    with place.sandbox.watch(path, timeout=60.0, labelSelector=SELECTOR) as events:
        done = place.run(**QUICK, **settings)
        pod = next(events)["object"]
    assert isinstance(pod, dict)
    return pod, done


def rehearsal(done: Ended, name: str) -> Json:
    [verdict] = (verdict for verdict in done.tags[f"{name}:prod"]["gates"] if verdict["gate"] == "rehearse")
    assert isinstance(verdict, dict)
    return verdict


@pytest.mark.parametrize("runtime", ["containerd", "cri-o"])
def test_what_nodes_can_use_is_imported(place: Place, runtime: str) -> None:
    place.sandbox.change_settings(container_runtime=runtime)
    _, new = follower(place, "web")
    follower(place, "job", "CronJob")
    place.imported("lonely", "old")
    place.push("lonely", "new")
    done = place.run(**QUICK)
    assert (done.status, set(done.results.values())) == (0, {"updated"}), done.stderr
    assert place.current("web") == new
    assert rehearsal(done, "web")["verdict"] == "passed"
    assert "Deployment web on node node-1" in rehearsal(done, "web")["message"]
    assert "CronJob job" in rehearsal(done, "job")["message"]
    assert rehearsal(done, "lonely")["message"] == "no workload follows the tag"


def test_the_pod_is_as_harmless_as_it_can_be(place: Place) -> None:
    """Where only restricted pods are admitted, with the service account and the pull secrets of the workload."""
    namespace = f"/api/v1/namespaces/{place.namespace}"
    place.sandbox.patch(namespace, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    place.sandbox.create(f"{namespace}/serviceaccounts", {"metadata": {"name": "web"}})
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "serviceAccountName": "web",
            "imagePullSecrets": [{"name": "quay"}],
            "containers": [{"name": "app", "image": "web:prod", "env": [{"name": "KEY", "value": "hunter2"}]}],
        },
    }
    _, new = follower(place, "web", spec={"template": template})
    created, done = watched(place)
    assert done.results == {"web:prod": "updated"}, done.stdout
    pod = created["spec"]
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("web", [{"name": "quay"}])
    assert pod["automountServiceAccountToken"] is False
    assert "hunter2" not in str(created)
    [container] = pod["containers"]
    assert container["image"].endswith(f"@{new}")
    assert container["command"][0].startswith("/import-images/no-such-file")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("unpullable", "gone: ImagePullBackOff"),
        pytest.param(
            "refused",
            "no login: neither the workload nor its service account has a pull secret; ImagePullBackOff",
            marks=ONE_GATES,
        ),
        pytest.param("policy", "policy: a cluster policy refuses the image", marks=ONE_GATES),
        pytest.param("wrong-architecture", "architecture: ", marks=ONE_GATES),
    ],
)
def test_what_a_node_cannot_use_is_not_imported(place: Place, how: str, words: str) -> None:
    old, new = follower(place, "web")
    follower(place, "fine")
    place.sandbox.image_behaves(new, how)
    done = place.run(**QUICK)
    assert (done.status, done.results) == (1, {"web:prod": "failed unusable", "fine:prod": "updated"}), done.stderr
    tag = done.tags["web:prod"]
    assert (place.current("web"), tag["after"]["digest"], tag["candidate"]["digest"]) == (old, old, new)
    assert (tag["by"], rehearsal(done, "web")["verdict"]) == ("node", "held")
    assert f"Deployment web on node node-1: {words}" in tag["message"]


def test_an_image_for_another_architecture_is_not_imported(place: Place) -> None:
    """A runtime pulls an image that has no index for whatever it is; only its programs cannot run."""
    old, _ = follower(place, "web")
    place.push("web", "for arm", platforms=("arm64",))
    done = place.run(**QUICK)
    assert done.results == {"web:prod": "failed unusable"}, done.stderr
    assert "it is for arm64 alone, and the image before for amd64" in done.tags["web:prod"]["message"]
    assert place.current("web") == old


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pod_quota": 1}, "quota: its pod cannot be created: pods"),
        pytest.param({"unschedulable": ""}, "unschedulable: Unschedulable: 0/1 nodes are available", marks=ONE_GATES),
        pytest.param({}, "node: ImagePullBackOff", marks=ONE_GATES),
    ],
    ids=["quota", "unschedulable", "unreachable"],
)
def test_what_is_not_the_fault_of_the_image_holds_it_and_blames_it_not(
    place: Place, settings: Json, words: str
) -> None:
    old, new = follower(place, "web")
    until(lambda: place.sandbox.pods(place.namespace, "web"))
    if "pod_quota" in settings:
        place.sandbox.change_settings(pod_quota={place.namespace: 1})
    elif settings:
        place.sandbox.change_settings(unschedulable=f"^{place.namespace}$")
    else:
        place.sandbox.image_behaves(new, "unreachable")
    done = place.run(**QUICK)
    assert (done.status, done.results) == (0, {"web:prod": "skipped unrehearsed"}), done.stderr
    assert rehearsal(done, "web")["verdict"] == "inconclusive"
    assert words in done.tags["web:prod"]["message"]
    assert place.current("web") == old
    place.sandbox.change_settings(pod_quota={}, unschedulable="", image_behaviours={})
    assert place.run(**QUICK).results == {"web:prod": "updated"}


@pytest.mark.parametrize(
    "more", [{}, pytest.param({"WATCH_ROLLOUTS": "true"}, marks=ONE_GATES)], ids=["", "rollouts are watched"]
)
@pytest.mark.parametrize("missing", [("pods", "create"), ("pods", "list"), ("deployments", "list")])
def test_a_right_that_is_missing_holds_images_back_and_is_named(
    sandbox: Sandbox, missing: tuple[str, str], more: dict[str, str]
) -> None:
    place = Place(sandbox, without(*missing, rules=GATES))
    old, _ = follower(place, "web")
    done = place.run(**QUICK, **more)
    assert done.results == {"web:prod": "skipped unrehearsed"}, done.stderr
    assert missing[0] in done.tags["web:prod"]["message"]
    assert place.current("web") == old
    assert rehearsals(place) == []


def test_a_follower_elsewhere_is_asked_too(place: Place) -> None:
    """Where the run may not create pods the image is held back, and the right that is missing is named."""
    old = place.imported("web", "old")
    other = place.sandbox.create_namespace()
    place.sandbox.create_workload(other, "Deployment", "web", tag=f"{place.namespace}/web:prod")
    place.push("web", f"{place.namespace} new")
    may_see = rule("", ["namespaces"], ["get"])
    place.sandbox.grant(other, "import-images", [*WATCH, may_see], of=place.namespace)
    done = place.run(**QUICK)
    assert done.results == {"web:prod": "skipped unrehearsed"}, done.stderr
    assert f"grant create and delete on pods in {other}" in done.tags["web:prod"]["message"]
    assert place.current("web") == old
    place.sandbox.grant(other, "import-images", [*GATES, may_see], of=place.namespace)
    assert place.run(**QUICK).results == {"web:prod": "updated"}


def follower_elsewhere(sandbox: Sandbox, place: Place) -> Place:
    """A namespace with a job of its own, where a workload follows a tag of another one whose image cannot be pulled."""
    other = Place(sandbox, GATES)
    place.imported("web", "old")
    sandbox.create_workload(other.namespace, "Deployment", "web", tag=f"{place.namespace}/web:prod")
    may_see = rule("", ["namespaces"], ["get"])
    sandbox.grant(other.namespace, "import-images", [*GATES, may_see], of=place.namespace)
    sandbox.image_behaves(place.push("web", f"{place.namespace} new"), "unreachable")
    return other


def test_the_run_of_another_namespace_leaves_the_pod_of_a_live_run_alone(sandbox: Sandbox, place: Place) -> None:
    other = follower_elsewhere(sandbox, place)
    other.imported("app", "old")
    other.push("app", "new")
    with place.running(REHEARSE="true") as process:
        until(lambda: rehearsals(other), told="the pod of a rehearsal")
        assert other.run(**QUICK).results == {"app:prod": "updated"}
        assert len(rehearsals(other)) == 1
        process.send_signal(signal.SIGTERM)
        ended(process)
    assert rehearsals(other) == []
    place.sandbox.change_settings(image_behaviours={})


@ONE_GATES
def test_what_a_killed_run_left_in_another_namespace_is_removed(sandbox: Sandbox, place: Place) -> None:
    other = follower_elsewhere(sandbox, place)
    with place.running(REHEARSE="true") as process:
        until(lambda: rehearsals(other), told="the pod of a rehearsal")
        process.kill()
    place.sandbox.change_settings(image_behaviours={})
    sandbox.delete(f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases/import-images-prod")
    assert place.run(**QUICK).results == {"web:prod": "updated"}
    assert rehearsals(other) == []


def test_a_pod_is_removed_although_the_api_fails(place: Place) -> None:
    follower(place, "web")
    place.fault("pods/", "DELETE", times=1, status={"code": 503})
    place.fault("pods$", "POST", times=1, reset="after")
    done = place.run(**QUICK)
    assert done.results == {"web:prod": "updated"}, done.stderr


def test_a_plan_creates_no_pods(place: Place) -> None:
    follower(place, "web")
    done = place.run("plan", **QUICK)
    assert done.results == {"web:prod": "updated"}
    assert rehearsal(done, "web")["verdict"] == "not_asked"
    shown = place.run("plan", "-o", "table", **{**QUICK, "MIN_AGE": "1s"}).stdout
    # A column folds its text.
    assert "passed min_age; not asked:" in shown and "passed min_age, rehearse" not in shown
    assert not place.requests("POST", "/pods$")


def test_a_stopped_run_leaves_no_pod(place: Place) -> None:
    old, new = follower(place, "web")
    place.sandbox.image_behaves(new, "unreachable")
    with place.running(REHEARSE="true") as process:
        until(lambda: rehearsals(place), told="the pod of a rehearsal")
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert (done.status, place.current("web")) == (6, old)
    assert rehearsals(place) == []


def test_the_next_run_removes_what_a_killed_one_left(place: Place) -> None:
    _, new = follower(place, "web")
    place.sandbox.image_behaves(new, "unreachable")
    with place.running(REHEARSE="true") as process:
        until(lambda: rehearsals(place), told="the pod of a rehearsal")
        process.kill()
    [left] = rehearsals(place)
    place.sandbox.change_settings(image_behaviours={})
    # The lock of the killed run is taken over once its time is up.
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases/import-images-prod"
    place.sandbox.delete(lease)
    done = place.run(**QUICK)
    assert done.results == {"web:prod": "updated"}, done.stderr
    assert rehearsals(place) == []
    assert left["metadata"]["name"] in done.stderr


def test_the_pod_belongs_to_the_job_of_the_run(place: Place) -> None:
    follower(place, "web")
    jobs = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    job = place.sandbox.create(jobs, {"metadata": {"name": "import-images-1"}, "spec": {}})
    created, done = watched(place, JOB_NAME="import-images-1", POD_NAMESPACE=place.namespace)
    assert done.results == {"web:prod": "updated"}, done.stderr
    [owner] = created["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Job", job["metadata"]["uid"])


def test_annotations_switch_it_on_and_off(place: Place) -> None:
    for name in ("on", "off"):
        _, new = follower(place, name)
        place.sandbox.image_behaves(new, "unpullable")
    for name, value in (("on", "true"), ("off", "false")):
        path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/{name}"
        place.sandbox.patch(path, {"metadata": {"annotations": {"import-images.dev/rehearse": value}}})
    assert place.run(ROLLOUT_TIMEOUT="4s").results == {"on:prod": "failed unusable", "off:prod": "updated"}


def test_without_it_no_pod_and_no_workload_is_asked_for(sandbox: Sandbox) -> None:
    place = Place(sandbox, RUN)
    follower(place, "web")
    done = place.run()
    assert done.results == {"web:prod": "updated"}
    assert not [each for each in place.requests() if "/pods" in each["path"] or "/apps/" in each["path"]]
