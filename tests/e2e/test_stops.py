"""What keeps a run from importing, and what ends one."""

from __future__ import annotations

import signal
from datetime import UTC, datetime

import pytest

from tests.e2e.cluster import until
from tests.e2e.conftest import MakePlace, on_sandbox
from tests.e2e.images import Behaviour
from tests.e2e.place import LEASE, Place
from tests.support.place import ended
from tests.support.tiers import slow


@on_sandbox(slow("integration/runs gates the same as whole runs"))
def test_frozen(make_place: MakePlace) -> None:
    place = make_place("rollback")
    first = place.imported("web")
    second = place.images.push("web", "second")
    assert place.person("freeze", "--reason", "an audit").status == 0
    # A run that no schedule started says so by its status.
    done = place.run()
    assert (done.status, "an audit" in done.stderr, place.current("web")) == (2, True, first), done.stderr
    thawed = place.person("thaw")
    assert thawed.status == 0, thawed.stderr
    assert place.run().status == 0
    assert place.current("web") == second


@on_sandbox(slow("integration/runs gates the same as whole runs"))
def test_young_and_blocked_images_stay_out(make_place: MakePlace) -> None:
    place = make_place("rollback")
    first = place.imported("web")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    second = place.images.push("web", "second", created=now)
    young = place.run(MIN_AGE="1h")
    assert (young.status, young.results) == (0, {"web:prod": "skipped young"}), young.stderr
    assert place.person("block", second, "--reason", "leaks").status == 0
    blocked = place.run()
    assert (blocked.results, place.current("web")) == ({"web:prod": "skipped blocked"}, first), blocked.stderr
    assert place.person("unblock", second).status == 0
    assert place.run().status == 0
    assert place.current("web") == second


@pytest.mark.needs("workloads")
@on_sandbox(slow("integration/runs gates the same as whole runs"))
def test_an_image_that_no_node_can_run_never_moves_the_tag(make_place: MakePlace) -> None:
    place = make_place("gates")
    first = place.follow("web")
    place.push_bad("web", Behaviour.UNPULLABLE)
    done = place.run(REHEARSE="true")
    assert done.results == {"web:prod": "failed unusable"}, done.stderr
    assert place.current("web") == first
    # The pods that tried it are gone, and the workload never saw the image.
    assert place.runs("web") == [(first, True)]
    assert {pod["metadata"]["labels"].get("app") for pod in place.cluster.items("Pod", place.namespace)} <= {
        "web",
        None,
    }
    # One that only crashes when it runs passes: nothing of it is run.
    second = place.images.push("web", "second")
    assert place.run(REHEARSE="true").results == {"web:prod": "updated"}
    place.wait_until_runs("web", second)


@pytest.fixture
def waiting(make_place: MakePlace) -> Place:
    """A namespace in which a run waits for an image that never becomes ready."""
    place = make_place("rollback")
    place.follow("web")
    place.push_bad("web", Behaviour.UNREADY)
    return place


@pytest.mark.needs("workloads")
@on_sandbox(slow("integration/runs gates the same as whole runs"))
def test_locked_then_stopped_by_sigterm(waiting: Place) -> None:
    with waiting.running(ROLLOUT_TIMEOUT="2m") as process:
        _wait_until_imported(waiting)
        second = waiting.run()
        assert second.status == 4, second.stderr
        process.send_signal(signal.SIGTERM)
        done = ended(process, waiting.settings.patience)
    assert (done.status, done.report["run"]["outcome"]) == (6, "aborted"), done.stderr
    assert done.results == {"web:prod": "updated"}
    _is_left_in_order(waiting, "aborted")


@pytest.mark.needs("pods")
def test_sigterm_of_a_pod(waiting: Place) -> None:
    pod = waiting.wait_for_pod(waiting.start_pod(ROLLOUT_TIMEOUT="2m"), ("Running",))
    _wait_until_imported(waiting)
    waiting.cluster.delete("Pod", waiting.namespace, pod["metadata"]["name"])
    until(lambda: bool(waiting.journal().runs), waiting.settings.patience, "the journal has the run")
    _is_left_in_order(waiting, "aborted")


@pytest.mark.needs("pods")
def test_a_pod_that_is_evicted_is_replaced(waiting: Place) -> None:
    job = waiting.start_pod(ROLLOUT_TIMEOUT="2m")
    pod = waiting.wait_for_pod(job, ("Running",))
    _wait_until_imported(waiting)
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": waiting.namespace}}
    waiting.cluster.ask("POST", f"/api/v1/namespaces/{waiting.namespace}/pods/{name}/eviction", body)
    # The fix arrives meanwhile, so that the second pod has something to do and can end well.
    waiting.images.push("web", "fixed")

    def replaced() -> bool:
        pods = waiting.pods_of(job)
        return bool(pods) and pods[-1]["metadata"]["name"] != name and pods[-1]["status"].get("phase") == "Succeeded"

    until(replaced, waiting.settings.patience, "a pod in place of the evicted one that succeeds")
    _is_left_in_order(waiting, "success")


def _wait_until_imported(place: Place) -> None:
    def imported() -> bool:
        leases = place.cluster.items("Lease", place.namespace)
        held = any(lease["spec"].get("holderIdentity") for lease in leases)
        return held and any(not ready for _, ready in place.runs("web"))

    until(imported, place.settings.patience, "a run that waits for a rollout")


def _is_left_in_order(place: Place, outcome: str) -> None:
    until(
        lambda: not place.cluster.get("Lease", place.namespace, LEASE)["spec"].get("holderIdentity"),
        30.0,
        "the lock is released",
    )
    assert place.journal().runs[0].outcome == outcome
