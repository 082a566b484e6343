"""Rehearsals from creating their pods to removing them: bounded, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job.cluster import DEPLOYMENT_CONFIGS, DEPLOYMENTS, PODS
from job.domain.model import TagName
from job.domain.rehearsals import Obstacle, Rehearsal
from job.domain.scope import Scope, Shard
from job.runtime.retry import retrier
from job.workloads.follower_images import FollowerImage, NewImage, follower_images_of
from job.workloads.image_triggers import Follows, Workload
from job.workloads.rehearsal import PODS_AT_ONCE, Stage, rehearse, remove_leftovers
from job.workloads.rehearsal_pod import COMMAND, CONTAINER, LABELS, RUN_LABEL
from tests.unit.objects import JSON, NAMESPACE, Asked, ManualClock, Objects, connection_lost, refusal
from tests.unit.workload_objects import deployment

RUN = "20261124T020003Z-4f1c"
TAG = TagName(NAMESPACE, "web", "prod")
PASSED: JSON = {"terminated": {"reason": "StartError", "exitCode": 128, "message": f'exec: "{COMMAND}": no such file'}}
GONE: JSON = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off: ErrImagePull: manifest unknown"}}


class Node(Objects):
    """Objects, and pods that are at once as their image says; the most that there were at a time is kept."""

    def __init__(self, states: Mapping[str, JSON]) -> None:
        super().__init__()
        self.states = states
        self.most = 0

    def create(self, resource: Any, namespace: str, body: Mapping[str, Any], timeout: float | None = None) -> Any:
        image = body["spec"]["containers"][0]["image"].partition("@")[2]
        entry = {"name": CONTAINER, "state": self.states.get(image, {}), "restartCount": 0}
        status = {"phase": "Pending", "containerStatuses": [entry]}
        metadata = {**body["metadata"], "uid": f"uid-of-{body['metadata']['name']}"}
        try:
            return super().create(resource, namespace, {**body, "metadata": metadata, "status": status})
        finally:
            self.most = max(self.most, len(self.all(PODS)))


def workload(name: str = "web") -> Workload:
    return Workload(DEPLOYMENTS, NAMESPACE, name, (Follows(TAG, "web"),))


def candidate(digest: str, name: str = "web") -> FollowerImage:
    return FollowerImage(workload(name), "web", (TAG,), f"quay.io/packit/web@{digest}")


def stage(
    node: Objects,
    clock: ManualClock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    scope: Scope = Scope("prod"),  # noqa: B008 - it is immutable
) -> Stage:
    clock = clock or ManualClock()
    namespaces = frozenset({NAMESPACE})
    return Stage(node, RUN, scope, namespaces, None, 600.0, retrier(1, stopping, clock.clock), clock.clock)


def node_with(states: Mapping[str, JSON], *names: str) -> Node:
    node = Node(states)
    for name in names or ("web",):
        node.put(DEPLOYMENTS, NAMESPACE, deployment(name))
    return node


def test_each_candidate_gets_its_result_and_no_pod_is_left() -> None:
    node = node_with({"sha256:good": PASSED, "sha256:gone": GONE}, "web", "worker")
    candidates = [candidate("sha256:good"), candidate("sha256:gone", "worker")]
    good, gone = rehearse(stage(node), candidates)
    assert (good.result, gone.result, gone.obstacle) == (Rehearsal.PASSED, Rehearsal.UNUSABLE, Obstacle.GONE)
    assert "manifest unknown" in str(gone) and str(gone).startswith("Deployment worker: gone: ")
    # The kubelet tries again, so that only a problem that lasts is one.
    assert good.seconds < 10 and 30 <= gone.seconds < 60
    assert node.all(PODS) == []


def test_pods_are_few_at_a_time() -> None:
    names = [f"web-{number}" for number in range(25)]
    node = node_with({"sha256:good": PASSED}, *names)
    found = rehearse(stage(node), [candidate("sha256:good", name) for name in names])
    assert [each.candidate.workload.name for each in found] == names
    assert {each.result for each in found} == {Rehearsal.PASSED} and 1 < node.most <= PODS_AT_ONCE
    assert node.all(PODS) == []


def test_a_pod_without_a_result_is_late() -> None:
    node = node_with({})
    [found] = rehearse(stage(node), [candidate("sha256:slow")])
    assert (found.result, found.obstacle) == (Rehearsal.INCONCLUSIVE, Obstacle.LATE)
    assert found.message == "no result within 10m: its container is still being created"
    assert node.all(PODS) == []


def test_a_stop_removes_the_pods_at_once() -> None:
    stopped: list[bool] = []
    clock = ManualClock(lambda now: stopped.append(True) if now > 1003 else None)
    node = node_with({})
    [found] = rehearse(stage(node, clock, lambda: bool(stopped)), [candidate("sha256:slow")])
    assert found.obstacle is Obstacle.LATE and "stopped" in str(found.message)
    assert node.all(PODS) == [] and clock.now < 1005


@pytest.mark.parametrize(
    ("error", "obstacle", "words"),
    [
        (refusal(403, 'pods "x" is forbidden: exceeded quota: pods'), Obstacle.QUOTA, "exceeded quota"),
        (
            refusal(403, 'pods is forbidden: User "system:serviceaccount:x" cannot create resource "pods"'),
            Obstacle.NOT_CREATED,
            f"grant create and delete on pods in {NAMESPACE} (component gates)",
        ),
        (refusal(403, 'pods "x" is forbidden: violates PodSecurity'), Obstacle.NOT_CREATED, "violates PodSecurity"),
    ],
)
def test_a_pod_that_is_refused_says_nothing_of_the_image(error: Exception, obstacle: Obstacle, words: str) -> None:
    node = node_with({})

    def refuse(asked: Asked) -> None:
        if asked.verb == "create":
            raise error

    node.before = refuse
    [found] = rehearse(stage(node), [candidate("sha256:good")])
    assert (found.result, found.obstacle) == (Rehearsal.INCONCLUSIVE, obstacle)
    assert words in str(found.message)
    assert not [asked for asked in node.asked if asked.verb == "delete"]


def test_a_pod_whose_creation_got_no_answer_is_read_and_removed() -> None:
    node = node_with({"sha256:good": PASSED})
    node.script("create", "pods", connection_lost(), after=True)
    [found] = rehearse(stage(node), [candidate("sha256:good")])
    assert found.result is Rehearsal.PASSED and node.all(PODS) == []
    assert len([asked for asked in node.asked if asked.verb == "create"]) == 2


def test_a_pod_that_another_client_removes_says_nothing() -> None:
    node = node_with({})

    def remove(now: float) -> None:
        for pod in node.all(PODS):
            node.remove(PODS, pod["metadata"]["name"])

    [found] = rehearse(stage(node, ManualClock(remove)), [candidate("sha256:slow")])
    assert (found.result, found.obstacle) == (Rehearsal.INCONCLUSIVE, Obstacle.REMOVED)


def test_the_cause_of_a_failed_pull_is_kept_while_the_kubelet_only_waits() -> None:
    """Before Kubernetes 1.31 it gave the cause only between two tries."""
    node = node_with({"sha256:x": {"waiting": {"reason": "ErrImagePull", "message": "unauthorized: no"}}})

    def wait(now: float) -> None:
        for pod in node.all(PODS):
            state = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}
            pod["status"]["containerStatuses"][0]["state"] = state
            node.put(PODS, NAMESPACE, pod)

    [found] = rehearse(stage(node, ManualClock(wait)), [candidate("sha256:x")])
    assert (found.result, found.obstacle) == (Rehearsal.UNUSABLE, Obstacle.NO_LOGIN)


def test_a_wait_without_a_cause_does_not_decide_soon() -> None:
    node = node_with({"sha256:x": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}})
    [found] = rehearse(stage(node), [candidate("sha256:x")])
    assert found.obstacle is Obstacle.UNFIT and found.seconds >= 600


def test_a_refusal_by_the_source_says_nothing_where_the_workload_pulls_another_way() -> None:
    node = node_with({"sha256:x": {"waiting": {"reason": "ImagePullBackOff", "message": "Err: unauthorized: no"}}})
    found = follower_images_of([workload()], {TAG: NewImage("quay.io/packit/web@sha256:x", is_from_source=True)})
    [result] = rehearse(stage(node), found)
    assert (result.result, result.obstacle) == (Rehearsal.INCONCLUSIVE, Obstacle.NO_LOGIN)
    assert "integrated registry" in str(result.message)


def test_each_workload_is_rehearsed_once_with_each_image() -> None:
    other = TagName(NAMESPACE, "web", "canary")
    follows = (Follows(TAG, "web"), Follows(TAG, "log"), Follows(other, "canary"))
    idle = (Follows(TAG, "web", paused=True), Follows(other, "web", problem="it never fires"))
    workloads = [Workload(DEPLOYMENTS, NAMESPACE, "web", follows), Workload(DEPLOYMENTS, NAMESPACE, "idle", idle)]
    images = {TAG: NewImage("quay.io/packit/web@sha256:new"), other: NewImage("quay.io/packit/web@sha256:new")}
    [found] = follower_images_of(workloads, images)
    assert (found.workload.name, found.container, found.tags) == ("web", "web", (TAG, other))
    assert len(follower_images_of(workloads, {**images, other: NewImage("quay.io/packit/web@sha256:other")})) == 2


def test_tags_that_get_their_first_images_together_do_not_wait_for_each_other() -> None:
    """As the triggers of a DeploymentConfig do, of which none fires until every tag has an image."""
    other = TagName(NAMESPACE, "log", "prod")
    follows = (Follows(TAG, "web"), Follows(other, "log", problem="it waits", is_held_up=True, awaits=TAG))
    workload = Workload(DEPLOYMENT_CONFIGS, NAMESPACE, "web", follows, unresolved=frozenset({TAG, other}))
    images = {TAG: NewImage("quay.io/packit/web@sha256:new"), other: NewImage("quay.io/packit/log@sha256:new")}
    assert {candidate.tags for candidate in follower_images_of([workload], images)} == {(TAG,), (other,)}


# What killed runs leave


def leftover(name: str, run: str, scope: JSON | str, age: float = 60.0) -> JSON:
    annotations = {"import-images.dev/scope": scope if isinstance(scope, str) else json.dumps(scope)}
    created = datetime.now(UTC) - timedelta(seconds=age)
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "labels": {**LABELS, RUN_LABEL: run},
            "annotations": annotations,
            "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "spec": {"activeDeadlineSeconds": 660},
        "status": {"phase": "Pending"},
    }


def test_leftovers_are_removed_and_the_pods_of_live_runs_are_not() -> None:
    node = Node({})
    own = {"namespaces": ["elsewhere", NAMESPACE]}
    prod, stg = {"deployment": "prod", "shard": None, **own}, {"deployment": "stg", "shard": None, **own}
    for pod in (
        leftover("killed", "20261124T010003Z-aaaa", prod),
        # It follows a tag of another namespace, whose run this one's lock does not keep out.
        leftover("for-tags-elsewhere", "20261124T010003Z-aaaa", {**prod, "namespaces": ["elsewhere"]}),
        leftover("own", RUN, prod),
        leftover("of-another-deployment", "20261124T010003Z-bbbb", stg),
        leftover("of-another-shard", "20261124T010003Z-bbbb", {**prod, "shard": [1, 2]}),
        leftover("long-ended", "20261123T010003Z-cccc", stg, age=7200),
        leftover("of-any", "20261124T010003Z-dddd", "not JSON"),
        {"metadata": {"name": "web-1", "labels": {"app": "web"}}},
    ):
        node.put(PODS, NAMESPACE, pod)
    remove_leftovers(stage(node, scope=Scope("prod", Shard(0, 2))), [NAMESPACE])
    assert sorted(pod["metadata"]["name"] for pod in node.all(PODS)) == [
        "for-tags-elsewhere",
        "of-another-deployment",
        "of-another-shard",
        "own",
        "web-1",
    ]


def test_where_pods_may_not_be_listed_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    node = Node({})
    node.refused["list", "pods"] = 403
    remove_leftovers(stage(node), [NAMESPACE])
    assert "cannot be listed" in caplog.text
