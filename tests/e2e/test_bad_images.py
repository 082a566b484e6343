"""Images that crash, cannot be pulled or never become ready: reported, rolled back, held, and released again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import MakePlace, on_sandbox
from tests.e2e.images import Behaviour
from tests.e2e.place import Place
from tests.support.tiers import slow

pytestmark = pytest.mark.needs("workloads")
BAD = [
    Behaviour.CRASHING,
    pytest.param(Behaviour.UNPULLABLE, marks=on_sandbox(slow("one kind of bad image gates"))),
    pytest.param(Behaviour.UNREADY, marks=on_sandbox(slow("one kind of bad image gates"))),
]
# How long a run waits for an image that will never be ready.
IMPATIENT = {"ROLLOUT_TIMEOUT": "40s"}


def rollouts(report: dict[str, Any]) -> list[str]:
    return [rollout["result"] for rollout in report["rollouts"]]


@pytest.mark.parametrize("behaviour", BAD)
def test_by_hand(make_place: MakePlace, behaviour: Behaviour) -> None:
    place = make_place("rollback")
    good = place.follow("worker", "StatefulSet")
    spec = place.spec("worker")
    bad = place.push_bad("worker", behaviour)
    done = place.run(**_patience(place, behaviour))
    assert (done.status, done.results) == (5, {"worker:prod": "updated"}), done.stderr
    assert rollouts(done.report) == ["timed_out" if behaviour is Behaviour.UNREADY else "failed"]

    back = place.person("rollback", "worker", "--yes", "--reason", "bad", **IMPATIENT)
    assert back.status == 0, back.stderr
    assert (back.report["from"], back.report["to"]) == (bad, good)
    # A StatefulSet does not replace a pod that never was ready; the rollback deletes it.
    place.wait_until_runs("worker", good)

    held = place.run(**IMPATIENT)
    assert (held.status, held.results) == (0, {"worker:prod": "skipped held"}), held.stderr

    fixed = place.images.push("worker", "fixed")
    resumed = place.person("resume", "worker", "--yes", **IMPATIENT)
    assert (resumed.status, resumed.results) == (0, {"worker:prod": "updated"}), resumed.stderr
    place.wait_until_runs("worker", fixed)
    assert place.spec("worker") == spec


@on_sandbox(slow("by hand gates, and so does integration/runs"))
@pytest.mark.parametrize("behaviour", BAD)
def test_by_itself(make_place: MakePlace, behaviour: Behaviour) -> None:
    place = make_place("rollback")
    good = {"worker": place.follow("worker", "StatefulSet"), "web": place.follow("web")}
    for name in good:
        place.push_bad(name, behaviour)
    done = place.run(ON_BAD_ROLLOUT="rollback", **_patience(place, behaviour))
    assert (done.status, set(done.results.values())) == (5, {"rolled_back"}), done.stderr
    for name, digest in good.items():
        place.wait_until_runs(name, digest)
        assert place.current(name) == digest
    assert set(place.run().results.values()) == {"skipped held"}


def _patience(place: Place, behaviour: Behaviour) -> dict[str, str]:
    """Only what never becomes ready is given up by the clock."""
    fast = not place.settings.pods or place.settings.stable == "1s"
    return {"ROLLOUT_TIMEOUT": "5s" if fast else "40s"} if behaviour is Behaviour.UNREADY else {}
