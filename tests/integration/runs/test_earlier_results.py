"""What an earlier run left: bad rollouts, failures in a row, and series that a Pushgateway did not get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import Sandbox, rule, until
from tests.support.place import Place, of
from tests.support.pods import journal, make_cron_job, manual
from tests.support.rights import ROLL_BACK, WATCH
from tests.support.servers import pushgateway
from tests.support.tiers import slow

WATCHING = {"WATCH_ROLLOUTS": "true", "ROLLOUT_TIMEOUT": "40s"}
WEB = (("kind", "Deployment"), ("name", "web"))
UNREACHABLE = "127.0.0.1:9"


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def bad_rollout(place: Place) -> tuple[str, str]:
    """A run whose import made a Deployment crash; gives the digests before and after."""
    old = place.imported("web", f"{place.namespace} old")
    image = f"{place.source('web').rpartition(':')[0]}@{old}"
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod", image=image)
    until(lambda: place.images("web") == {old})
    bad = place.push("web", f"{place.namespace} bad")
    place.sandbox.image_behaves(bad, "crash")
    done = place.run(**WATCHING)
    assert (done.status, done.results) == (5, {"web:prod": "updated"}), done.stderr
    return old, bad


def test_a_bad_rollout_stays_bad_until_its_workload_is_healthy(place: Place) -> None:
    _, bad = bad_rollout(place)
    since = place.metrics()["rollout_bad_timestamp_seconds"]
    # As in the cluster, where the journal spares reading the gateway.
    pod = manual(place, make_cron_job(place))
    again = place.run(**WATCHING, **pod)
    assert (again.status, again.report["run"]["outcome"]) == (5, "unhealthy"), again.stderr
    assert again.results == {"web:prod": "unchanged"}
    assert [(each["name"], each["result"]) for each in again.report["rollouts"]] == [("web", "failed")]
    assert place.metrics()["rollout_healthy"] == {WEB: 0}
    assert place.metrics()["rollout_bad_timestamp_seconds"] == since
    # A run that watches nothing does not know better, and keeps the series.
    assert place.run(**pod).status == 0
    assert place.metrics()["rollout_healthy"] == {WEB: 0}
    assert place.metrics()["rollout_bad_timestamp_seconds"] == since
    place.sandbox.image_behaves(bad, "ready")
    until(lambda: place.images("web") == {bad})
    well = place.run(**WATCHING)
    assert well.status == 0, well.stderr
    assert place.metrics()["rollout_healthy"] == {WEB: 1}
    assert "rollout_bad_timestamp_seconds" not in place.metrics()
    assert journal(place).bad_rollouts == ()
    assert place.run(**WATCHING).report["rollouts"] == []


def test_a_bad_rollout_of_what_follows_an_alias_stays_bad(place: Place) -> None:
    place.push("web", f"{place.namespace} old")
    place.stream("web", {"prod": place.source("web"), "live": {"from": {"kind": "ImageStreamTag", "name": "prod"}}})
    place.sandbox.import_tag(place.namespace, "web", "prod")
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:live")
    place.sandbox.image_behaves(place.push("web", f"{place.namespace} bad"), "crash")
    assert place.run(**WATCHING).status == 5
    again = place.run(**WATCHING)
    assert (again.status, again.results) == (5, {"web:prod": "unchanged"}), again.stderr
    assert [(each["name"], each["tags"], each["result"]) for each in again.report["rollouts"]] == [
        ("web", ["web:live"], "failed")
    ]
    assert place.run().status == 0
    assert place.metrics()["rollout_healthy"] == {WEB: 0}
    assert place.run("rollback", "web:prod", "--yes", ROLLOUT_TIMEOUT="40s").status == 0
    assert journal(place).bad_rollouts == ()
    assert place.run(**WATCHING).report["rollouts"] == []


def test_a_bad_rollout_is_over_when_its_workload_is_gone(place: Place) -> None:
    bad_rollout(place)
    place.sandbox.delete(f"/apis/apps/v1/namespaces/{place.namespace}/deployments/web")
    done = place.run(**WATCHING)
    assert (done.status, done.report["rollouts"]) == (0, []), done.stderr
    assert "rollout_healthy" not in place.metrics()


@slow("four runs; one where the workload is gone gates")
def test_a_bad_rollout_elsewhere_is_not_gone_where_projects_cannot_be_listed(sandbox: Sandbox) -> None:
    place, other = Place(sandbox, WATCH), sandbox.create_namespace()
    place.imported("web", "old")
    sandbox.create_workload(other, "Deployment", "web", tag=f"{place.namespace}/web:prod")
    sandbox.grant(other, "import-images", [*WATCH, rule("", ["namespaces"], ["get"])], of=place.namespace)
    sandbox.image_behaves(place.push("web", f"{place.namespace} bad"), "crash")
    assert place.run(**WATCHING).status == 5
    fault = sandbox.add_fault(path="/projects$", method="GET", status={"code": 503})
    blind = place.run(**WATCHING)
    sandbox.remove_faults(fault)
    assert (blind.status, [each["result"] for each in blind.report["rollouts"]]) == (5, ["aborted"]), blind.stderr
    assert f"workloads in {other} could not be listed" in blind.report["rollouts"][0]["message"]
    again = place.run(**WATCHING)
    assert (again.status, [each["result"] for each in again.report["rollouts"]]) == (5, ["failed"])
    sandbox.delete(f"/apis/apps/v1/namespaces/{other}/deployments/web")
    assert place.run(**WATCHING).status == 0
    assert journal(place).bad_rollouts == ()


def test_a_rollback_that_cannot_reach_the_gateway_is_corrected_by_the_next_run(place: Place) -> None:
    old, _ = bad_rollout(place)
    assert place.metrics()["rollout_healthy"] == {WEB: 0}
    back = place.run("rollback", "web:prod", "--yes", PUSHGATEWAY_ADDRESS=UNREACHABLE, ROLLOUT_TIMEOUT="40s")
    assert (back.status, place.current("web")) == (0, old), back.stderr
    assert place.metrics()["rollout_healthy"] == {WEB: 0}
    place.imported("other")
    # Of any kind: this one is about another tag, and watches nothing.
    assert place.run("run", "other:prod").status == 0
    assert WEB not in place.metrics().get("rollout_healthy", {})


def test_what_was_never_tried_neither_fails_nor_recovers(place: Place) -> None:
    place.imported("first")
    place.imported("later")
    place.import_fault("later", status={"code": 400})
    for _ in range(2):
        assert place.run(RETRIES="0").status == 1
    place.sandbox.remove_faults()
    assert place.metrics()["tag_failed_runs"] == {of("later"): 2}
    place.import_fault("first", latency=4)
    aborted = place.run(CONCURRENCY="1", DEADLINE="2s")
    assert (aborted.status, aborted.results["later:prod"]) == (6, "failed aborted"), aborted.stderr
    assert aborted.tags["later:prod"]["attempts"] == 0
    assert journal(place).tags["later", "prod"].failed_runs == 2
    assert place.metrics()["tag_failed_runs"] == {of("later"): 2}


def test_the_journal_wins_over_a_gateway_that_missed_a_run(place: Place, tmp_path: Path) -> None:
    for name in ("app", "other"):
        place.imported(name)
    place.import_fault("app", status={"code": 400})
    with pushgateway(tmp_path) as mine:
        assert place.run(RETRIES="0", PUSHGATEWAY_ADDRESS=mine).status == 1
        assert place.metrics(mine)["tag_failed_runs"] == {of("app"): 1}
        place.sandbox.remove_faults()
        assert place.run(PUSHGATEWAY_ADDRESS=UNREACHABLE).status == 0
        success = journal(place).tags["app", "prod"].last_success
        assert place.run("run", "other:prod", PUSHGATEWAY_ADDRESS=mine).status == 0
        after = place.metrics(mine)
    assert "tag_failed_runs" not in after
    assert after["tag_last_success_timestamp_seconds"][of("app")] == pytest.approx(success, abs=0.01)
