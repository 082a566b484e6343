"""Jobs that the cluster makes: at their minute, and by hand."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.cluster import Json, until
from tests.e2e.conftest import MakePlace, on_sandbox
from tests.e2e.place import JOB, Place
from tests.support.place import PROGRAM
from tests.support.tiers import slow

pytestmark = [pytest.mark.needs("pods"), on_sandbox(slow("waits for the next minute, and needs pods"))]
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def test_the_job_comes_at_its_minute(make_place: MakePlace) -> None:
    place = make_place()
    place.imported("web")
    second = place.images.push("web", "second")
    due = datetime.now(UTC) + timedelta(minutes=1, seconds=5)
    schedule = f"{due.minute} {due.hour} {due.day} {due.month} *"
    place.cluster.patch("CronJob", place.namespace, JOB, {"spec": {"schedule": schedule}})

    def made() -> Json | None:
        jobs = place.cluster.items("Job", place.namespace)
        return jobs[0] if jobs else None

    job = until(made, place.settings.patience, "a Job of the CronJob")
    scheduled = datetime.fromisoformat(job["metadata"]["annotations"][SCHEDULED])
    assert scheduled == due.replace(second=0, microsecond=0)
    done = place.pod_ended(job["metadata"]["name"])
    assert (done.status, place.current("web")) == (0, second), done.stderr
    assert done.report["run"]["trigger"] == "scheduled"
    assert [run.outcome for run in place.journal().runs] == ["success"]
    assert ("CronJob", "ImportSuccess") in {
        (event["involvedObject"]["kind"], event["reason"]) for event in place.events()
    }


def test_one_by_hand(make_place: MakePlace) -> None:
    place = make_place()
    place.imported("web")
    second = place.images.push("web", "second")
    _kubectl(place, "create", "job", "by-hand", f"--from=cronjob/{JOB}")
    done = place.pod_ended("by-hand")
    assert (done.status, place.current("web")) == (0, second), done.stderr
    assert done.report["run"]["trigger"] == "manual"


def _kubectl(place: Place, *arguments: str) -> None:
    config = {"KUBECONFIG": place.settings.kubeconfig} if place.settings.kubeconfig else {}
    command = [str(PROGRAM.with_name("kubectl")), "-n", place.namespace, *arguments]
    subprocess.run(command, env={**os.environ, **config}, check=True, capture_output=True, timeout=60)
