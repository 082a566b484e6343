"""A run needs every right it is given, and no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.rights import RUN, without
from tests.runs.place import Ended, Place
from tests.runs.pods import make_cron_job, scheduled
from tests.sandbox.client import Json, Sandbox

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
    for place, done in runs(sandbox, without(resource, verb)):
        said += done.stdout + done.stderr
        if told in said.replace('\\"', '"'):
            return
        assert place.namespace
    raise AssertionError(f"nobody would notice that {verb} on {resource} is missing: {said}")
