"""What started a run: the Job's annotations, its CronJob, and what can be known without rights."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from job.cluster import CRON_JOBS, JOBS
from job.run.origin import Trigger, find_trigger
from tests.unit.objects import JSON, Objects

ENVIRONMENT = {"JOB_NAME": "import-images-29395320", "POD_NAMESPACE": "home"}
SCHEDULED = {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-11-24T02:00:00+01:00"}
MANUAL = {"cronjob.kubernetes.io/instantiate": "manual"}
OWNER = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "import-images", "uid": "uid-c", "controller": True}
AT = datetime(2026, 11, 24, 1, 0, 2, tzinfo=UTC)


def cluster(annotations: JSON | None = None, owned: bool = True, cron_job: JSON | None = None, **spec: Any) -> Objects:
    objects = Objects()
    metadata: JSON = {"name": ENVIRONMENT["JOB_NAME"], "namespace": "home", "uid": "uid-j", "annotations": annotations}
    if owned:
        metadata["ownerReferences"] = [OWNER]
    objects.put(JOBS, "home", {"metadata": metadata})
    wanted = {"schedule": "0 2 * * 2", "timeZone": "Europe/Prague", **spec}
    objects.put(CRON_JOBS, "home", cron_job or {"metadata": {"name": "import-images"}, "spec": wanted})
    return objects


def found(objects: Objects, **environment: str) -> Trigger:
    return find_trigger(objects, {**ENVIRONMENT, **environment}, lambda call: call())


def test_a_scheduled_run() -> None:
    trigger = found(cluster(SCHEDULED))
    assert (trigger.kind, trigger.job, trigger.job_id) == ("scheduled", "import-images-29395320", "uid-j")
    assert trigger.scheduled_at == datetime(2026, 11, 24, 1, tzinfo=UTC)
    assert trigger.owner is not None
    assert (trigger.owner.kind, trigger.owner.name, trigger.owner.uid) == ("CronJob", "import-images", "uid-c")
    assert trigger.schedule is not None
    assert trigger.schedule.next_after(AT) == datetime(2026, 12, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("annotations", [MANUAL, {**MANUAL, **SCHEDULED}, {}, None])
def test_a_manual_run_knows_its_cron_job_all_the_same(annotations: JSON | None) -> None:
    trigger = found(cluster(annotations))
    assert (trigger.kind, trigger.scheduled_at) == ("manual", None)
    assert trigger.schedule is not None


def test_a_job_of_its_own() -> None:
    trigger = found(cluster(owned=False))
    assert (trigger.kind, trigger.schedule) == ("manual", None)
    assert trigger.owner is not None
    assert (trigger.owner.kind, trigger.owner.name) == ("Job", "import-images-29395320")


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_outside_a_pod_the_cluster_is_not_asked(missing: str) -> None:
    objects = cluster(SCHEDULED)
    assert found(objects, **{missing: " "}) == Trigger()
    assert objects.asked == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"suspend": True}, ""),
        ({"schedule": "@every 1h"}, "next run is due is not known"),
        ({"schedule": "0 2 * * 7"}, "cannot be read"),
        ({"schedule": "nonsense"}, "cannot be read"),
        ({"schedule": None}, "cannot be read"),
        ({"timeZone": "Mars/Olympus"}, "cannot be read"),
    ],
)
def test_a_schedule_that_tells_no_due_time(spec: JSON, said: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "job.run.origin"):
        trigger = found(cluster(SCHEDULED, **spec))
    assert (trigger.kind, trigger.schedule) == ("scheduled", None)
    assert (said in caplog.text) and len(caplog.records) == bool(said)


def test_without_a_time_zone_it_is_utc() -> None:
    trigger = found(cluster(SCHEDULED, timeZone=None))
    assert trigger.schedule is not None
    assert trigger.schedule.next_after(AT) == datetime(2026, 11, 24, 2, tzinfo=UTC)


def test_a_time_zone_that_is_given_wins_over_the_cron_jobs() -> None:
    trigger = find_trigger(cluster(SCHEDULED), ENVIRONMENT, lambda call: call(), "America/New_York")
    assert trigger.schedule is not None
    assert trigger.schedule.next_after(AT) == datetime(2026, 11, 24, 7, tzinfo=UTC)


def test_no_right_to_jobs_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    objects = cluster(SCHEDULED)
    objects.refused["get", "jobs"] = 403
    with caplog.at_level("WARNING", "job.run.origin"):
        trigger = found(objects)
    assert trigger.job == "import-images-29395320"
    assert trigger.job_id == "home/import-images-29395320"
    assert len(caplog.records) == 1
    assert "grant get on jobs" in caplog.text


def test_no_right_to_cron_jobs_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    objects = cluster(SCHEDULED)
    objects.refused["get", "cronjobs"] = 403
    with caplog.at_level("WARNING", "job.run.origin"):
        trigger = found(objects)
    assert (trigger.kind, trigger.schedule) == ("scheduled", None)
    assert trigger.owner is not None
    assert trigger.owner.kind == "CronJob"
    assert len(caplog.records) == 1


def test_jobs_of_one_name_in_two_namespaces_are_not_one_job() -> None:
    """Two CronJobs of one name and schedule make Jobs of one name at the same minute."""
    objects = cluster(SCHEDULED)
    objects.refused["get", "jobs"] = 403
    assert found(objects).job_id != found(objects, POD_NAMESPACE="elsewhere").job_id
