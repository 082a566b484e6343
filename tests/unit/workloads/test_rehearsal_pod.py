"""The pod of a rehearsal, and what recorded pods say of an image."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.involved import Involved
from job.domain.rehearsals import Obstacle, Rehearsal
from job.workloads.rehearsal_pod import COMMAND, CONTAINER, Identity, refusal_of, rehearsal_pod, requires_non_root
from job.workloads.rehearsal_pod import sight_of as read_sight
from job.workloads.troubles import AT_ONCE, PATIENCE_SECONDS
from tests.support.pod_security import violations
from tests.support.recordings import Json, moments

JOB = Involved("batch/v1", "Job", "shop", "import-images-1", "uid-1")
IMAGE = "quay.io/packit/web@sha256:new"
TEMPLATE: Json = {
    "metadata": {"labels": {"app": "web"}, "annotations": {"openshift.io/required-scc": "nonroot-v2", "more": "x"}},
    "spec": {
        "serviceAccountName": "web",
        "imagePullSecrets": [{"name": "quay"}],
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []},
        },
        "priorityClassName": "high",
        "hostNetwork": True,
        "securityContext": {"fsGroup": 7},
        "volumes": [{"name": "key", "secret": {"secretName": "key"}}],
        "initContainers": [{"name": "migrate", "image": "x"}],
        "containers": [
            {
                "name": "web",
                "image": "x",
                "env": [{"name": "PASSWORD", "value": "x"}],
                "envFrom": [{"secretRef": {"name": "key"}}],
                "volumeMounts": [{"name": "key", "mountPath": "/key"}],
                "livenessProbe": {"httpGet": {"port": 80}},
                "ports": [{"containerPort": 80, "hostPort": 80}],
                "securityContext": {"privileged": True},
                "lifecycle": {"postStart": {"exec": {"command": ["x"]}}},
            }
        ],
    },
}


def identity(namespace: str = "shop", owner: Involved | None = JOB) -> Identity:
    return Identity("rehearsal-1", namespace, "20261124T020003Z-4f1c", {"note": "x"}, owner, 600.0, "5f2a")


def made(template: Json, **more: Any) -> Json:
    return rehearsal_pod(template, "web", IMAGE, identity(**more))


def test_it_goes_where_the_workload_goes_and_pulls_as_it_does() -> None:
    spec = made(TEMPLATE)["spec"]
    for name in ("serviceAccountName", "imagePullSecrets", "nodeSelector", "tolerations"):
        assert spec[name] == TEMPLATE["spec"][name]
    assert spec["affinity"] == {"nodeAffinity": TEMPLATE["spec"]["affinity"]["nodeAffinity"]}
    assert made(TEMPLATE)["metadata"]["annotations"]["openshift.io/required-scc"] == "nonroot-v2"


def test_it_has_nothing_else_of_the_workload() -> None:
    pod = made(TEMPLATE)
    [container] = pod["spec"]["containers"]
    assert container.keys() == {"name", "image", "imagePullPolicy", "command", "resources", "securityContext"}
    assert (container["image"], container["command"]) == (IMAGE, [f"{COMMAND}-5f2a"])
    assert pod["spec"]["automountServiceAccountToken"] is False and pod["spec"]["restartPolicy"] == "Never"
    assert not {"volumes", "initContainers", "hostNetwork", "priorityClassName"} & pod["spec"].keys()
    # Neither a Service nor a controller of the workload takes it for one of its own.
    assert "app" not in pod["metadata"]["labels"]
    assert violations(pod["spec"]) == []


def test_it_goes_when_its_job_does_and_is_ended_by_the_node_without() -> None:
    [owner] = made(TEMPLATE)["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "batch/v1", "kind": "Job", "name": "import-images-1", "uid": "uid-1"}
    # An owner in another namespace counts as gone, and takes the pod along.
    assert "ownerReferences" not in made(TEMPLATE, namespace="elsewhere")["metadata"]
    assert "ownerReferences" not in made(TEMPLATE, owner=None)["metadata"]
    assert made(TEMPLATE)["spec"]["activeDeadlineSeconds"] == 660


def test_it_has_a_user_only_where_the_workload_names_one() -> None:
    assert "runAsUser" not in made(TEMPLATE)["spec"]["securityContext"]
    with_user = copy.deepcopy(TEMPLATE)
    with_user["spec"]["securityContext"] = {"runAsUser": 5, "runAsGroup": 0}
    with_user["spec"]["containers"][0]["securityContext"] = {"runAsUser": 1001}
    assert made(with_user)["spec"]["securityContext"]["runAsUser"] == 1001
    assert "runAsGroup" not in made(with_user)["spec"]["securityContext"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from([*TEMPLATE["spec"], "schedulerName", "runtimeClassName"])


@given(st.dictionaries(NAMES, VALUES))
def test_no_template_makes_it_more_than_restricted(spec: Json) -> None:
    pod = made({"spec": spec})["spec"]
    assert [problem for problem in violations(pod) if problem != "runAsUser" and problem != "runAsGroup"] == []
    assert not {"volumes", "initContainers"} & pod.keys() and pod["automountServiceAccountToken"] is False


# What recorded pods say


def recorded(name: str, moment: int = -1, **spec: Any) -> Json:
    data = copy.deepcopy(moments(name)[moment].data)
    for entry in data["status"].get("containerStatuses", ()):
        entry["name"] = CONTAINER
    data["spec"] |= spec
    return data


def waits(reason: str, message: str, **spec: Any) -> Json:
    entry = {"name": CONTAINER, "state": {"waiting": {"reason": reason, "message": message}}, "restartCount": 0}
    return {"metadata": {}, "spec": spec, "status": {"phase": "Pending", "containerStatuses": [entry]}}


def sight_of(pod: Json, *, refuses_root: bool = True) -> tuple[Obstacle | None, float | None, str]:
    sight = read_sight(pod, refuses_root=refuses_root)
    assert sight is not None
    return sight.obstacle, sight.decides, sight.words


@pytest.mark.parametrize("moment", [0, 1])
def test_a_pod_that_found_no_command_has_passed(moment: int) -> None:
    assert sight_of(recorded("no-such-command-once", moment))[:2] == (None, AT_ONCE)


@pytest.mark.parametrize(
    "message",
    [
        f"container create failed: executable file `{COMMAND}-5f2a` not found: No such file or directory",
        f'container create failed: time="2026-11-24T02:00:00Z" level=error msg="runc create failed: unable to start '
        f'container process: exec: \\"{COMMAND}-5f2a\\": stat {COMMAND}-5f2a: no such file or directory"',
    ],
)
@pytest.mark.parametrize("reason", ["CreateContainerError", "RunContainerError"])
def test_so_has_one_of_cri_o(reason: str, message: str) -> None:
    assert sight_of(waits(reason, message))[:2] == (None, AT_ONCE)


@pytest.mark.parametrize(
    ("name", "obstacle", "decides", "words"),
    [
        ("image-not-found", Obstacle.GONE, PATIENCE_SECONDS, "not found"),
        ("repository-not-found", Obstacle.GONE, PATIENCE_SECONDS, "not found"),
        ("invalid-image-name", Obstacle.UNFIT, AT_ONCE, "must be lowercase"),
        ("runs-as-root", Obstacle.UNFIT, AT_ONCE, "image will run as root"),
        ("registry-unreachable", Obstacle.NODE, PATIENCE_SECONDS, "connection refused"),
        ("registry-unknown-host", Obstacle.NODE, PATIENCE_SECONDS, "no such host"),
        ("unschedulable", Obstacle.UNSCHEDULABLE, PATIENCE_SECONDS, "Insufficient cpu"),
    ],
)
def test_other_recorded_pods_say_why_not(name: str, obstacle: Obstacle, decides: float, words: str) -> None:
    found = sight_of(recorded(name))
    assert found[:2] == (obstacle, decides) and words in found[2]


def test_the_first_failed_pull_proves_nothing() -> None:
    assert sight_of(recorded("image-not-found", 0))[:2] == (Obstacle.GONE, None)


def test_a_pod_on_its_way_says_nothing() -> None:
    assert read_sight(recorded("completed", 0), refuses_root=True) is None
    assert read_sight({}, refuses_root=True) is None


UNAUTHORIZED = (
    "reading manifest sha256:1 in quay.io/packit/web: unauthorized: access to the requested resource is not authorized"
)


@pytest.mark.parametrize(
    ("pod", "obstacle"),
    [
        (waits("ImagePullBackOff", UNAUTHORIZED), Obstacle.NO_LOGIN),
        (waits("ImagePullBackOff", UNAUTHORIZED, imagePullSecrets=[{"name": "quay"}]), Obstacle.REFUSED),
        (waits("SignatureValidationFailed", "A signature was required, but no signature exists"), Obstacle.POLICY),
        (
            waits("ImagePullBackOff", 'Back-off: no image found in image index for architecture "arm64", OS "linux"'),
            Obstacle.ARCHITECTURE,
        ),
        (waits("ErrImagePull", "no match for platform in manifest: not found"), Obstacle.ARCHITECTURE),
        (waits("RunContainerError", f'exec "{COMMAND}": exec format error'), Obstacle.ARCHITECTURE),
        (waits("CreateContainerError", "context deadline exceeded"), Obstacle.NODE),
        ({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}}, Obstacle.NODE),
        ({"metadata": {"deletionTimestamp": "2026-11-24T02:00:00Z"}, "status": {}}, Obstacle.REMOVED),
    ],
)
def test_obstacles(pod: Json, obstacle: Obstacle) -> None:
    assert sight_of(pod)[0] is obstacle


def test_the_words_of_a_registry_do_not_decide() -> None:
    pod = waits("ImagePullBackOff", 'Pulling "quay.io/unauthorized/not-found@sha256:1": ErrImagePull: dial tcp')
    assert sight_of(pod)[0] is Obstacle.NODE


def test_an_image_that_runs_as_root_is_refused_only_where_the_workload_refuses_it() -> None:
    assert sight_of(recorded("runs-as-root"), refuses_root=False)[0] is None
    assert not requires_non_root(TEMPLATE, "web")
    spec = {"securityContext": {"runAsNonRoot": True}, "containers": [{"name": "web"}, {"name": "log"}]}
    assert requires_non_root({"spec": spec}, "web")
    spec["containers"] = [{"name": "web", "securityContext": {"runAsNonRoot": False}}]
    assert not requires_non_root({"spec": spec}, "web")


def test_a_quota_is_no_refusal_of_the_pod() -> None:
    assert refusal_of('pods "x" is forbidden: exceeded quota: pods, requested: pods=1') is Obstacle.QUOTA
    assert refusal_of('pods "x" is forbidden: violates PodSecurity "restricted:latest"') is Obstacle.NOT_CREATED
    assert {Obstacle.QUOTA.result, Obstacle.NOT_CREATED.result} == {Rehearsal.INCONCLUSIVE}
