"""Never two runs at a time that import the same."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest

from tests.sandbox.client import Sandbox, until
from tests.support.place import Place, ended
from tests.support.pods import journal, lease, make_cron_job, scheduled, write_lease
from tests.support.rights import RUN
from tests.support.tiers import representatives, slow


@contextmanager
def renewed(place: Place, name: str) -> Iterator[None]:
    """Somebody keeps a Lease alive, faster than a run would."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.3):
            write_lease(place, name, renewTime=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


OVERLAPPING = "as slow as two runs of the same deployment, which gate; unit tests hold which scopes overlap"
BOTH = pytest.mark.parametrize(
    "deployments", representatives([("prod", "prod"), ("prod", None)], OVERLAPPING, unpacked=False), ids=["same", "all"]
)


@BOTH
def test_two_processes_started_together_never_import_at_the_same_time(
    place: Place, deployments: tuple[str | None, str | None]
) -> None:
    for number in range(6):
        place.imported(f"s{number}")
        place.push(f"s{number}", "two")
    other = place.sandbox.create_account(place.namespace, "other", RUN)
    with ExitStack() as stack:
        # Not a fault: the log does not know the user of a request that met one.
        stack.enter_context(place.sandbox.settings(registry_latency={f"/{place.namespace}/": 0.7}))
        one = stack.enter_context(place.running(DEPLOYMENT=deployments[0], CONCURRENCY="2"))
        two = stack.enter_context(place.running(DEPLOYMENT=deployments[1], CONCURRENCY="2", TOKEN=other))
        done = [ended(one), ended(two)]
    assert sorted(each.status for each in done) == [0, 4], [each.stderr for each in done]
    mine, theirs = ([each for each in place.imports() if each["user"].endswith(name)] for name in ("images", "other"))
    assert not (mine and theirs) or (
        max(each["ended"] for each in mine) <= min(each["started"] for each in theirs)
        or max(each["ended"] for each in theirs) <= min(each["started"] for each in mine)
    )
    assert sum("updated" in each.results.values() for each in done) == 1


@BOTH
def test_the_loser_ends_locked_and_leaves_the_winners_metrics_and_journal(
    place: Place, deployments: tuple[str | None, str | None]
) -> None:
    place.imported("worker")
    place.push("worker", "two")
    place.import_fault(latency=5)
    with ExitStack() as stack:
        processes = [stack.enter_context(place.running(DEPLOYMENT=each)) for each in deployments]
        done = [ended(process) for process in processes]
    loser, winner = sorted(done, key=lambda each: each.status != 4)
    assert (loser.status, winner.status) == (4, 0), [each.stderr for each in done]
    assert (loser.report["run"]["outcome"], loser.report["tags"]) == ("locked", [])
    assert [error["stage"] for error in loser.report["errors"]] == ["locked"]
    assert winner.results == {"worker:prod": "updated"}
    assert len(place.imports()) == 1
    assert [run.id for run in journal(place).runs] == [winner.report["run"]["id"]]
    held = place.metrics(deployment=winner.report["run"]["deployment"] or "")
    assert held["run_outcome"][(("outcome", "success"),)] == 1
    assert held["tags"][(("result", "updated"),)] == 1


def test_runs_of_two_deployments_do_not_wait_for_each_other(place: Place) -> None:
    for tag in ("prod", "stg"):
        place.push("worker", tag, tag)
    place.stream("worker", {tag: place.source("worker", tag) for tag in ("prod", "stg")})
    place.import_fault(latency=1)
    with place.running(DEPLOYMENT="prod", RETRIES="8") as one, place.running(DEPLOYMENT="stg", RETRIES="8") as other:
        assert [ended(one).status, ended(other).status] == [0, 0]
    assert {run.deployment for run in journal(place).runs} == {"prod", "stg"}
    assert {run.outcome for run in journal(place).runs} == {"success"}


def test_shards_do_not_run_beside_an_unsharded_run(place: Place) -> None:
    place.imported("worker")
    place.import_fault(hang=True)
    with place.running() as process:
        place.wait_for_import("worker")
        with renewed(place, "import-images-prod"):
            done = place.run(SHARDS="4", JOB_COMPLETION_INDEX="0")
        process.kill()
    assert done.status == 4, done.stderr
    assert not [name for name in place.objects("coordination.k8s.io/v1/leases") if "shard" in name]


def test_a_killed_holder_is_taken_over_at_once_by_a_pod_of_the_same_job(place: Place) -> None:
    place.imported("worker")
    pod = scheduled(place, make_cron_job(place))
    place.import_fault(times=1, hang=True)
    with place.running(**pod) as process:
        place.wait_for_import("worker")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert lease(place)["holderIdentity"]
    begun = datetime.now(UTC)
    done = place.run(**pod)
    assert done.status == 0, done.stderr
    assert (datetime.now(UTC) - begun).total_seconds() < 30
    assert lease(place)["holderIdentity"] == ""


@slow("twenty seconds of waiting; the tests of whose lock is taken gate")
def test_a_suspended_holder_does_not_speak_over_the_run_that_took_over(place: Place) -> None:
    """As when its machine stood still for a while."""
    for name in "abc":
        place.imported(name)
        place.push(name, "two")
    pod = scheduled(place, make_cron_job(place))
    place.import_fault("b", gate=True, times=1)
    with place.running(**pod, CONCURRENCY="1") as process:
        place.wait_for_import("b")
        process.send_signal(signal.SIGSTOP)
        assert place.run(**pod).results == {"a:prod": "unchanged", "b:prod": "updated", "c:prod": "updated"}
        told, remembered = place.metrics(), journal(place)
        process.send_signal(signal.SIGCONT)
        done = ended(process)
    assert done.status == 6, done.stderr
    assert done.results["a:prod"] == "updated"
    assert done.results["c:prod"] == "failed aborted"
    assert place.metrics() == told
    assert journal(place) == remembered
    assert [run.outcome for run in remembered.runs] == ["success", "aborted"]
    assert "are left to the run that has begun since" in done.stderr


@slow("waits for the minute that a lock lives")
def test_a_killed_holder_is_taken_over_after_it_stood_still_for_a_minute(place: Place) -> None:
    place.imported("worker")
    place.import_fault(times=1, hang=True)
    with place.running() as process:
        place.wait_for_import("worker")
        process.send_signal(signal.SIGKILL)
        process.wait()
    begun = datetime.now(UTC)
    done = place.run()
    assert done.status == 0, done.stderr
    assert (datetime.now(UTC) - begun).total_seconds() >= 60
    assert "waiting up to 60 s to see whether" in done.stderr


def test_it_is_released_after_success_and_after_failure(place: Place) -> None:
    place.imported("worker")
    assert place.run().status == 0
    assert lease(place)["holderIdentity"] == ""
    place.stream("gone")
    assert place.run().status == 1
    assert lease(place)["holderIdentity"] == ""
    assert lease(place)["leaseTransitions"] == 1


def _answered(place: Place) -> list[object]:
    """The requests for Leases that were answered."""
    return [request for request in place.requests(path="leases/") if request["ended"]]


def test_a_run_whose_lock_somebody_takes_stops(place: Place) -> None:
    for number in range(3):
        place.imported(f"s{number}")
    import_under_way = place.import_fault(gate=True)
    with place.running(CONCURRENCY="1") as process:
        until(place.imports)
        write_lease(place, holderIdentity="somebody")
        seen = len(_answered(place))
        until(lambda: len(_answered(place)) > seen, told="the next renewal")
        place.sandbox.remove_faults(import_under_way)
        done = ended(process)
    assert done.status == 6, done.stderr
    assert done.report["run"]["outcome"] == "aborted"
    assert "was lost" in done.stderr
    assert sorted(done.results.values()) == ["failed aborted", "failed aborted", "unchanged"]
    assert lease(place)["holderIdentity"] == "somebody"


@pytest.mark.parametrize("verb", ["get", "list", "create"])
def test_without_the_right_to_leases_nothing_is_imported(sandbox: Sandbox, verb: str) -> None:
    rules = [
        {**rule, "verbs": [each for each in rule["verbs"] if each != verb or rule["resources"] != ["leases"]]}
        for rule in RUN
    ]
    place = Place(sandbox, rules)
    place.imported("worker")
    done = place.run()
    assert done.status == 3
    assert place.imports() == []
    lines = [line for line in done.stderr.splitlines() if "error" in line and "leases" in line]
    assert len(lines) == 1, done.stderr
    assert "grant get, list, create and update on leases, or correct the namespace" in lines[0]


@pytest.mark.parametrize(("method", "code"), [("GET", 503), ("POST", 500), ("GET", 429)])
def test_what_may_pass_does_not_keep_the_lock_from_being_taken(place: Place, method: str, code: int) -> None:
    place.imported("worker")
    place.fault("leases", method, times=1, status={"code": code})
    assert place.run().status == 0
