"""Rollouts that a run watches: what each ends as, and what is done about a bad one."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import IMAGE, Json, Sandbox, rule, until
from tests.sandbox.workload_manifests import trigger
from tests.support.place import HOLD, Ended, Place, ended, of
from tests.support.rights import ROLL_BACK, RUN, WATCH
from tests.support.tiers import slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"


PATIENT = {"WATCH_ROLLOUTS": "true", "ROLLOUT_TIMEOUT": "40s"}
ROLLS_BACK = {"ON_BAD_ROLLOUT": "rollback", "ROLLOUT_TIMEOUT": "40s"}


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def follow(place: Place, name: str, kind: str = "Deployment", **options: Any) -> None:
    """A workload that runs the first image of a stream of its own name, and follows it."""
    old = place.imported(name, unique(place, "old"))
    image = f"{place.source(name).rpartition(':')[0]}@{old}"
    place.sandbox.create_workload(place.namespace, kind, name, tag=f"{name}:prod", image=image, **options)
    if kind != "CronJob":
        until(lambda: place.images(name) == {old})


def unique(place: Place, content: str) -> str:
    """Content that makes an image of this test alone, since how images behave is told by their digests."""
    return f"{place.namespace} {content}"


def rollouts(done: Ended) -> dict[str, str]:
    """The result of each workload; of one that was watched twice both."""
    found: dict[str, list[str]] = {}
    for each in done.report["rollouts"]:
        found.setdefault(each["name"], []).append(each["result"])
    return {name: ", ".join(results) for name, results in found.items()}


def messages(done: Ended) -> dict[str, str]:
    return {each["name"]: each["message"] for each in done.report["rollouts"]}


@slow(WHOLE_RUN)
def test_every_kind_of_end(place: Place) -> None:
    follow(place, "web")
    follow(place, "queue", "StatefulSet", replicas=2)
    follow(place, "agent", "DaemonSet")
    follow(place, "nightly", "CronJob")
    follow(place, "classic", "DeploymentConfig")
    follow(place, "manual", "StatefulSet", spec={"updateStrategy": {"type": "OnDelete"}})
    partition = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    follow(place, "careful", "StatefulSet", replicas=2, spec={"updateStrategy": partition})
    follow(place, "broken")
    follow(place, "gone", "StatefulSet")
    place.imported("off", unique(place, "off old"))
    place.imported("text", unique(place, "text old"))
    place.imported("path", unique(place, "path old"))
    sandbox, namespace = place.sandbox, place.namespace
    sandbox.create_workload(namespace, "Deployment", "off", triggers=[trigger("off:prod", paused=True)])
    sandbox.create_workload(namespace, "Deployment", "text", triggers=[trigger("text:prod", paused="false")])
    wrong = {**trigger("path:prod"), "fieldPath": "spec.containers[0].image"}
    sandbox.create_workload(namespace, "Deployment", "path", triggers=[wrong])
    news = {name: place.push(name, unique(place, f"{name} new")) for name in place.versions()}
    sandbox.image_behaves(news["broken"], "crash")
    sandbox.image_behaves(news["gone"], "unpullable")
    done = place.run(**PATIENT)
    assert rollouts(done) == {
        **dict.fromkeys(("web", "queue", "agent", "nightly", "classic"), "healthy"),
        **dict.fromkeys(("manual", "careful"), "waiting"),
        **dict.fromkeys(("broken", "gone"), "failed"),
        "off": "paused",
        **dict.fromkeys(("text", "path"), "will_not_redeploy"),
    }
    assert (done.status, done.report["run"]["outcome"]) == (5, "unhealthy")
    said = messages(done)
    assert "CrashLoopBackOff" in said["broken"]
    assert "ImagePullBackOff" in said["gone"]
    assert "OnDelete" in said["manual"]
    assert "partition 1" in said["careful"]
    assert "does not fire" in said["text"]
    healthy = place.metrics()["rollout_healthy"]
    assert healthy[(("kind", "StatefulSet"), ("name", "gone"))] == 0
    assert healthy[(("kind", "Deployment"), ("name", "web"))] == 1
    assert (("kind", "Deployment"), ("name", "off")) not in healthy


@slow(WHOLE_RUN)
def test_a_paused_deployment_waits(place: Place) -> None:
    follow(place, "web")
    path = f"/apis/apps/v1/namespaces/{place.namespace}/deployments/web"
    place.sandbox.patch(path, {"spec": {"paused": True}})
    place.push("web", unique(place, "web new"))
    done = place.run(**PATIENT)
    assert (done.status, rollouts(done)) == (5, {"web": "waiting"})
    assert "oc rollout resume deployment/web" in messages(done)["web"]


@slow(WHOLE_RUN)
def test_a_workload_of_another_namespace(place: Place) -> None:
    place.imported("web", unique(place, "old"))
    other = Place(place.sandbox, ())
    # Nobody sees a project without the right to get its namespace, which the role `view` has.
    rules = [*WATCH, rule("", ["namespaces"], ["get"])]
    place.sandbox.grant(other.namespace, "import-images", rules, of=place.namespace)
    other.sandbox.create_workload(other.namespace, "Deployment", "far", tag=f"{place.namespace}/web:prod")
    new = place.push("web", unique(place, "new"))
    place.sandbox.image_behaves(new, "crash")
    done = place.run(**PATIENT)
    assert (done.status, rollouts(done)) == (5, {"far": "failed"})
    (rollout,) = done.report["rollouts"]
    assert (rollout["namespace"], rollout["tags"]) == (other.namespace, [f"{place.namespace}/web:prod"])


def test_without_the_right_to_look(sandbox: Sandbox) -> None:
    place = Place(sandbox, RUN)
    follow(place, "web")
    new = place.push("web", unique(place, "new"))
    done = place.run(**PATIENT)
    assert (done.status, done.report["run"]["outcome"]) == (1, "partial")
    assert done.results == {"web:prod": "updated"}
    assert place.current("web") == new
    (error,) = done.report["errors"]
    assert "or add the rollouts component" in error["message"]


def test_the_deadline_ends_the_watching(place: Place) -> None:
    follow(place, "web")
    place.sandbox.image_behaves(place.push("web", unique(place, "new")), "hang")
    done = place.run(WATCH_ROLLOUTS="true", DEADLINE="6s")
    assert (done.status, done.report["run"]["outcome"]) == (6, "aborted")
    assert (done.results, rollouts(done)) == ({"web:prod": "updated"}, {"web": "aborted"})
    assert "deadline" in done.stderr


@slow(WHOLE_RUN)
def test_a_rollout_that_takes_too_long(place: Place) -> None:
    follow(place, "web")
    place.sandbox.image_behaves(place.push("web", unique(place, "new")), "hang")
    done = place.run(WATCH_ROLLOUTS="true", ROLLOUT_TIMEOUT="4s")
    assert (done.status, rollouts(done)) == (5, {"web": "timed_out"})


@slow(WHOLE_RUN)
def test_a_signal_ends_the_watching(place: Place) -> None:
    follow(place, "web")
    new = place.push("web", unique(place, "new"))
    place.sandbox.image_behaves(new, "hang")
    with place.running(**PATIENT) as process:
        until(lambda: place.current("web") == new)
        until(lambda: place.requests("GET", "deployments/web"))
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert (done.status, rollouts(done)) == (6, {"web": "aborted"})
    assert done.results == {"web:prod": "updated"}


def put_back(place: Place, name: str) -> Json:
    found = json.loads(place.spec(name)["annotations"][HOLD])
    assert isinstance(found, dict)
    return found


def test_exactly_the_bad_ones_are_put_back(place: Place, tmp_path: Path) -> None:
    follow(place, "fine")
    follow(place, "bad", "StatefulSet", replicas=2)
    old = place.current("bad")
    stream = place.sandbox.stream(place.namespace, "bad")
    stream["spec"]["tags"].append({"name": "live", "from": {"kind": "ImageStreamTag", "name": "prod"}})
    place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/bad", stream)
    place.sandbox.create_workload(place.namespace, "Deployment", "follower", tag="bad:live")
    until(lambda: place.images("follower") == {str(old)})
    # One that never had an image before.
    first = place.push("first", unique(place, "first"))
    place.stream("first")
    place.sandbox.create_workload(place.namespace, "Deployment", "first", tag="first:prod")
    good, bad = place.push("fine", unique(place, "fine new")), place.push("bad", unique(place, "bad new"))
    for digest in (bad, first):
        place.sandbox.image_behaves(digest, "crash")
    log = tmp_path / "termination"
    log.touch()
    done = place.run(**ROLLS_BACK, DEPLOYMENT=None, TERMINATION_LOG=str(log))
    assert done.status == 5, done.stderr
    assert done.results == {
        "fine:prod": "updated",
        "bad:prod": "rolled_back",
        "bad:live": "skipped alias",
        "first:prod": "updated",
    }
    assert rollouts(done) == {
        "fine": "healthy",
        "bad": "failed, healthy",
        "follower": "failed, healthy",
        "first": "failed",
    }
    assert (place.current("fine"), place.current("bad"), place.current("first")) == (good, old, first)
    assert done.tags["bad:prod"]["after"]["digest"] == old
    assert done.tags["bad:live"]["after"]["digest"] == old
    assert done.tags["bad:prod"]["before"]["digest"] == old
    assert done.tags["first:prod"]["message"].endswith("not rolled back: there is no earlier image")
    hold = put_back(place, "bad")
    assert hold["bad"] == bad
    assert "CrashLoopBackOff" in hold["reason"]
    assert hold["by"].endswith(":import-images")
    told = log.read_text()
    assert f"bad:prod rolled back: rolled back from {bad}" in told
    assert "first:prod updated: " in told
    assert "None" not in told
    metrics = place.metrics(deployment="")
    assert metrics["tag_held"] == {of("bad"): 1}
    assert metrics["tag_result"][of("bad", result="rolled_back")] == 1
    assert [labels for labels in metrics["tag_image_info"] if ("digest", bad) in labels] == []
    assert metrics["run_outcome"][(("outcome", "unhealthy"),)] == 1
    assert () not in metrics.get("last_success_timestamp_seconds", {})
    events = place.sandbox.items(f"/api/v1/namespaces/{place.namespace}/events")
    reasons = sorted(each["reason"] for each in events if each["source"].get("component") == "import-images")
    assert reasons == ["ImageImported", "ImageImported", "ImageRolledBack", *["RolloutNotHealthy"] * 3]


@slow("half a minute; unit tests hold which containers are to blame")
@pytest.mark.parametrize("other", ["ready", "hang"], ids=["the other is good", "the other is bad, too"])
def test_of_two_new_images_of_a_workload_the_bad_ones_are_rolled_back(place: Place, other: str) -> None:
    """One that is not ready may only be waiting for the one that crashes, which the rollback of that one shows."""
    old = {name: place.imported(name, unique(place, f"{name} old")) for name in ("web", "proxy")}
    containers = [
        {"name": name, "image": f"{place.source(name).rpartition(':')[0]}@{digest}"} for name, digest in old.items()
    ]
    template = {"metadata": {"labels": {"app": "both"}}, "spec": {"containers": containers}}
    triggers = [trigger(f"{name}:prod", name) for name in old]
    place.sandbox.create_workload(place.namespace, "Deployment", "both", triggers=triggers, spec={"template": template})
    until(lambda: place.images("both") == set(old.values()))
    new = {name: place.push(name, unique(place, f"{name} new {other}")) for name in old}
    place.sandbox.image_behaves(new["web"], "crash")
    place.sandbox.image_behaves(new["proxy"], other)
    done = place.run(**{**ROLLS_BACK, "ROLLOUT_TIMEOUT": "15s"})
    rules = json.dumps(place.sandbox.get(f"/api/v1/namespaces/{place.namespace}/configmaps/import-images-rules"))
    assert (done.status, done.results["web:prod"], place.current("web")) == (5, "rolled_back", old["web"]), done.stderr
    assert new["web"] in rules
    if other == "ready":
        assert rollouts(done) == {"both": "failed, healthy"}
        assert (done.results["proxy:prod"], place.current("proxy")) == ("updated", new["proxy"])
        assert "its image is not to blame (that of web:prod is)" in done.tags["proxy:prod"]["message"]
        assert new["proxy"] not in rules
    else:
        assert rollouts(done) == {"both": "failed, timed_out, healthy"}
        assert (done.results["proxy:prod"], place.current("proxy")) == ("rolled_back", old["proxy"])


@slow("half a minute; unit tests replay who is to blame")
def test_only_an_image_that_is_to_blame_is_rolled_back(place: Place) -> None:
    sandbox, namespace = place.sandbox, place.namespace
    follow(place, "classic", "DeploymentConfig")
    ghost = {"automatic": True, "containerNames": ["app"], "from": trigger("ghost:prod")["from"]}
    classic = sandbox.workload(namespace, "DeploymentConfig", "classic")
    more = [*classic["spec"]["triggers"], {"type": "ImageChange", "imageChangeParams": ghost}]
    path = f"/apis/apps.openshift.io/v1/namespaces/{namespace}/deploymentconfigs/classic"
    sandbox.patch(path, {"spec": {"triggers": more}})
    # The container and the stream of the second trigger were removed.
    follow(place, "leftover", triggers=[trigger("leftover:prod"), trigger("gone:prod", "removed")])
    follow(place, "late")
    sidecar = place.push("sidecar", unique(place, "sidecar"))
    containers = [
        {
            "name": "app",
            "image": f"{place.source('side').rpartition(':')[0]}@{place.imported('side', unique(place, 'old'))}",
        },
        {"name": "log", "image": f"{place.source('sidecar').rpartition(':')[0]}@{sidecar}"},
    ]
    template = {"metadata": {"labels": {"app": "side"}}, "spec": {"containers": containers}}
    sandbox.create_workload(namespace, "Deployment", "side", tag="side:prod", spec={"template": template})
    until(lambda: len(place.images("side")) == 2)
    news = {name: place.push(name, unique(place, f"{name} new")) for name in ("classic", "leftover", "late", "side")}
    sandbox.image_behaves(news["late"], "unpullable")
    sandbox.image_behaves(sidecar, "unpullable")
    with sandbox.settings(trigger_delay=3.0), place.running(**ROLLS_BACK) as process:
        until(lambda: any(news["late"] in json.dumps(pod) for pod in sandbox.pods(namespace, "late")), seconds=30)
        time.sleep(6)
        sandbox.image_behaves(news["late"], "ready")
        done = ended(process)
    assert rollouts(done) == {
        "classic": "will_not_redeploy",
        "leftover": "healthy",
        "late": "healthy",
        "side": "failed",
    }
    assert (done.status, set(done.results.values())) == (5, {"updated"})
    assert {name: place.current(name) for name in news} == news
    assert "tag_held" not in place.metrics()
    said = messages(done)
    assert "until every tag that it follows has an image, and ghost:prod has none" in said["classic"]
    assert "container log: ImagePullBackOff" in said["side"]
    assert said["side"].endswith("the run moved the image of another container")
    assert "its image is not to blame (container)" in done.tags["side:prod"]["message"]


@slow(WHOLE_RUN)
@pytest.mark.parametrize("reads", [2, None], ids=["a later read shows it", "no read shows it"])
def test_a_rollback_whose_answer_is_lost(place: Place, reads: int | None) -> None:
    follow(place, "web")
    old = place.current("web")
    bad = place.push("web", unique(place, f"lost {reads}"))
    place.sandbox.image_behaves(bad, "crash")
    place.fault("imagestreamtags/", "PUT", reset="after", times=1)
    place.fault("imagestreams/web$", "GET", after=1, times=reads, status={"code": 503})
    done = place.run(**ROLLS_BACK, RETRIES="0")
    place.sandbox.remove_faults()
    assert (done.status, place.current("web")) == (5, old), done.stderr
    tag = done.tags["web:prod"]
    if reads is None:
        assert (tag["result"], tag["after"]) == ("failed", None)
        assert "was changed is not known" in tag["message"]
        return
    assert (tag["result"], tag["after"]["digest"]) == ("rolled_back", old)
    assert place.metrics()["tag_held"] == {of("web"): 1}


@slow(WHOLE_RUN)
def test_a_bad_one_that_cannot_be_put_back_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    place = Place(sandbox, WATCH)
    follow(place, "web")
    bad = place.push("web", unique(place, "new"))
    sandbox.image_behaves(bad, "crash")
    log = tmp_path / "termination"
    log.touch()
    done = place.run(**ROLLS_BACK, TERMINATION_LOG=str(log))
    assert done.status == 5, done.stderr
    assert done.results == {"web:prod": "updated"}
    for text in (done.tags["web:prod"]["message"], done.stderr):
        assert "not rolled back: " in text
        assert "grant update on imagestreamtags, or add the rollback component" in text
    assert place.current("web") == bad
    assert "web:prod updated: rollout of Deployment web failed" in log.read_text()
    (event,) = [
        each["message"]
        for each in sandbox.items(f"/api/v1/namespaces/{place.namespace}/events")
        if each["reason"] == "ImageImported"
    ]
    assert "not rolled back" in event
    assert "tag_held" not in place.metrics()


@slow(WHOLE_RUN)
def test_the_deadline_does_not_cut_a_rollback_short(place: Place) -> None:
    follow(place, "web", "StatefulSet")
    old, bad = place.current("web"), place.push("web", unique(place, "new"))
    place.sandbox.image_behaves(bad, "crash")
    # Every write of the tag takes longer than the run has left.
    place.fault("imagestreamtags/", "PUT", latency=12.0)
    done = place.run(**ROLLS_BACK, DEADLINE="12s")
    assert done.status == 5, done.stderr
    assert (done.results, rollouts(done)) == ({"web:prod": "rolled_back"}, {"web": "failed, healthy"})
    assert place.images("web") == {str(old)}


@slow(WHOLE_RUN)
def test_a_signal_while_a_rollback_is_watched(place: Place) -> None:
    follow(place, "web", "StatefulSet")
    old, bad = place.current("web"), place.push("web", unique(place, "new"))
    place.sandbox.image_behaves(bad, "crash")
    with place.running(**ROLLS_BACK) as process:
        until(lambda: {bad, f"{bad}!"} & place.images("web"), seconds=40)
        place.sandbox.image_behaves(str(old), "hang")
        until(lambda: place.current("web") == old, seconds=40)
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert done.status == 6, done.stderr
    assert done.results == {"web:prod": "rolled_back"}
    assert rollouts(done) == {"web": "failed, aborted"}
    assert place.current("web") == old
    assert place.metrics()["tag_held"] == {of("web"): 1}


@slow(WHOLE_RUN)
def test_resume_to_an_image_that_is_bad(place: Place) -> None:
    follow(place, "web", "StatefulSet")
    old = place.current("web")
    place.sandbox.image_behaves(place.push("web", unique(place, "bad")), "crash")
    place.sandbox.import_tag(place.namespace, "web", "prod")
    assert place.run("rollback", "web", "--yes").status == 0
    before = put_back(place, "web")["original"]
    worse = place.push("web", unique(place, "worse"))
    place.sandbox.image_behaves(worse, "crash")
    with place.sandbox.settings(import_controller=True):
        done = place.run("resume", "web", "--yes", "--output", "json", **ROLLS_BACK)
    assert done.status == 5, done.stderr
    assert (done.report["kind"], done.results) == ("Resume", {"web:prod": "rolled_back"})
    assert rollouts(done) == {"web": "failed, healthy"}
    assert place.current("web") == old
    hold = put_back(place, "web")
    assert hold["bad"] == worse
    assert hold["original"]["from"] == before["from"]
    assert place.metrics()["tag_held"] == {of("web"): 1}
    plain = place.run("resume", "web", "--yes", "--output", "table")
    assert plain.status == 5, plain.stderr
    assert f"To roll back:\n    import-images rollback web:prod -n {place.namespace}\n" in plain.stdout
    assert place.current("web") == worse
