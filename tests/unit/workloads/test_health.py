"""The verdict on a workload, from what it and its pods look like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.cluster import CRON_JOBS, DAEMON_SETS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Resource
from job.domain.model import RolloutResult
from job.workloads.health import Health, health, runs, stuck_pods
from job.workloads.kinds import KINDS
from job.workloads.pods import pod_from
from tests.unit.workload_objects import (
    BAD,
    CRASH_LOOP,
    JSON,
    NEW,
    OLD,
    deployment,
    image,
    pod,
    recorded,
    stateful_set,
    waiting,
    workload,
)
from tests.unit.workloads.test_image_triggers import ANY_JSON

HEALTHY, FAILED, WAITING = RolloutResult.HEALTHY, RolloutResult.FAILED, RolloutResult.WAITING
WANTED = {"web": NEW}
ROLLING = [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, DEPLOYMENT_CONFIGS]
CRASHED = "container app: CrashLoopBackOff (back-off 10s restarting failed container)"
STUCK = f"runs another image, {CRASHED}; a StatefulSet replaces no pod that is not ready: delete it"
LEFT_BY_PAUSE = "paused (spec.paused), with 1 of 1 pods on another image; oc rollout resume deployment/paused goes on"
LEFT_BY_ON_DELETE = "its updateStrategy is OnDelete, which leaves 1 of 1 pods on another image until they are deleted"
LEFT_BY_PARTITION = "its partition 1 leaves 1 of 2 pods on another image"
RUNS_PAUSED = "it runs the image, and is paused (spec.paused) for others to come"

# What the six recorded workloads are at each of the five moments, when the tag holds that digest. The pod of `ondelete`
# and the first of `partitioned` never leave the image that they were made with, which is neither of the two. `paused`
# is paused from the second moment on, and runs the image at the moments when the tag is back on what it runs.
VERDICTS: dict[int, tuple[str, dict[str, tuple[RolloutResult | None, str | None]]]] = {
    1: (
        "sha256:GOOD",
        {
            "web": (HEALTHY, None),
            "paused": (HEALTHY, None),
            "worker": (HEALTHY, None),
            "parallel": (HEALTHY, None),
            "partitioned": (WAITING, LEFT_BY_PARTITION),
            "ondelete": (WAITING, LEFT_BY_ON_DELETE),
        },
    ),
    2: (
        "sha256:BAD",
        {
            "web": (FAILED, f"pod web-5b98f9d54c-tn82n: {CRASHED}"),
            "paused": (WAITING, LEFT_BY_PAUSE),
            "worker": (FAILED, f"pod worker-1: {CRASHED}"),
            "parallel": (FAILED, f"pod parallel-1: {CRASHED}"),
            "partitioned": (FAILED, f"pod partitioned-1: {CRASHED}"),
            "ondelete": (WAITING, LEFT_BY_ON_DELETE),
        },
    ),
    3: (
        "sha256:BAD",
        {
            "web": (FAILED, f"pod web-5b98f9d54c-tn82n: {CRASHED}"),
            "paused": (WAITING, LEFT_BY_PAUSE),
            "worker": (FAILED, f"pod worker-1: {CRASHED}"),
            "parallel": (FAILED, f"pod parallel-1: {CRASHED}"),
            "partitioned": (FAILED, f"pod partitioned-1: {CRASHED}"),
            "ondelete": (WAITING, LEFT_BY_ON_DELETE),
        },
    ),
    4: (
        "sha256:GOOD",
        {
            "web": (HEALTHY, None),
            "paused": (HEALTHY, RUNS_PAUSED),
            "worker": (None, f"1 of 2 pods have been updated; pod worker-1 {STUCK}"),
            "parallel": (HEALTHY, None),
            "partitioned": (None, f"0 of 1 pods have been updated; pod partitioned-1 {STUCK}"),
            "ondelete": (WAITING, LEFT_BY_ON_DELETE),
        },
    ),
    5: (
        "sha256:GOOD",
        {
            "web": (HEALTHY, None),
            "paused": (HEALTHY, RUNS_PAUSED),
            "worker": (HEALTHY, None),
            "parallel": (HEALTHY, None),
            "partitioned": (WAITING, LEFT_BY_PARTITION),
            "ondelete": (WAITING, LEFT_BY_ON_DELETE),
        },
    ),
}
RECORDED = [
    pytest.param(moment, name, digest, *verdict, id=f"{moment}-{name}")
    for moment, (digest, verdicts) in VERDICTS.items()
    for name, verdict in verdicts.items()
]


def find(moment: int, name: str) -> tuple[Resource, JSON]:
    kinds = {kind.kind: kind for kind in (DEPLOYMENTS, STATEFUL_SETS)}
    return next(
        (kinds[each["kind"]], each)
        for each in recorded(moment)
        if each["kind"] in kinds and each["metadata"]["name"] == name
    )


@pytest.mark.parametrize(("moment", "name", "digest", "result", "message"), RECORDED)
def test_recorded(moment: int, name: str, digest: str, result: RolloutResult | None, message: str | None) -> None:
    resource, data = find(moment, name)
    # All pods, as if every selector found them: whose they are, their owners say.
    pods = [pod_from(each) for each in recorded(moment) if each["kind"] == "Pod"]
    assert health(resource, data, pods, {"app": digest}) == Health(result, message)


@pytest.mark.parametrize(
    ("moment", "stuck"), [(1, []), (3, []), (4, ["partitioned-1", "worker-1"]), (5, [])], ids=lambda each: str(each)
)
def test_recorded_stuck_pods(moment: int, stuck: list[str]) -> None:
    pods = [pod_from(each) for each in recorded(moment) if each["kind"] == "Pod"]
    found = [
        each.name
        for name in VERDICTS[moment][1]
        for each in stuck_pods(*find(moment, name), pods, {"app": "sha256:GOOD"}, frozenset({"sha256:BAD"}))
    ]
    assert sorted(found) == stuck


def look(resource: Resource, data: JSON, *pods: JSON) -> Health:
    return health(resource, data, [pod_from(each) for each in pods], WANTED)


def pods_of(resource: Resource, *digests: str, **more: Any) -> list[JSON]:
    return [pod(resource, f"web-{number}", digest, **more) for number, digest in enumerate(digests)]


@pytest.mark.parametrize("resource", ROLLING)
class TestAnyKind:
    def test_all_there(self, resource: Resource) -> None:
        assert look(resource, workload(resource), *pods_of(resource, NEW, NEW)) == Health(HEALTHY)

    def test_not_redeployed_yet(self, resource: Resource) -> None:
        found = look(resource, workload(resource, digest=OLD), *pods_of(resource, OLD, OLD))
        assert found == Health(None, f"not redeployed yet: container web is to run {image(OLD)}")

    def test_not_seen_by_its_controller_yet(self, resource: Resource) -> None:
        data = workload(resource, status={"observedGeneration": 1})
        assert look(resource, data, *pods_of(resource, OLD, OLD)) == Health(
            None, "its controller has not seen the new image yet"
        )

    def test_scaled_to_nothing_is_healthy_and_told(self, resource: Resource) -> None:
        found = look(resource, workload(resource, replicas=0))
        assert found.result is HEALTHY
        assert (found.message or "").endswith("nothing runs")

    def test_another_image_although_all_looks_complete(self, resource: Resource) -> None:
        found = look(resource, workload(resource), *pods_of(resource, NEW, OLD))
        # The counts of a DeploymentConfig may still be those of the rollout before.
        assert found.result is (None if resource == DEPLOYMENT_CONFIGS else FAILED)
        assert found.message == f"imported but not running: pod web-1: container web runs {image(OLD)}"

    def test_the_manifest_of_the_index_wanted_is_right(self, resource: Resource) -> None:
        reported = {"imageID": image("sha256:manifest"), "ready": True}
        pods = pods_of(resource, NEW, NEW, status=reported, ready=True)
        assert look(resource, workload(resource), *pods) == Health(HEALTHY)

    def test_pods_that_do_not_count(self, resource: Resource) -> None:
        deleted = pod(resource, "web-7", OLD, deletionTimestamp="2026-11-24T02:00:00Z")
        stranger = pod(resource, "other-0", OLD, of="other", status=CRASH_LOOP)
        free = pod(resource, "free", OLD, ownerReferences=[])
        evicted = pod(resource, "web-8", OLD)
        evicted["status"]["phase"] = "Failed"
        pods = pods_of(resource, NEW, NEW)
        assert look(resource, workload(resource), *pods, deleted, stranger, free, evicted) == Health(HEALTHY)

    def test_a_pod_that_is_not_there(self, resource: Resource) -> None:
        found = look(resource, workload(resource), *pods_of(resource, NEW))
        assert found == Health(None, "1 of its pods are not there")

    @pytest.mark.parametrize(
        ("status", "told"),
        [
            (waiting("CrashLoopBackOff", "back-off 20s", 2), "CrashLoopBackOff (back-off 20s)"),
            (waiting("ImagePullBackOff", "Back-off pulling"), "ImagePullBackOff (Back-off pulling)"),
            (waiting("InvalidImageName"), "InvalidImageName"),
            (waiting("ErrImageNeverPull"), "ErrImageNeverPull"),
            (waiting("CreateContainerConfigError", 'secret "x" not found'), 'ConfigError (secret "x" not found)'),
            (waiting("CreateContainerError"), "CreateContainerError"),
            (waiting("RunContainerError", "exec: no such file\n\x1b[31m"), "RunContainerError (exec: no such file"),
            (
                {
                    **waiting("CrashLoopBackOff", "back-off 20s", 5),
                    "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no token=abc\n"}},
                },
                "CrashLoopBackOff (ended with exit code 1 (Error): no token=***)",
            ),
        ],
    )
    def test_a_new_pod_that_will_not_come_up(self, resource: Resource, status: JSON, told: str) -> None:
        short = dict.fromkeys(("availableReplicas", "readyReplicas", "updatedReplicas", "numberAvailable"), 1)
        pods = [pod(resource, "web-0", OLD), pod(resource, "web-1", NEW, status=status)]
        found = look(resource, workload(resource, status=short), *pods)
        assert found.result is FAILED
        assert (found.message or "").startswith("pod web-1: container web: ")
        assert told in (found.message or "")
        assert (found.message or "").isprintable()

    @pytest.mark.parametrize(
        ("status", "told"),
        [
            (waiting("CrashLoopBackOff", "back-off 10s", 1), "CrashLoopBackOff"),
            (waiting("ErrImagePull", "manifest unknown"), "ErrImagePull (manifest unknown)"),
            ({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}, "ready": False}, "ended with exit code 1"),
            ({"state": {"running": {}}, "ready": False}, "container web runs, but is not ready"),
        ],
    )
    def test_a_new_pod_that_may_come_up(self, resource: Resource, status: JSON, told: str) -> None:
        short = dict.fromkeys(("availableReplicas", "readyReplicas", "numberAvailable"), 1)
        pods = [pod(resource, "web-0", NEW), pod(resource, "web-1", NEW, status=status)]
        found = look(resource, workload(resource, status=short), *pods)
        assert found.result is None
        assert "pod web-1: " in (found.message or "")
        assert told in (found.message or "")

    def test_an_old_pod_s_crash_is_no_failure_of_the_new_image(self, resource: Resource) -> None:
        short = dict.fromkeys(("updatedReplicas", "updatedNumberScheduled", "readyReplicas", "availableReplicas"), 1)
        pods = [pod(resource, "web-0", NEW), pod(resource, "web-1", OLD, status=CRASH_LOOP)]
        assert look(resource, workload(resource, status=short), *pods).result is None


def test_an_init_container_counts() -> None:
    new = pod(DEPLOYMENTS, "web-1", NEW, status=waiting("PodInitializing"))
    new["spec"]["initContainers"] = [{"name": "migrate", "image": image(NEW)}]
    new["status"]["initContainerStatuses"] = [{"name": "migrate", **waiting("CrashLoopBackOff", "", 2)}]
    data = deployment(status={"updatedReplicas": 1})
    assert look(DEPLOYMENTS, data, new) == Health(FAILED, "pod web-1: container migrate: CrashLoopBackOff")


def test_what_keeps_the_pod_from_starting_is_told_first() -> None:
    new = pod(DEPLOYMENTS, "web-1", NEW, status=waiting("ErrImagePull"))
    new["spec"]["containers"] = [{"name": name, "image": image(NEW)} for name in ("slow", "web")]
    slow = {"name": "slow", "state": {"running": {}}, "ready": False}
    new["status"]["containerStatuses"].insert(0, slow)
    found = look(DEPLOYMENTS, deployment(replicas=1, status={"availableReplicas": 0}), new)
    assert found == Health(None, "0 of 1 new pods are available; pod web-1: container web: ErrImagePull")


@pytest.mark.parametrize(
    ("web", "log", "culprits"),
    [
        (waiting("CrashLoopBackOff", restarts=2), {"state": {"running": {}}, "ready": True}, {"web"}),
        (waiting("CrashLoopBackOff", restarts=2), {"state": {"running": {}}, "ready": False}, {"web"}),
        (waiting("CrashLoopBackOff", restarts=2), waiting("CrashLoopBackOff", restarts=1), {"web", "log"}),
        ({"state": {"running": {}}, "ready": False}, {"state": {"running": {}}, "ready": False}, {"web", "log"}),
        (
            waiting("CreateContainerConfigError", 'secret "x" not found'),
            {"state": {"running": {}}, "ready": True},
            set(),
        ),
    ],
    ids=["the other is ready", "the other may wait for it", "both crash", "neither is ready", "configuration"],
)
def test_of_several_new_images_those_whose_containers_fail_are_to_blame(
    web: JSON, log: JSON, culprits: set[str]
) -> None:
    containers = [{"name": name, "image": image(NEW)} for name in ("web", "log")]
    new = pod(DEPLOYMENTS, "web-1", NEW, status=web)
    new["spec"]["containers"] = containers
    new["status"]["containerStatuses"].append({"name": "log", **log})
    data = deployment(replicas=1, status={"updatedReplicas": 1, "availableReplicas": 0}, containers=containers)
    found = health(DEPLOYMENTS, data, [pod_from(new)], {"web": NEW, "log": NEW})
    assert found.culprits == culprits


def test_an_init_container_at_work_is_no_trouble() -> None:
    new = pod(DEPLOYMENTS, "web-1", NEW, status=waiting("PodInitializing"))
    new["spec"]["initContainers"] = [{"name": "migrate", "image": image(NEW)}]
    new["status"]["initContainerStatuses"] = [{"name": "migrate", "state": {"running": {}}, "ready": False}]
    found = look(DEPLOYMENTS, deployment(replicas=1, status={"availableReplicas": 0}), new)
    assert found == Health(None, "0 of 1 new pods are available")


def test_a_pod_may_name_a_tag_where_the_runtime_names_the_digest() -> None:
    pods = pods_of(DEPLOYMENTS, NEW, NEW)
    for each in pods:
        each["spec"]["containers"][0]["image"] = "quay.io/packit/web:prod"
    assert look(DEPLOYMENTS, deployment(), *pods) == Health(HEALTHY)


def test_several_pods_that_will_not_come_up_are_told_by_one() -> None:
    pods = pods_of(DEPLOYMENTS, NEW, NEW, NEW, status=waiting("ImagePullBackOff"))
    found = look(DEPLOYMENTS, deployment(status={"availableReplicas": 0}), *pods)
    assert found == Health(FAILED, "pod web-0: container web: ImagePullBackOff; 2 more like it")


def test_no_node_takes_a_pod() -> None:
    new = pod(DEPLOYMENTS, "web-1", NEW, ready=False)
    new["status"] = {
        "phase": "Pending",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}
        ],
    }
    found = look(DEPLOYMENTS, deployment(replicas=1, status={"availableReplicas": 0}), new)
    assert found == Health(None, "0 of 1 new pods are available; pod web-1: Unschedulable: 0/3 nodes fit")


def test_a_container_that_the_pod_does_not_have() -> None:
    found = health(DEPLOYMENTS, deployment(), [], {"gone": NEW})
    assert found == Health(None, "not redeployed yet: it has no container gone")


def condition(kind: str, status: str, reason: str, message: str) -> JSON:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


def late(named: str) -> JSON:
    return condition("Progressing", "False", "ProgressDeadlineExceeded", f'ReplicaSet "{named}" has timed out.')


class TestDeployments:
    def test_counts(self) -> None:
        for status, message in (
            ({"updatedReplicas": 1}, "1 of 2 pods have been updated"),
            ({"replicas": 3}, "1 old pod has still to end"),
            ({"availableReplicas": 1}, "1 of 2 new pods are available"),
        ):
            assert look(DEPLOYMENTS, deployment(status=status), *pods_of(DEPLOYMENTS, NEW, NEW)) == Health(
                None, message
            )

    def test_one_replica_unless_it_says_otherwise(self) -> None:
        data = deployment(replicas=None, status={"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1})
        assert look(DEPLOYMENTS, data, *pods_of(DEPLOYMENTS, NEW)) == Health(HEALTHY)

    def test_the_deadline_has_passed(self) -> None:
        data = deployment(status={"availableReplicas": 1, **late("web-2")})
        pods = [
            pod(DEPLOYMENTS, "web-0", NEW, generation="2"),
            pod(DEPLOYMENTS, "web-1", NEW, generation="2", status=waiting("ErrImagePull")),
        ]
        assert look(DEPLOYMENTS, data, *pods) == Health(
            FAILED,
            'ProgressDeadlineExceeded: ReplicaSet "web-2" has timed out.; pod web-1: container web: ErrImagePull',
        )

    def test_the_deadline_of_the_rollout_before(self) -> None:
        data = deployment(status={"replicas": 3, **late("web-2")})
        pods = [*pods_of(DEPLOYMENTS, NEW, NEW), pod(DEPLOYMENTS, "web-7", BAD, generation="2", status=CRASH_LOOP)]
        assert look(DEPLOYMENTS, data, *pods) == Health(None, "1 old pod has still to end")

    def test_pods_that_cannot_be_made(self) -> None:
        refused = condition("ReplicaFailure", "True", "FailedCreate", 'pods "web-1" is forbidden: exceeded quota')
        data = deployment(status={"updatedReplicas": 1, **refused})
        assert look(DEPLOYMENTS, data, *pods_of(DEPLOYMENTS, OLD, OLD)) == Health(
            FAILED, 'its pods cannot be made: FailedCreate: pods "web-1" is forbidden: exceeded quota'
        )

    def test_complete_whatever_the_conditions_say(self) -> None:
        refused = condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")
        data = deployment(status=refused)
        assert look(DEPLOYMENTS, data, *pods_of(DEPLOYMENTS, NEW, NEW)) == Health(HEALTHY)

    def test_paused_half_way(self) -> None:
        data = deployment(status={"updatedReplicas": 1}, paused=True)
        found = look(DEPLOYMENTS, data, *pods_of(DEPLOYMENTS, NEW, OLD))
        assert found.result is WAITING
        assert "paused (spec.paused), with 1 of 2 pods on another image" in (found.message or "")


class TestStatefulSets:
    def test_one_that_no_controller_has_seen(self) -> None:
        data = stateful_set(generation=0)
        assert look(STATEFUL_SETS, data, *pods_of(STATEFUL_SETS, NEW, NEW)).result is None

    def test_ready_but_not_available_yet(self) -> None:
        data = stateful_set(status={"availableReplicas": 1})
        assert look(STATEFUL_SETS, data, *pods_of(STATEFUL_SETS, NEW, NEW)) == Health(None, "1 of 2 pods are ready")

    def test_one_of_an_older_cluster_that_does_not_count_the_available(self) -> None:
        data = stateful_set()
        del data["status"]["availableReplicas"]
        assert look(STATEFUL_SETS, data, *pods_of(STATEFUL_SETS, NEW, NEW)) == Health(HEALTHY)

    @pytest.mark.parametrize(
        ("partition", "updated", "digests", "result"),
        [
            (1, 1, (OLD, NEW), WAITING),
            (1, 0, (OLD, OLD), None),
            (5, 0, (OLD, OLD), WAITING),
            # What is below the partition runs the image already.
            (1, 1, (NEW, NEW), HEALTHY),
        ],
    )
    def test_partitions(
        self, partition: int, updated: int, digests: tuple[str, ...], result: RolloutResult | None
    ) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}
        data = stateful_set(status={"updatedReplicas": updated}, updateStrategy=strategy)
        assert look(STATEFUL_SETS, data, *pods_of(STATEFUL_SETS, *digests)).result is result

    @pytest.mark.parametrize(("start", "result"), [(1, WAITING), (0, FAILED)])
    def test_a_partition_counts_from_the_first_number(self, start: int, result: RolloutResult) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        data = stateful_set(updateStrategy=strategy, ordinals={"start": start})
        pods = [pod(STATEFUL_SETS, "web-1", OLD), pod(STATEFUL_SETS, "web-2", NEW)]
        assert look(STATEFUL_SETS, data, *pods).result is result

    @pytest.mark.parametrize(
        ("digests", "ready", "result"),
        [((OLD, OLD), 2, WAITING), ((NEW, OLD), 2, WAITING), ((NEW, NEW), 1, None), ((NEW, NEW), 2, HEALTHY)],
    )
    def test_on_delete(self, digests: tuple[str, ...], ready: int, result: RolloutResult | None) -> None:
        # What is deleted by hand need not be counted as updated.
        data = stateful_set(status={"updatedReplicas": 0, "readyReplicas": ready}, updateStrategy={"type": "OnDelete"})
        assert look(STATEFUL_SETS, data, *pods_of(STATEFUL_SETS, *digests)).result is result

    def test_a_pod_of_one_that_had_the_same_name(self) -> None:
        owner = {"kind": "StatefulSet", "name": "web", "uid": "uid-of-another", "controller": True}
        pods = [*pods_of(STATEFUL_SETS, NEW, NEW), pod(STATEFUL_SETS, "web-7", OLD, ownerReferences=[owner])]
        assert look(STATEFUL_SETS, stateful_set(), *pods) == Health(HEALTHY)

    def test_an_old_pod_is_not_to_blame_while_a_new_one_is_not_ready(self) -> None:
        pods = [
            pod(STATEFUL_SETS, f"web-{n}", each, status=waiting("ErrImagePull")) for n, each in enumerate((OLD, NEW))
        ]
        found = look(STATEFUL_SETS, stateful_set(status={"updatedReplicas": 1}), *pods)
        assert found == Health(None, "1 of 2 pods have been updated; pod web-1: container web: ErrImagePull")

    def test_a_pod_that_blocks_the_others(self) -> None:
        pods = [pod(STATEFUL_SETS, "web-0", OLD), pod(STATEFUL_SETS, "web-1", NEW, status=waiting("ErrImagePull"))]
        found = look(STATEFUL_SETS, stateful_set(status={"updatedReplicas": 1}), *pods)
        assert found == Health(None, "1 of 2 pods have been updated; pod web-1: container web: ErrImagePull")


class TestDaemonSets:
    @pytest.mark.parametrize(
        ("status", "message"),
        [
            ({"updatedNumberScheduled": 1}, "1 of 2 pods have been updated"),
            ({"numberAvailable": 1}, "1 of 2 pods are available"),
        ],
    )
    def test_counts(self, status: JSON, message: str) -> None:
        data = workload(DAEMON_SETS, status=status)
        assert look(DAEMON_SETS, data, *pods_of(DAEMON_SETS, NEW, NEW)) == Health(None, message)

    def test_on_delete(self) -> None:
        data = workload(DAEMON_SETS, updateStrategy={"type": "OnDelete"})
        found = look(DAEMON_SETS, data, *pods_of(DAEMON_SETS, NEW, OLD))
        assert found.result is WAITING
        assert "OnDelete, which leaves 1 of 2 pods on another image" in (found.message or "")

    def test_on_delete_is_over_when_all_pods_run_it(self) -> None:
        # What was deleted by hand need not be counted as updated.
        data = workload(DAEMON_SETS, updateStrategy={"type": "OnDelete"}, status={"updatedNumberScheduled": 0})
        assert look(DAEMON_SETS, data, *pods_of(DAEMON_SETS, NEW, NEW)) == Health(HEALTHY)


class TestDeploymentConfigs:
    @pytest.mark.parametrize(("latest", "result"), [(2, FAILED), (3, None)])
    def test_the_rollout_that_failed_is_the_latest(self, latest: int, result: RolloutResult | None) -> None:
        told = 'replication controller "web-2" has failed progressing'
        failed = condition("Progressing", "False", "ProgressDeadlineExceeded", told)
        data = workload(DEPLOYMENT_CONFIGS, status={"updatedReplicas": 0, "latestVersion": latest, **failed})
        assert look(DEPLOYMENT_CONFIGS, data, *pods_of(DEPLOYMENT_CONFIGS, OLD, OLD)).result is result

    def test_cancelled(self) -> None:
        told = condition("Progressing", "False", "RolloutCancelled", "rollout was cancelled")
        data = workload(DEPLOYMENT_CONFIGS, status={"updatedReplicas": 0, **told})
        found = look(DEPLOYMENT_CONFIGS, data, *pods_of(DEPLOYMENT_CONFIGS, OLD, OLD))
        assert found == Health(FAILED, "RolloutCancelled: rollout was cancelled")

    def test_paused(self) -> None:
        data = workload(DEPLOYMENT_CONFIGS, paused=True)
        found = look(DEPLOYMENT_CONFIGS, data, *pods_of(DEPLOYMENT_CONFIGS, OLD, OLD))
        assert found.result is WAITING
        assert "oc rollout resume deploymentconfig/web" in (found.message or "")

    def test_the_pod_that_deploys_does_not_count(self) -> None:
        deployer = pod(DEPLOYMENT_CONFIGS, "web-1-deploy", OLD)
        deployer["metadata"]["labels"]["openshift.io/deployer-pod-for.name"] = "web-1"
        pods = [*pods_of(DEPLOYMENT_CONFIGS, NEW, NEW), deployer]
        assert look(DEPLOYMENT_CONFIGS, workload(DEPLOYMENT_CONFIGS), *pods) == Health(HEALTHY)


class TestCronJobs:
    def test_healthy_as_soon_as_its_template_has_the_image(self) -> None:
        assert look(CRON_JOBS, workload(CRON_JOBS)) == Health(HEALTHY)
        assert look(CRON_JOBS, workload(CRON_JOBS, digest=OLD)).result is None

    def test_suspended(self) -> None:
        assert look(CRON_JOBS, workload(CRON_JOBS, suspend=True)) == Health(
            HEALTHY, "suspended; the next job runs the image"
        )


class TestStuckPods:
    def stuck(self, resource: Resource, data: JSON, *pods: JSON) -> list[str]:
        found = stuck_pods(resource, data, [pod_from(each) for each in pods], WANTED, frozenset({BAD}))
        return [each.name for each in found]

    def crashing(self, resource: Resource = STATEFUL_SETS, name: str = "web-1", **more: Any) -> JSON:
        return pod(resource, name, BAD, status=CRASH_LOOP, **more)

    def test_a_pod_on_the_bad_image(self) -> None:
        assert self.stuck(STATEFUL_SETS, stateful_set(), self.crashing()) == ["web-1"]
        [found] = stuck_pods(
            STATEFUL_SETS, stateful_set(), [pod_from(self.crashing())], WANTED, frozenset({"sha256:x", BAD})
        )
        assert found.uid == "uid-of-web-1"

    def test_a_deployment_replaces_its_pods_itself(self) -> None:
        assert self.stuck(DEPLOYMENTS, deployment(), self.crashing(DEPLOYMENTS)) == []

    def test_only_what_hangs_there(self) -> None:
        pods = [
            pod(STATEFUL_SETS, "web-0", BAD),
            pod(STATEFUL_SETS, "web-1", NEW, status=CRASH_LOOP),
            pod(STATEFUL_SETS, "web-2", OLD, status=CRASH_LOOP),
            self.crashing(name="web-3", deletionTimestamp="2026-11-24T02:00:00Z"),
            self.crashing(name="other-1", of="other"),
        ]
        assert self.stuck(STATEFUL_SETS, stateful_set(replicas=5), *pods) == []

    def test_not_before_the_template_has_the_image(self) -> None:
        assert self.stuck(STATEFUL_SETS, stateful_set(digest=BAD), self.crashing()) == []

    def test_not_before_the_controller_has_seen_the_template(self) -> None:
        assert self.stuck(STATEFUL_SETS, stateful_set(status={"observedGeneration": 1}), self.crashing()) == []

    def test_not_below_the_partition_where_it_would_come_back_as_it_was(self) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
        pods = [self.crashing(name="web-0"), self.crashing(name="web-1")]
        assert self.stuck(STATEFUL_SETS, stateful_set(updateStrategy=strategy), *pods) == ["web-1"]

    @pytest.mark.parametrize(("strategy", "stuck"), [("OnDelete", ["web-1"]), ("RollingUpdate", [])])
    def test_a_daemon_set_that_replaces_none(self, strategy: str, stuck: list[str]) -> None:
        data = workload(DAEMON_SETS, updateStrategy={"type": strategy})
        assert self.stuck(DAEMON_SETS, data, self.crashing(DAEMON_SETS)) == stuck


@pytest.mark.parametrize(
    ("digests", "expected"), [((NEW, NEW), True), ((NEW, OLD), False), ((OLD,), False), ((), False)]
)
def test_running_it_anyway(digests: tuple[str, ...], expected: bool) -> None:
    pods = [pod_from(each) for each in pods_of(DEPLOYMENTS, *digests)]
    assert runs(DEPLOYMENTS, deployment(digest=OLD), pods, WANTED) is expected


def test_a_cron_job_runs_what_its_template_has() -> None:
    assert runs(CRON_JOBS, workload(CRON_JOBS), (), WANTED)
    assert not runs(CRON_JOBS, workload(CRON_JOBS, digest=OLD), (), WANTED)


PARTS = st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), ANY_JSON)


@given(st.sampled_from(KINDS), PARTS, PARTS)
def test_any_object_gets_a_verdict(resource: Resource, data: JSON, of_pod: JSON) -> None:
    pods = [pod_from(of_pod), pod_from(pod(DEPLOYMENTS, "web-0"))]
    health(resource, {**workload(resource), **data}, pods, WANTED)
    stuck_pods(resource, {**workload(resource), **data}, pods, WANTED, frozenset({BAD}))


NUMBERS = st.integers(0, 3)


@given(
    resource=st.sampled_from(ROLLING),
    status=st.dictionaries(
        st.sampled_from(["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "numberAvailable"]),
        NUMBERS,
    ),
    digests=st.lists(st.sampled_from([NEW, OLD, BAD]), max_size=3),
    paused=st.booleans(),
)
def test_healthy_is_only_what_runs_nothing_but_the_image(
    resource: Resource, status: JSON, digests: list[str], paused: bool
) -> None:
    found = look(resource, workload(resource, status=status, paused=paused), *pods_of(resource, *digests))
    assert found.result is not HEALTHY or (digests and set(digests) == {NEW})
    assert found.result is HEALTHY or found.message
