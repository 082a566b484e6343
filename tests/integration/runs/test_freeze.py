"""Windows in which nothing is imported."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.support.place import Place, of
from tests.support.pods import events, journal, make_cron_job, manual, scheduled

ALWAYS = "* * * * * 1h"


def around(zone: str, hours: int) -> str:
    """A window that, in that zone, began so many hours ago and lasts for three."""
    begun = datetime.now(ZoneInfo(zone)) - timedelta(hours=hours)
    return f"{begun.minute} {begun.hour} * * * 3h"


def test_a_scheduled_run_inside_a_window_imports_nothing_and_says_so(place: Place) -> None:
    place.imported("worker")
    cron_job = make_cron_job(place)
    assert place.run(**scheduled(place, cron_job)).status == 0
    before, asked = place.metrics(), len(place.imports())
    old = place.current("worker")
    place.push("worker", "two")
    done = place.run(**scheduled(place, cron_job, "import-images-2"), FREEZE=ALWAYS)
    assert done.status == 0, done.stderr
    run = done.report["run"]
    assert (run["outcome"], run["exit_status"], done.report["tags"]) == ("frozen", 0, [])
    assert (len(place.imports()), place.current("worker")) == (asked, old)
    after = place.metrics()
    assert after["run_outcome"][(("outcome", "frozen"),)] == 1
    assert after["run_outcome"][(("outcome", "success"),)] == 0
    for family, series in before.items():
        if family.startswith("tag_"):
            assert after.get(family) == series, family
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert after["last_run_timestamp_seconds"][()] > before["last_run_timestamp_seconds"][()]
    assert after["tag_last_success_timestamp_seconds"][of("worker")]
    assert [each.outcome for each in journal(place).runs] == ["frozen", "success"]
    (event,) = [each for each in events(place) if each["reason"] == "ImportFrozen"]
    assert (event["involvedObject"]["kind"], event["type"]) == ("CronJob", "Normal")


def test_a_manual_run_has_to_insist(place: Place) -> None:
    place.imported("worker")
    pod = manual(place, make_cron_job(place))
    done = place.run(**pod, FREEZE=ALWAYS)
    assert (done.status, done.stdout) == (2, "")
    assert ALWAYS in done.stderr
    assert "IGNORE_FREEZE" in done.stderr
    assert journal(place).runs == ()
    assert not place.metrics()
    assert place.objects("coordination.k8s.io/v1/leases") == []
    assert place.run(**pod, FREEZE=ALWAYS, IGNORE_FREEZE="true").status == 0


def test_a_scheduled_run_may_be_told_to_ignore_it(place: Place) -> None:
    place.imported("worker")
    done = place.run(**scheduled(place, make_cron_job(place)), FREEZE=ALWAYS, IGNORE_FREEZE="true")
    assert done.report["run"]["outcome"] == "success"


def test_a_run_that_begins_before_a_window_runs_into_it(place: Place) -> None:
    place.imported("worker")
    soon = datetime.now(ZoneInfo("UTC")) + timedelta(minutes=3)
    window = f"{soon.minute} {soon.hour} * * * 2h"
    done = place.run(**scheduled(place, make_cron_job(place, timeZone="Etc/UTC")), FREEZE=window)
    assert done.report["run"]["outcome"] == "success"


@pytest.mark.parametrize("source", ["cron-job", "setting", "utc"])
def test_a_window_is_in_the_zone_of_the_setting_else_the_cron_jobs_else_utc(place: Place, source: str) -> None:
    place.imported("worker")
    zone, other = "Asia/Kathmandu", "America/New_York"
    cron_job = make_cron_job(place, timeZone={"cron-job": zone, "setting": other, "utc": None}[source])
    pod = scheduled(place, cron_job)
    own = "UTC" if source == "utc" else zone
    setting = zone if source == "setting" else None
    assert place.run(**pod, FREEZE=around(own, 1), TIME_ZONE=setting).report["run"]["outcome"] == "frozen"
    assert place.run(**pod, FREEZE=around(other, 1), TIME_ZONE=setting).report["run"]["outcome"] == "success"


@pytest.mark.parametrize(
    "window",
    ["nonsense", "0 0 * * 7 1h", "0 0 L * * 1h", "0 0 * * 5#2 1h", "0 0 0 * * * 1h", "@every 1h 1h", "0 0 * * *"],
)
def test_a_wrong_window_is_told_by_name_before_anything_is_touched(place: Place, window: str) -> None:
    done = place.run(FREEZE=f"0 0 * * 1 1h; {window}")
    assert (done.status, done.stdout) == (2, "")
    assert "FREEZE" in done.stderr
    assert window in done.stderr
    assert place.requests() == []
