"""What a run tells of its schedule."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.sandbox.client import Sandbox
from tests.support.place import Place
from tests.support.pods import make_cron_job, make_job, manual, scheduled
from tests.support.rights import without

NEXT, DELAY = "next_run_timestamp_seconds", "start_delay_seconds"


def next_tuesday(zone: str) -> float:
    """When it is next 02:00 on a Tuesday there."""
    now = datetime.now(ZoneInfo(zone))
    due = now.replace(hour=2, minute=0, second=0, microsecond=0) + timedelta(days=(1 - now.weekday()) % 7)
    return (due if due > now else due + timedelta(days=7)).timestamp()


@pytest.mark.parametrize("zone", ["Europe/Prague", "Asia/Kathmandu", None])
def test_a_scheduled_run(place: Place, zone: str | None) -> None:
    place.imported("worker")
    done = place.run(**scheduled(place, make_cron_job(place, timeZone=zone), late=42))
    assert done.status == 0, done.stderr
    run = done.report["run"]
    assert (run["trigger"], run["job"]) == ("scheduled", "import-images-1")
    due = datetime.fromisoformat(run["scheduled_at"])
    assert run["scheduled_at"].endswith("Z")
    metrics = place.metrics()
    assert metrics[NEXT] == {(): next_tuesday(zone or "UTC")}
    late = metrics[DELAY][()]
    assert 42 <= late < 80
    assert late == pytest.approx((datetime.fromisoformat(run["started_at"]) - due).total_seconds(), abs=2)


def test_time_zone_is_for_the_schedule_too(place: Place) -> None:
    place.imported("worker")
    place.run(**scheduled(place, make_cron_job(place, timeZone=None)), TIME_ZONE="Asia/Kathmandu")
    assert place.metrics()[NEXT] == {(): next_tuesday("Asia/Kathmandu")}


def test_a_job_made_by_hand(place: Place) -> None:
    place.imported("worker")
    done = place.run(**manual(place, make_cron_job(place)))
    assert done.report["run"]["trigger"] == "manual"
    assert done.report["run"]["scheduled_at"] is None
    assert place.metrics()[NEXT] == {(): next_tuesday("Europe/Prague")}
    assert DELAY not in place.metrics()


def test_a_job_that_kubectl_made(place: Place) -> None:
    place.imported("worker")
    make_cron_job(place)
    kubectl = Path(sys.executable).with_name("kubectl")
    command = ["create", "job", "by-hand", "--from=cronjob/import-images", "-n", place.namespace, "-o", "json"]
    made = subprocess.run(
        [kubectl, "--kubeconfig", place.sandbox.admin_kubeconfig, *command], check=True, capture_output=True, timeout=60
    )
    name = json.loads(made.stdout)["metadata"]["name"]
    done = place.run(JOB_NAME=name, POD_NAMESPACE=place.namespace)
    assert (done.report["run"]["trigger"], done.report["run"]["job"]) == ("manual", "by-hand")
    assert NEXT in place.metrics()


def test_a_run_from_a_shell(place: Place) -> None:
    place.imported("worker")
    assert place.run().report["run"]["trigger"] == "local"
    assert not {NEXT, DELAY} & set(place.metrics())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"suspend": True}, 0),
        ({"schedule": "@every 1h"}, 1),
        ({"schedule": "every now and then"}, 1),
        ({"timeZone": "Mars/Olympus"}, 1),
    ],
)
def test_a_schedule_that_tells_no_due_time(place: Place, spec: dict[str, object], said: int) -> None:
    place.imported("worker")
    done = place.run(**scheduled(place, make_cron_job(place, **spec)))
    assert done.status == 0, done.stderr
    assert done.report["run"]["trigger"] == "scheduled"
    assert NEXT not in place.metrics()
    assert DELAY in place.metrics()
    assert sum("schedule" in line or "next run" in line for line in done.stderr.splitlines()) == said, done.stderr


@pytest.mark.parametrize("resource", ["jobs", "cronjobs"])
def test_without_the_rights_it_is_said_once_and_the_run_goes_on(sandbox: Sandbox, resource: str) -> None:
    place = Place(sandbox, without(resource, "get"))
    place.imported("worker")
    done = place.run(**scheduled(place, make_cron_job(place)))
    assert done.status == 0
    assert sum(f"grant get on {resource}" in line for line in done.stderr.splitlines()) == 1
    assert NEXT not in place.metrics()


def test_a_job_of_its_own_is_manual(place: Place) -> None:
    place.imported("worker")
    assert place.run(**make_job(place, None)).report["run"]["trigger"] == "manual"


@pytest.mark.parametrize("code", [429, 503])
def test_an_api_that_stumbles_does_not_make_a_scheduled_run_a_manual_one(place: Place, code: int) -> None:
    place.imported("worker")
    pod = scheduled(place, make_cron_job(place))
    place.fault("jobs/", "GET", times=1, status={"code": code})
    assert place.run(**pod, FREEZE="* * * * * 1h").report["run"]["outcome"] == "frozen"
