"""A run needs every right it is given, and no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.sandbox.client import Json, Sandbox, until
from tests.support.place import Ended, Place
from tests.support.pods import make_cron_job, scheduled
from tests.support.rights import ROLL_BACK, RUN, without

VERBS = [(resource, verb) for rule in RUN for resource in rule["resources"] for verb in rule["verbs"]]


def runs(sandbox: Sandbox, rules: Sequence[Json]) -> Iterator[tuple[Place, Ended]]:
    """Two runs in which all happens that may: an update, a failure that is told twice, a conflict."""
    place = Place(sandbox, rules)
    place.imported("worker")
    place.stream("gone")
    pod = scheduled(place, make_cron_job(place))
    for content in ("two", "three"):
        place.push("worker", content)
        fault = place.import_fault("worker", times=1, change="before")
        yield place, place.run(**pod)
        place.sandbox.remove_faults(fault)


def test_the_rights_are_enough(sandbox: Sandbox) -> None:
    for place, done in runs(sandbox, RUN):
        assert done.status == 1
        assert done.results == {"worker:prod": "updated", "gone:prod": "failed not_found"}
        assert all(tag["before"]["created"] for tag in done.report["tags"] if tag["before"])
        assert "warning" not in done.stderr
        assert not [each for each in place.requests() if each["status"] in (401, 403)]


@pytest.mark.parametrize(("resource", "verb"), VERBS)
def test_none_is_spare(sandbox: Sandbox, resource: str, verb: str) -> None:
    told = f'cannot {verb} resource "{resource}"'
    said = ""
    for _, done in runs(sandbox, without(resource, verb)):
        said += done.stdout + done.stderr
        if told in said.replace('\\"', '"'):
            return
    raise AssertionError(f"nobody would notice that {verb} on {resource} is missing: {said}")


def test_those_of_the_rollback_component_are_enough(sandbox: Sandbox) -> None:
    """A bad image is put back by the run itself, held, and let go, with a pod that has to be deleted."""
    place = Place(sandbox, ROLL_BACK)
    old = place.imported("worker", f"{place.namespace} old")
    image = f"{place.source('worker').rpartition(':')[0]}@{old}"
    sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:prod", image=image)
    until(lambda: any(pod["status"].get("phase") == "Running" for pod in sandbox.pods(place.namespace)))
    bad = place.push("worker", f"{place.namespace} bad")
    sandbox.image_behaves(bad, "crash")
    done = place.run(ON_BAD_ROLLOUT="rollback", CHECK_HORIZON="true")
    assert (done.status, done.results) == (5, {"worker:prod": "rolled_back"}), done.stderr
    assert [each["result"] for each in done.report["rollouts"]] == ["failed", "healthy"]
    place.push("worker", f"{place.namespace} fixed")
    assert place.run("resume", "worker", "--yes").status == 0
    # One step back is the good one: the bad one between the two was rolled back from, and does not count.
    assert place.run("rollback", "worker", "--yes").status == 0
    assert place.run("history", "worker", "--check").status == 0
    assert not [each for each in place.requests() if each["status"] in (401, 403)]
    assert place.requests("DELETE", "pods/")
