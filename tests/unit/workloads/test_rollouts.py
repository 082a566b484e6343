"""Surveying the workloads that follow tags, and watching them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from job.cluster import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENT_CONFIGS,
    DEPLOYMENTS,
    PODS,
    PROJECTS,
    STATEFUL_SETS,
    Resource,
)
from job.domain.errors import ClusterError
from job.domain.model import Reason, Rollout, RolloutResult, TagName
from job.runtime.retry import retrier
from job.workloads.discovery import Survey, survey
from job.workloads.followers import Followed, Moved, Part, followed_by, verdict
from job.workloads.health import Health
from job.workloads.image_triggers import Follows, Workload
from job.workloads.kinds import KINDS, kind_of, workload_from
from job.workloads.pods import pod_from
from job.workloads.rollouts import FRESH_SECONDS, pace, watch
from tests.unit.objects import NAMESPACE, Asked, ManualClock, Objects, connection_lost, refusal
from tests.unit.workload_objects import (
    BAD,
    CRASH_LOOP,
    JSON,
    NEW,
    OLD,
    by_name,
    deployment,
    image,
    pod,
    stateful_set,
    trigger,
    waiting,
    workload,
)

WEB = TagName(NAMESPACE, "web", "prod")
TRIGGERS = [trigger()]
MOVED = {WEB: Moved(NEW)}


class Everywhere(Objects):
    """`Objects` whose lists can go over all namespaces."""

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        if namespace:
            return super().list(resource, namespace, selector)
        self._begin("list", resource, namespace, "")
        return iter(self.all(resource))


class TestSurvey:
    def look(self, cluster: Objects, *namespaces: str, everywhere: bool = True, retries: int = 0) -> Survey:
        return survey(
            cluster,
            namespaces or (NAMESPACE,),
            retrier=retrier(retries, lambda: False, ManualClock().clock),
            concurrency=4,
            everywhere=everywhere,
        )

    def cluster(self) -> Everywhere:
        cluster = Everywhere()
        for namespace in (NAMESPACE, "other"):
            cluster.put(PROJECTS, "", {"metadata": {"name": namespace}})
            cluster.put(DEPLOYMENTS, namespace, deployment(triggers=TRIGGERS, namespace=namespace))
            cluster.put(STATEFUL_SETS, namespace, stateful_set("silent", namespace=namespace))
        cluster.put(CRON_JOBS, NAMESPACE, workload(CRON_JOBS, "tick", triggers="{"))
        return cluster

    def names(self, found: Survey) -> list[tuple[str, str]]:
        return [(each.namespace, each.name) for each in found.workloads]

    def forbid(self, cluster: Objects, *places: str, plural: str | None = None, code: int = 403) -> None:
        def hook(asked: Asked) -> None:
            if asked.verb == "list" and asked.namespace in places and plural in (None, asked.plural):
                raise refusal(code)

        cluster.before = hook

    def test_one_list_a_kind_where_that_is_allowed(self) -> None:
        cluster = self.cluster()
        found = self.look(cluster)
        assert self.names(found) == [("other", "web"), (NAMESPACE, "web"), (NAMESPACE, "tick")]
        assert (found.errors, found.left_out) == ((), ())
        assert [(each.plural, each.namespace) for each in cluster.asked] == [(kind.plural, "") for kind in KINDS]

    def test_only_the_given_namespaces(self) -> None:
        cluster = self.cluster()
        found = self.look(cluster, everywhere=False)
        assert self.names(found) == [(NAMESPACE, "web"), (NAMESPACE, "tick")]
        assert {each.namespace for each in cluster.asked} == {NAMESPACE}

    def test_the_projects_one_by_one_where_the_whole_is_forbidden(self) -> None:
        cluster = self.cluster()

        def hook(asked: Asked) -> None:
            if not asked.namespace and asked.plural != PROJECTS.plural:
                raise refusal(403)

        cluster.before = hook
        found = self.look(cluster)
        assert self.names(found) == [("other", "web"), (NAMESPACE, "web"), (NAMESPACE, "tick")]
        assert (found.errors, found.left_out) == ((), ())

    @pytest.mark.parametrize("code", [403, 404])
    def test_projects_may_be_unknown(self, code: int) -> None:
        cluster = self.cluster()
        self.forbid(cluster, "", code=403)
        cluster.refused["list", PROJECTS.plural] = code
        found = self.look(cluster)
        assert self.names(found) == [(NAMESPACE, "web"), (NAMESPACE, "tick")]
        assert (found.errors, found.left_out) == ((), ())

    def test_another_namespace_that_cannot_be_read_is_left_out(self) -> None:
        cluster = self.cluster()

        def hook(asked: Asked) -> None:
            if asked.plural != PROJECTS.plural and asked.namespace != NAMESPACE:
                raise refusal(403)

        cluster.before = hook
        found = self.look(cluster)
        assert self.names(found) == [(NAMESPACE, "web"), (NAMESPACE, "tick")]
        assert (found.errors, found.left_out) == ((), ("other",))

    def test_a_given_namespace_that_cannot_be_read_is_an_error(self) -> None:
        cluster = self.cluster()
        self.forbid(cluster, NAMESPACE)
        [error] = self.look(cluster, everywhere=False).errors
        plurals = "deployments, statefulsets, daemonsets, cronjobs, deploymentconfigs"
        assert (error.namespace, error.stage, error.reason) == (NAMESPACE, "rollouts", Reason.FORBIDDEN)
        assert error.message == (
            f"cannot list {plurals} in {NAMESPACE}: grant list on {plurals}, or add the rollouts component"
        )

    def test_what_can_be_read_is_still_found(self) -> None:
        cluster = self.cluster()
        self.forbid(cluster, NAMESPACE, plural="daemonsets")
        found = self.look(cluster, everywhere=False)
        assert self.names(found) == [(NAMESPACE, "web"), (NAMESPACE, "tick")]
        assert [error.message.partition(":")[0] for error in found.errors] == [f"cannot list daemonsets in {NAMESPACE}"]

    @pytest.mark.parametrize("everywhere", [True, False])
    def test_a_kind_that_the_cluster_does_not_have(self, everywhere: bool) -> None:
        cluster = self.cluster()
        cluster.refused["list", DEPLOYMENT_CONFIGS.plural] = 404
        found = self.look(cluster, everywhere=everywhere)
        assert (NAMESPACE, "web") in self.names(found)
        assert (found.errors, found.left_out) == ((), ())

    def test_what_may_pass_is_tried_again(self) -> None:
        cluster = self.cluster()
        cluster.script("list", "deployments", refusal(500), connection_lost())
        found = self.look(cluster, everywhere=False, retries=2)
        assert (NAMESPACE, "web") in self.names(found)
        assert found.errors == ()

    def test_a_timeout_is_tried_once_more(self) -> None:
        cluster = self.cluster()
        cluster.script("list", "deployments", *[ClusterError(Reason.TIMEOUT, "too slow")] * 2)
        [error] = self.look(cluster, everywhere=False, retries=4).errors
        assert (error.reason, error.message) == (
            Reason.TIMEOUT,
            f"cannot list deployments in {NAMESPACE}: too slow",
        )

    def test_an_api_that_fails(self) -> None:
        cluster = self.cluster()
        self.forbid(cluster, NAMESPACE, code=500)
        [error] = self.look(cluster, everywhere=False, retries=1).errors
        assert error.reason is Reason.API_ERROR
        assert error.message.endswith("the API says 500")
        assert len(cluster.asked) == 2 * len(KINDS)

    def test_told_to_stop(self) -> None:
        found = survey(self.cluster(), [NAMESPACE], retrier=retrier(0, lambda: True), concurrency=4)
        assert [error.reason for error in found.errors] == [Reason.ABORTED]


def test_followers() -> None:
    other = Follows(TagName(NAMESPACE, "worker", "prod"), "side")
    web = Workload(DEPLOYMENTS, NAMESPACE, "web", (Follows(WEB, "web"), other, Follows(WEB, "init")))
    far = Workload(DEPLOYMENTS, "far", "web", (Follows(WEB, "web"),))
    none = Workload(DEPLOYMENTS, NAMESPACE, "none", (other,))
    moved = Moved(NEW, BAD)
    found = followed_by([web, far, none], {WEB: moved})
    assert found == (
        Followed(web, (Part(Follows(WEB, "web"), moved), Part(Follows(WEB, "init"), moved))),
        Followed(far, (Part(Follows(WEB, "web"), moved),)),
    )
    assert found[0].tags == (WEB,)


@pytest.mark.parametrize(
    ("resource", "selector", "text"),
    [
        (DEPLOYMENTS, {"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (
            STATEFUL_SETS,
            {
                "matchLabels": {"a": "1"},
                "matchExpressions": [
                    {"key": "b", "operator": "In", "values": ["x", "y"]},
                    {"key": "c", "operator": "NotIn", "values": ["z"]},
                    {"key": "d", "operator": "Exists"},
                    {"key": "e", "operator": "DoesNotExist"},
                ],
            },
            "a=1,b in (x,y),c notin (z),d,!e",
        ),
        (DEPLOYMENT_CONFIGS, {"name": "web"}, "name=web"),
        (DEPLOYMENTS, None, ""),
    ],
)
def test_selectors(resource: Resource, selector: JSON | None, text: str) -> None:
    assert kind_of(resource).selector({"spec": {"selector": selector}}) == text


def followed(data: JSON, resource: Resource = DEPLOYMENTS, moved: Mapping[TagName, Moved] = MOVED) -> Followed:
    found = workload_from(resource, data)
    assert found is not None
    [only] = followed_by([found], moved)
    return only


TYPO = [trigger(paused="false")]
PAUSED = [trigger(paused=True)]


@pytest.mark.parametrize(
    ("triggers", "digest", "running", "result", "told"),
    [
        (TRIGGERS, NEW, NEW, RolloutResult.HEALTHY, None),
        (TRIGGERS, OLD, OLD, None, "not redeployed yet"),
        (TYPO, OLD, OLD, RolloutResult.WILL_NOT_REDEPLOY, "its trigger on web:prod does not fire: none of its"),
        (
            PAUSED,
            OLD,
            OLD,
            RolloutResult.PAUSED,
            f"its trigger on web:prod is paused: container web keeps {image(OLD)}",
        ),
        # They run it all the same: by a person's hand, or because they never left it.
        (TYPO, NEW, NEW, RolloutResult.HEALTHY, None),
        (PAUSED, NEW, NEW, RolloutResult.HEALTHY, None),
        (PAUSED, OLD, NEW, RolloutResult.HEALTHY, None),
        # Set by hand: it counts like any other rollout.
        (PAUSED, NEW, OLD, RolloutResult.FAILED, "imported but not running"),
        ([trigger(path=by_name("gone"))], OLD, OLD, RolloutResult.WILL_NOT_REDEPLOY, 'it has no container "gone"'),
    ],
)
def test_verdicts(triggers: list[JSON], digest: str, running: str, result: RolloutResult | None, told: str) -> None:
    data = deployment(triggers=triggers, digest=digest)
    pods = [pod_from(pod(DEPLOYMENTS, f"web-{number}", running)) for number in (1, 2)]
    found = verdict(followed(data), data, pods)
    assert found.result is result
    assert (found.message is None) if told is None else (told in (found.message or ""))


def test_one_trigger_fires_and_another_does_not() -> None:
    worker = TagName(NAMESPACE, "worker", "prod")
    containers = [{"name": "web", "image": image(NEW)}, {"name": "side", "image": image(OLD)}]
    off = trigger("worker:prod", path=by_name("side"), paused=True)
    triggers = [trigger(), off, trigger("worker:prod", path="spec.containers[1].image")]
    data = deployment(triggers=triggers, containers=containers)
    pods = [pod_from(pod(DEPLOYMENTS, f"web-{number}", NEW)) for number in (1, 2)]
    found = verdict(followed(data, moved={WEB: Moved(NEW), worker: Moved(BAD)}), data, pods)
    assert found.result is RolloutResult.WILL_NOT_REDEPLOY
    assert "its trigger on worker:prod does not fire: its fieldPath is" in (found.message or "")


def test_a_tag_of_another_namespace_is_told_with_it() -> None:
    tag = TagName("images", "web", "prod")
    data = deployment(triggers=[trigger(from_namespace="images", paused=True)], digest=OLD)
    found = verdict(followed(data, moved={tag: Moved(NEW)}), data, [])
    assert "its trigger on images/web:prod is paused" in (found.message or "")


def test_the_pace() -> None:
    assert [pace(1, 1), pace(2, 1), pace(9, 20), pace(2, 100), pace(1, 100)] == [1.0, 2.0, 2.0, 10.0, 10.0]


Change = Callable[["Stage"], None]


class Stage:
    """A namespace whose workloads change from look to look, and a clock that each look moves on by a second."""

    def __init__(self, **turns: tuple[Change, ...]) -> None:
        self.cluster = Objects()
        self.clock = ManualClock()
        self.told: list[tuple[str, Health]] = []
        self.stop = threading.Event()
        # What happens ahead of each look at the workload of that name.
        self.turns: dict[str, Iterator[Change]] = {name: iter(changes) for name, changes in turns.items()}
        self.cluster.before = self._before
        self.errors: dict[tuple[str, str], list[ClusterError]] = {}

    def _before(self, asked: Asked) -> None:
        if asked.verb == "get":
            self.clock.sleep(1.0)
            change = next(self.turns.get(asked.name, iter(())), None)
            if change:
                change(self)
        errors = self.errors.get((asked.verb, asked.plural))
        if errors:
            raise errors[0] if len(errors) == 1 else errors.pop(0)

    def put(self, resource: Resource, data: JSON, *pods: JSON) -> Followed:
        """Write a workload, and pods instead of those that it had."""
        self.cluster.put(resource, NAMESPACE, data)
        for each in self.cluster.all(PODS):
            if each["metadata"]["labels"]["app"] == data["metadata"]["name"]:
                self.cluster.remove(PODS, each["metadata"]["name"])
        for each in pods:
            self.cluster.put(PODS, NAMESPACE, each)
        return followed(data, resource)

    def watch(self, *each: Followed, timeout: float = 60.0, stable: float = 1.0) -> tuple[Rollout, ...]:
        return watch(
            self.cluster,
            each,
            timeout=timeout,
            stopping=self.stop.is_set,
            concurrency=4,
            stable=stable,
            changed=lambda found, health: self.told.append((found.name, health)),
            clock=self.clock.clock,
            pace=lambda looks, watched: 0.0,
        )

    def deleted(self) -> list[str]:
        return [asked.name for asked in self.cluster.asked if asked.verb == "delete"]


def put(resource: Resource, data: JSON, *pods: JSON) -> Change:
    def change(stage: Stage) -> None:
        stage.put(resource, copy.deepcopy(data), *pods)

    return change


def wait(stage: Stage) -> None:
    """Nothing happens."""


BEFORE = deployment(triggers=TRIGGERS, digest=OLD)
ROLLING = deployment(triggers=TRIGGERS, status={"updatedReplicas": 1})
AFTER = deployment(triggers=TRIGGERS)
OLD_PODS = [pod(DEPLOYMENTS, f"web-{number}", OLD) for number in (1, 2)]
NEW_PODS = [pod(DEPLOYMENTS, f"web-{number}", NEW) for number in (3, 4)]
CRASHING = pod(DEPLOYMENTS, "web-3", NEW, status=CRASH_LOOP)


class TestWatching:
    def test_a_rollout_that_comes_up(self) -> None:
        stage = Stage(
            web=(wait, put(DEPLOYMENTS, ROLLING, *OLD_PODS), wait, put(DEPLOYMENTS, AFTER, *NEW_PODS)),
        )
        web = stage.put(DEPLOYMENTS, BEFORE, *OLD_PODS)
        [found] = stage.watch(web)
        assert found == Rollout(NAMESPACE, "Deployment", "web", (WEB,), RolloutResult.HEALTHY, None, 5.0)
        # What is said twice is told once.
        assert [health for _, health in stage.told] == [
            Health(None, f"not redeployed yet: container web is to run {image(OLD)}"),
            Health(None, "1 of 2 pods have been updated"),
            Health(None, "its pods are ready; healthy after 1 s without a restart"),
            Health(RolloutResult.HEALTHY),
        ]

    def test_pods_that_start_again_have_not_come_up(self) -> None:
        def started(restarts: int) -> Change:
            status = {"restartCount": restarts, "ready": True}
            return put(
                DEPLOYMENTS, AFTER, *(pod(DEPLOYMENTS, f"web-{n}", NEW, status=status, ready=True) for n in "34")
            )

        stage = Stage(web=(started(0), started(1), put(DEPLOYMENTS, ROLLING, *OLD_PODS, CRASHING)))
        [found] = stage.watch(stage.put(DEPLOYMENTS, BEFORE, *OLD_PODS))
        assert (found.result, found.seconds) == (RolloutResult.FAILED, 4.0)

    def test_a_failure_that_is_over_at_the_next_look_was_none(self) -> None:
        stage = Stage(web=(put(DEPLOYMENTS, ROLLING, *OLD_PODS, CRASHING), put(DEPLOYMENTS, AFTER, *NEW_PODS)))
        [found] = stage.watch(stage.put(DEPLOYMENTS, BEFORE, *OLD_PODS))
        assert (found.result, found.seconds) == (RolloutResult.HEALTHY, 3.0)

    @pytest.mark.parametrize(
        ("data", "pods", "result"),
        [(AFTER, NEW_PODS, RolloutResult.HEALTHY), (ROLLING, [CRASHING], RolloutResult.FAILED)],
    )
    def test_the_last_look_is_believed(self, data: JSON, pods: list[JSON], result: RolloutResult) -> None:
        stage = Stage(web=(wait, wait, put(DEPLOYMENTS, data, *pods)))
        [found] = stage.watch(stage.put(DEPLOYMENTS, BEFORE, *OLD_PODS), timeout=3)
        assert (found.result, found.seconds) == (result, 3.0)

    def test_a_rollout_that_fails(self) -> None:
        stage = Stage(web=(wait, put(DEPLOYMENTS, ROLLING, *OLD_PODS, CRASHING)))
        [found] = stage.watch(stage.put(DEPLOYMENTS, BEFORE, *OLD_PODS))
        assert found.result is RolloutResult.FAILED
        assert found.message == "pod web-3: container web: CrashLoopBackOff (back-off 10s)"
        assert (found.is_bad, found.is_broken) == (True, True)

    def test_one_that_takes_too_long(self) -> None:
        stage = Stage()
        unpulled = pod(DEPLOYMENTS, "web-3", NEW, status=waiting("ErrImagePull", "manifest unknown"))
        [found] = stage.watch(stage.put(DEPLOYMENTS, ROLLING, *OLD_PODS, unpulled), timeout=20)
        assert (found.result, found.seconds) == (RolloutResult.TIMED_OUT, 20.0)
        assert found.message == (
            "after 20 s: 1 of 2 pods have been updated; pod web-3: container web: ErrImagePull (manifest unknown)"
        )

    def test_several_of_all_kinds(self) -> None:
        stage = Stage()
        each = []
        for resource in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS):
            name = resource.plural
            pods = [pod(resource, f"{name}-{number}", NEW, of=name) for number in (0, 1)]
            each.append(stage.put(resource, workload(resource, name, triggers=TRIGGERS), *pods))
        path = by_name(base="spec.jobTemplate.spec.template.spec")
        each.append(stage.put(CRON_JOBS, workload(CRON_JOBS, "tick", triggers=[trigger(path=path)])))
        found = stage.watch(*each)
        assert [(rollout.kind, rollout.result) for rollout in found] == [
            (kind, RolloutResult.HEALTHY) for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob")
        ]
        assert len([asked for asked in stage.cluster.asked if asked.plural == PODS.plural]) == 6

    def test_nothing_to_watch(self) -> None:
        assert Stage().watch() == ()

    def test_triggers_that_do_not_fire_are_told_at_once(self) -> None:
        stage = Stage()
        [found] = stage.watch(stage.put(DEPLOYMENTS, deployment(triggers=TYPO, digest=OLD), *OLD_PODS))
        assert (found.result, found.seconds) == (RolloutResult.WILL_NOT_REDEPLOY, 1.0)
        assert (found.is_bad, found.is_broken) == (True, False)

    def test_told_to_stop(self) -> None:
        stage = Stage(web=(wait, lambda stage: stage.stop.set()))
        [found] = stage.watch(stage.put(DEPLOYMENTS, ROLLING, *OLD_PODS))
        assert found.result is RolloutResult.ABORTED
        assert found.message == "stopped watching: 1 of 2 pods have been updated"

    def test_told_to_stop_before_the_first_look(self) -> None:
        stage = Stage()
        stage.stop.set()
        [found] = stage.watch(stage.put(DEPLOYMENTS, ROLLING, *OLD_PODS))
        assert found.message == "stopped watching: it was not checked yet"

    def test_one_that_is_deleted_meanwhile_has_no_verdict(self) -> None:
        stage = Stage(web=(wait, lambda stage: stage.cluster.remove(DEPLOYMENTS, "web")))
        assert stage.watch(stage.put(DEPLOYMENTS, ROLLING, *OLD_PODS)) == ()

    @pytest.mark.parametrize("error", [refusal(500), refusal(429), connection_lost(), refusal(404)])
    def test_what_passes_is_ridden_out(self, error: ClusterError) -> None:
        stage = Stage()
        web = stage.put(DEPLOYMENTS, AFTER, *NEW_PODS)

        def mend(stage: Stage) -> None:
            stage.errors.clear()

        stage.turns["web"] = iter((wait, wait, mend))
        stage.errors["list", PODS.plural] = [error]
        [found] = stage.watch(web)
        assert (found.result, found.seconds) == (RolloutResult.HEALTHY, 4.0)
        assert stage.told[0] == ("web", Health(None, f"the last check failed: {error}"))

    def test_an_api_that_fails_to_the_end_is_not_the_image_s_fault(self) -> None:
        stage = Stage()
        stage.errors["get", DEPLOYMENTS.plural] = [connection_lost()]
        [found] = stage.watch(stage.put(DEPLOYMENTS, AFTER, *NEW_PODS))
        assert found.result is RolloutResult.ABORTED
        assert found.message == "after 60 s: the last check failed: connection lost"

    @pytest.mark.parametrize(
        ("lost", "result"), [(5, RolloutResult.TIMED_OUT), (FRESH_SECONDS + 5, RolloutResult.ABORTED)]
    )
    def test_what_was_seen_of_late_counts_at_the_end(self, lost: float, result: RolloutResult) -> None:
        stage = Stage()
        web = stage.put(DEPLOYMENTS, ROLLING, *OLD_PODS)

        def lose(stage: Stage) -> None:
            if stage.clock.now >= 1060.0 - lost:
                stage.errors["get", DEPLOYMENTS.plural] = [connection_lost()]

        stage.turns["web"] = iter([lose] * 100)
        [found] = stage.watch(web)
        assert found.result is result
        assert found.message == "after 60 s: 1 of 2 pods have been updated; the last check failed: connection lost"

    @pytest.mark.parametrize(
        ("verb", "plural", "told"),
        [("get", "deployments", "grant get on deployments"), ("list", "pods", "grant list on pods")],
    )
    def test_a_right_that_is_missing(self, verb: str, plural: str, told: str) -> None:
        stage = Stage()
        stage.errors[verb, plural] = [refusal(403)]
        [found] = stage.watch(stage.put(DEPLOYMENTS, AFTER, *NEW_PODS))
        assert (found.result, found.seconds) == (RolloutResult.ABORTED, 1.0)
        assert found.message == f"cannot be watched: the API says 403; {told}, or add the rollouts component"

    def test_a_request_that_hangs_holds_up_nobody(self) -> None:
        stage = Stage()
        hanging, freed = threading.Event(), threading.Event()

        def hang(stage: Stage) -> None:
            stage.clock.now += 1000.0
            hanging.set()
            freed.wait(30.0)

        stage.turns["web"] = iter((wait, hang))
        web = stage.put(DEPLOYMENTS, ROLLING, *OLD_PODS)
        try:
            [found] = stage.watch(web)
        finally:
            freed.set()
        assert hanging.is_set()
        assert found.result is RolloutResult.ABORTED
        assert (found.message or "").startswith("after 60 s: 1 of 2 pods have been updated")


class TestHealing:
    back = stateful_set(triggers=TRIGGERS, generation=3, status={"updatedReplicas": 1})
    healed = stateful_set(triggers=TRIGGERS, generation=3)
    stuck = pod(STATEFUL_SETS, "web-1", BAD, status=CRASH_LOOP)

    def both(self, *digests: str) -> list[JSON]:
        return [pod(STATEFUL_SETS, f"web-{number}", digest) for number, digest in enumerate(digests)]

    def rolled_back(self, stage: Stage) -> Followed:
        stage.put(STATEFUL_SETS, self.back, *self.both(NEW), self.stuck)
        return followed(self.back, STATEFUL_SETS, {WEB: Moved(NEW, BAD)})

    def test_a_stuck_pod_is_deleted(self) -> None:
        stage = Stage(web=(wait, wait, put(STATEFUL_SETS, self.healed, *self.both(NEW, NEW))))
        [found] = stage.watch(self.rolled_back(stage))
        assert found.result is RolloutResult.HEALTHY
        assert stage.deleted() == ["web-1"]

    def test_none_is_deleted_unless_it_was_a_rollback(self) -> None:
        stage = Stage()
        self.rolled_back(stage)
        stage.watch(followed(self.back, STATEFUL_SETS), timeout=5)
        assert stage.deleted() == []

    @pytest.mark.parametrize("error", [refusal(404), refusal(409), refusal(500), connection_lost()])
    def test_one_that_is_gone_or_another_by_now(self, error: ClusterError) -> None:
        stage = Stage(web=(wait, put(STATEFUL_SETS, self.healed, *self.both(NEW, NEW))))
        stage.errors["delete", PODS.plural] = [error]
        [found] = stage.watch(self.rolled_back(stage))
        assert (found.result, found.message) == (RolloutResult.HEALTHY, None)

    def test_a_right_that_is_missing_is_told_and_asked_for_once(self) -> None:
        stage = Stage()
        stage.errors["delete", PODS.plural] = [refusal(403)]
        [found] = stage.watch(self.rolled_back(stage), timeout=5)
        assert stage.deleted() == ["web-1"]
        assert found.result is RolloutResult.TIMED_OUT
        note = "pod web-1 is not deleted: grant delete on pods, or delete it by hand"
        assert (found.message or "").count(note) == 1

    def test_somebody_else_deletes_it(self) -> None:
        stage = Stage(web=(wait, put(STATEFUL_SETS, self.healed, *self.both(NEW, NEW))))
        stage.errors["delete", PODS.plural] = [refusal(403)]
        [found] = stage.watch(self.rolled_back(stage))
        assert (found.result, found.message) == (RolloutResult.HEALTHY, None)
