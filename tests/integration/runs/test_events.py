"""What a run tells by Events."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sandbox.client import Sandbox
from tests.support.place import Place
from tests.support.pods import events, make_cron_job, make_job, scheduled
from tests.support.rights import without
from tests.support.tiers import slow


def test_each_updated_or_failed_tag_and_the_run(place: Place) -> None:
    place.imported("same")
    old = place.imported("new")
    new = place.push("new", "two")
    place.stream("gone")
    assert place.run(**scheduled(place, make_cron_job(place))).status == 1
    told = {(each["involvedObject"]["kind"], each["involvedObject"]["name"]): each for each in events(place)}
    assert set(told) == {("ImageStream", "new"), ("ImageStream", "gone"), ("CronJob", "import-images")}
    updated, failed = told["ImageStream", "new"], told["ImageStream", "gone"]
    assert (updated["type"], updated["reason"]) == ("Normal", "ImageImported")
    assert old in updated["message"]
    assert new in updated["message"]
    assert (failed["type"], failed["reason"]) == ("Warning", "ImportFailed")
    assert "not_found" in failed["message"]
    run = told["CronJob", "import-images"]
    assert run["involvedObject"]["uid"]
    assert (run["type"], run["reason"]) == ("Warning", "ImportPartial")
    for part in ("1 updated", "1 failed", "1 unchanged"):
        assert part in run["message"]


def test_a_job_of_its_own_is_told_of(place: Place) -> None:
    place.imported("worker")
    place.run(**make_job(place, None))
    assert [each["involvedObject"]["kind"] for each in events(place)] == ["Job"]


def test_at_most_fifty_failures_first_then_the_summary(place: Place) -> None:
    place.push("all", "one")
    for number in range(30):
        place.stream(f"u{number}", {"prod": place.source("all")})
        place.stream(f"f{number}")
    assert place.run(**scheduled(place, make_cron_job(place))).status == 1
    assert Counter(each["reason"] for each in events(place)) == {
        "ImportFailed": 30,
        "ImageImported": 20,
        "ImportPartial": 1,
    }
    (run,) = [each for each in events(place) if each["reason"] == "ImportPartial"]
    assert "10 more" in run["message"]


def test_the_same_failure_counts_up(place: Place) -> None:
    place.stream("gone")
    for _ in range(3):
        place.run()
    (event,) = events(place)
    assert event["count"] == 3


@pytest.mark.parametrize("verb", ["create", "get", "update"])
def test_forbidden_events_are_one_warning(sandbox: Sandbox, verb: str) -> None:
    place = Place(sandbox, without("events", verb))
    for name in ("a", "b"):
        place.stream(name)
    done = [place.run(), place.run()][verb != "create"]
    assert done.status == 1
    assert sum("grant create, get and update on events" in line for line in done.stderr.splitlines()) == 1


def test_one_event_that_is_refused_does_not_silence_the_others(place: Place) -> None:
    for name in ("a", "b"):
        place.stream(name)
    place.fault("events$", "POST", times=1, status={"code": 422})
    place.run(**scheduled(place, make_cron_job(place)))
    assert len(events(place)) == 2


@slow("waits for the lock; the tests of the lock gate")
def test_a_locked_run_is_told_on_its_cron_job(place: Place) -> None:
    place.imported("worker")
    pod = scheduled(place, make_cron_job(place))
    place.import_fault(hang=True)
    with place.running() as process:
        place.wait_for_import("worker")
        assert place.run(**pod).status == 4
        process.kill()
    assert [each["reason"] for each in events(place)] == ["ImportLocked"]
