"""The whole day of a bad image: imported, seen, rolled back, held, mended, resumed; by hand and unattended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Json, Sandbox, until
from tests.support.place import Place
from tests.support.rights import ROLL_BACK

WATCH = {"WATCH_ROLLOUTS": "true", "ROLLOUT_TIMEOUT": "30s"}


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def spec_tag(place: Place, stream: str, tag: str = "prod") -> Json:
    """The tag's reference, but for the generation, which only the server sets."""
    found = next(t for t in place.sandbox.stream(place.namespace, stream)["spec"]["tags"] if t["name"] == tag)
    return {key: value for key, value in found.items() if key != "generation"}


def test_by_hand(place: Place) -> None:
    reference = {
        "from": {"kind": "DockerImage", "name": place.source("worker")},
        "importPolicy": {"insecure": True, "importMode": "PreserveOriginal"},
        "referencePolicy": {"type": "Source"},
        "annotations": {"note": "ours"},
    }
    good = place.push("worker", "good")
    place.stream("worker", {"prod": reference})
    for kind in ("StatefulSet", "Deployment"):
        place.sandbox.create_workload(place.namespace, kind, kind.lower(), tag="worker:prod", replicas=2)
    first = place.run(**WATCH)
    assert first.status == 0, first.stderr
    assert [rollout["result"] for rollout in first.report["rollouts"]] == ["healthy"] * 2
    before = spec_tag(place, "worker")

    bad = place.push("worker", "bad")
    place.sandbox.image_behaves(bad, "crash")
    second = place.run(**WATCH)
    assert second.status == 5, second.stderr
    assert second.report["run"]["outcome"] == "unhealthy"
    assert second.results == {"worker:prod": "updated"}
    for rollout in second.report["rollouts"]:
        assert rollout["result"] == "failed"
        assert "CrashLoopBackOff" in rollout["message"]

    back = place.run("rollback", "worker", "--yes", "--reason", "crashes on start", "--output", "json")
    assert back.status == 0, back.stderr
    assert (back.report["from"], back.report["to"]) == (bad, good)
    assert {rollout["result"] for rollout in back.report["rollouts"]} == {"healthy"}
    assert place.images("statefulset") == place.images("deployment") == {good}

    third = place.run(**WATCH)
    assert third.status == 0
    assert third.results == {"worker:prod": "skipped held"}
    assert place.images("statefulset") == {good}

    place.sandbox.image_behaves(bad, "ready")
    fix = place.push("worker", "fixed")
    resumed = place.run("resume", "worker", "--yes", "--output", "json")
    assert resumed.status == 0, resumed.stderr
    assert resumed.results == {"worker:prod": "updated"}
    assert {rollout["result"] for rollout in resumed.report["rollouts"]} == {"healthy"}
    assert place.images("statefulset") == place.images("deployment") == {fix}
    assert spec_tag(place, "worker") == before


def test_unattended(place: Place) -> None:
    good = place.push("worker", "good")
    place.push("web", "web 1")
    place.stream("worker")
    place.stream("web")
    place.sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:prod", replicas=2)
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod", replicas=2)
    assert place.run(ON_BAD_ROLLOUT="rollback", ROLLOUT_TIMEOUT="30s").status == 0
    before = spec_tag(place, "worker")

    bad, fine = place.push("worker", "bad"), place.push("web", "web 2")
    place.sandbox.image_behaves(bad, "crash")
    run = place.run(ON_BAD_ROLLOUT="rollback", ROLLOUT_TIMEOUT="30s")
    assert run.status == 5, run.stderr
    assert run.results == {"worker:prod": "rolled_back", "web:prod": "updated"}
    assert run.tags["worker:prod"]["after"]["digest"] == good
    assert bad in run.tags["worker:prod"]["message"]
    assert [(r["name"], r["result"]) for r in run.report["rollouts"]] == [
        ("web", "healthy"),
        ("worker", "failed"),
        ("worker", "healthy"),
    ]
    assert place.images("worker") == {good}
    assert place.images("web") == {fine}

    again = place.run(ON_BAD_ROLLOUT="rollback", ROLLOUT_TIMEOUT="30s")
    assert again.status == 0
    assert again.results == {"worker:prod": "skipped held", "web:prod": "unchanged"}

    fix = place.push("worker", "fixed")
    resumed = place.run("resume", "worker:prod", "--yes")
    assert resumed.status == 0, resumed.stderr
    assert until(lambda: place.images("worker") == {fix})
    assert spec_tag(place, "worker") == before
