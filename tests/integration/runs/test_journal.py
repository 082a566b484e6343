"""What the cluster remembers of runs."""

from __future__ import annotations

import signal
import time
import urllib.request

import pytest

from tests.sandbox.client import Sandbox, until
from tests.support.place import Place, ended, of
from tests.support.pods import JOURNAL, journal, make_cron_job, scheduled
from tests.support.rights import without

LAST = "tag_last_success_timestamp_seconds"


def wipe(place: Place) -> None:
    """The Pushgateway forgets the group."""
    url = f"{place.sandbox.pushgateway}/metrics/job/import-images/deployment/prod/stream_namespace/{place.namespace}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=10).close()
    until(lambda: not place.metrics())


def spoil(place: Place) -> None:
    """From now on the tag's image is gone from the registry."""
    place.sandbox.registry.delete(f"{place.namespace}/worker", place.current("worker") or "")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signal_while_it_is_begun(place: Place, method: str) -> None:
    place.imported("worker")
    hang = place.fault("configmaps", method, hang=True)
    with place.running() as process:
        until(lambda: any(each["acted"] for each in place.sandbox.faults() if each["id"] == hang))
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    place.sandbox.remove_faults(hang)
    assert done.status == 6, done.stderr
    assert done.report["run"]["outcome"] == "aborted"
    assert place.imports() == []


def test_it_is_written_at_the_start_and_at_the_end(place: Place) -> None:
    place.imported("worker")
    place.import_fault(latency=1.5)
    with place.running() as process:
        place.wait_for_import("worker")
        (run,) = journal(place).runs
        assert (run.outcome, run.finished_at) == ("running", None)
        done = ended(process)
    (run,) = journal(place).runs
    assert (run.id, run.outcome, run.exit_status) == (done.report["run"]["id"], "success", 0)
    assert run.counts == {"unchanged": 1}


@pytest.mark.parametrize("between", [False, True], ids=["next", "frozen-between"])
def test_a_killed_run_is_told_as_aborted_with_what_it_had_done(place: Place, between: bool) -> None:
    for name in ("a", "b"):
        place.imported(name)
        place.push(name, "two")
    pod = scheduled(place, make_cron_job(place))
    # Times in streams are whole seconds, and the start of a process is known to a hundredth of one. What was imported
    # before is of an earlier second.
    second = int(time.time())
    until(lambda: time.time() > second + 1.1)
    hang = place.import_fault("b", hang=True)
    with place.running(**pod) as process:
        place.wait_for_import("b")
        until(lambda: place.current("a") == place.sandbox.registry.tag(f"{place.namespace}/a", "x", "prod"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = journal(place).runs[0].id
    place.sandbox.remove_faults(hang)
    if between:
        assert place.run(**pod, FREEZE="* * * * * 1h").status == 0
    done = place.run(**pod)
    assert done.status == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if killed in line]
    assert "aborted" in line
    assert "a:prod" in line
    assert "b:prod" not in line
    assert {run.id: run.outcome for run in journal(place).runs}[killed] == "aborted"


@pytest.mark.parametrize("how", ["fails", "frozen", "narrowed"])
def test_last_success_survives_a_wiped_gateway(place: Place, how: str) -> None:
    place.imported("worker")
    pod = scheduled(place, make_cron_job(place))
    assert place.run(**pod).status == 0
    before = place.metrics()
    wipe(place)
    if how == "fails":
        spoil(place)
        assert place.run(**pod).status == 1
    elif how == "frozen":
        assert place.run(**pod, FREEZE="* * * * * 1h").status == 0
    else:
        place.imported("other")
        assert place.run("run", "other", **pod).status == 0
    after = place.metrics()
    assert after[LAST][of("worker")] == pytest.approx(before[LAST][of("worker")], abs=0.01)
    assert after["last_success_timestamp_seconds"][()] == pytest.approx(
        before["last_success_timestamp_seconds"][()], abs=0.01
    )


def test_last_success_survives_a_deleted_journal_and_two_failures(place: Place) -> None:
    """What the journal does not know is in the gateway still, also after the run that began the journal anew."""
    place.imported("worker")
    assert place.run().status == 0
    before = place.metrics()
    place.sandbox.delete(f"/api/v1/namespaces/{place.namespace}/configmaps/{JOURNAL}")
    spoil(place)
    for _ in range(2):
        assert place.run().status == 1
    after = place.metrics()
    assert after.get(LAST) == before[LAST]
    assert after.get("last_success_timestamp_seconds") == before["last_success_timestamp_seconds"]
    assert after["tag_failed_runs"][of("worker")] == 2


def test_runs_of_two_deployments_lose_nothing_of_each_other(place: Place) -> None:
    for tag in ("prod", "stg"):
        place.push("worker", tag, tag)
    place.stream("worker", {tag: place.source("worker", tag) for tag in ("prod", "stg")})
    place.fault(f"configmaps/{JOURNAL}", "PUT", times=2, change="before")
    with place.running(RETRIES="6") as one, place.running(DEPLOYMENT="stg", RETRIES="6") as other:
        assert [ended(one).status, ended(other).status] == [0, 0]
    found = journal(place)
    assert set(found.tags) == {("worker", "prod"), ("worker", "stg")}
    assert [run.outcome for run in found.runs] == ["success"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '{"version": 1, "failed_runs": {"worker:prod": 1e999}}',
        '{"version": 1, "runs": [{"id": "a", "outcome": "running", "deployment": []}]}',
        '{"version": 1, "pushed": {"import-images": ["x"]}}',
    ],
)
def test_an_unreadable_journal_is_a_warning(place: Place, text: str) -> None:
    place.imported("worker")
    path = f"/api/v1/namespaces/{place.namespace}/configmaps"
    place.sandbox.create(path, {"metadata": {"name": JOURNAL}, "data": {"journal.json": text}})
    done = place.run()
    assert done.status == 0, done.stderr
    assert done.results == {"worker:prod": "unchanged"}
    assert journal(place).runs[0].outcome == "success"


@pytest.mark.parametrize("verb", ["get", "create"])
def test_a_forbidden_journal_is_one_warning(sandbox: Sandbox, verb: str) -> None:
    rules = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["import-images-rules"], "verbs": ["get"]}
    place = Place(sandbox, [*without("configmaps", verb), rules])
    place.imported("worker")
    done = place.run()
    assert (done.status, done.results) == (0, {"worker:prod": "unchanged"}), done.stderr
    assert sum("journal" in line for line in done.stderr.splitlines()) == 1
    assert place.metrics()["tags"][(("result", "unchanged"),)] == 1
