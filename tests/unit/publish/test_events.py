"""A report as Events: failures first, at most 50, the same told once and counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from job.cluster import EVENTS
from job.domain.errors import ClusterError
from job.domain.involved import Involved
from job.domain.model import Outcome, Reason, Result, Rollout, RolloutResult, TagName
from job.publish.events import events_of, post
from tests.unit.objects import NAMESPACE, NOW, Asked, Objects, failed, refusal, report, skipped, unchanged, updated
from tests.unit.reports import gated, report_of

CRON_JOB = Involved("batch/v1", "CronJob", NAMESPACE, "import-images", "uid-1")


def test_updated_and_failed_tags_are_told_on_their_streams_and_the_run_on_the_cron_job() -> None:
    found = events_of(
        report(updated("a"), failed("b"), unchanged("c"), skipped("d"), outcome=Outcome.PARTIAL), CRON_JOB
    )
    assert [(each.involved.kind, each.involved.name, each.reason, each.warning) for each in found] == [
        ("ImageStream", "b", "ImportFailed", True),
        ("ImageStream", "a", "ImageImported", False),
        ("CronJob", "import-images", "ImportPartial", True),
    ]
    assert "sha256:a-new" in found[1].message
    assert "not_found" in found[0].message


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FROZEN])
def test_a_run_that_went_well_is_no_warning(outcome: Outcome) -> None:
    (event,) = events_of(report(outcome=outcome), CRON_JOB)
    assert (event.reason, event.warning) == (f"Import{outcome.capitalize()}", False)


def test_without_a_cron_job_there_is_no_summary() -> None:
    assert events_of(report(), None) == ()


def test_at_most_fifty_tags_failures_first_then_the_summary() -> None:
    tags = [*(updated(f"u{number}") for number in range(60)), *(failed(f"f{number}") for number in range(40))]
    found = events_of(report(*tags, outcome=Outcome.PARTIAL), CRON_JOB)
    assert [each.reason for each in found] == ["ImportFailed"] * 40 + ["ImageImported"] * 10 + ["ImportPartial"]
    assert "50 more" in found[-1].message


def test_at_most_fifty_a_run_also_over_many_namespaces() -> None:
    namespaces = [f"ns-{number}" for number in range(4)]
    tags = [updated(f"s{number}", namespace=each) for each in namespaces for number in range(30)]
    found = report(*tags, namespaces=namespaces)
    told = events_of(found, None)
    assert sum(event.involved.kind == "ImageStream" for event in told) == 50
    # Where there is no CronJob or Job, the summary is about the journal.
    (last,) = told[50:]
    assert (last.involved.kind, last.involved.namespace) == ("ConfigMap", "ns-1")
    assert "more tags" in last.message


def test_the_same_is_counted_and_not_told_again() -> None:
    objects = Objects()
    for number in range(3):
        at = NOW + timedelta(hours=number)
        found = report(failed("a"), outcome=Outcome.FAILURE, at=at)
        post(objects, events_of(found, None), at)
    (event,) = objects.all(EVENTS)
    assert (event["count"], event["firstTimestamp"]) == (3, "2026-11-24T02:00:00Z")
    assert event["lastTimestamp"] == "2026-11-24T04:00:00Z"
    assert event["type"] == "Warning"
    assert event["involvedObject"]["name"] == "a"


def test_what_is_different_is_told_apart() -> None:
    objects = Objects()
    tags = [failed("a"), failed("b"), failed("a", "stg"), failed("a", reason=Reason.TIMEOUT)]
    post(objects, events_of(report(*tags), None), NOW)
    assert len(objects.all(EVENTS)) == 4


def test_a_long_message_is_cut_and_cleaned() -> None:
    objects = Objects()
    found = report(failed("a", message="ščř\n" * 5000 + "http://me:secret@host"))
    post(objects, events_of(found, None), NOW)
    (event,) = objects.all(EVENTS)
    assert len(event["message"]) <= 1000
    assert "\n" not in event["message"]


def test_a_refusal_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    objects = Objects()
    objects.refused["create", "events"] = 403
    with caplog.at_level("WARNING", "job.publish.events"):
        post(objects, events_of(report(failed("a"), failed("b")), CRON_JOB), NOW)
    assert len(caplog.records) == 1
    assert "grant create, get and update on events" in caplog.text


@pytest.mark.parametrize("code", [409, 404, 422, 500])
def test_one_event_that_cannot_be_written_does_not_silence_the_others(code: int) -> None:
    objects = Objects()
    found = events_of(report(failed("a"), failed("b")), CRON_JOB)
    if code in (404, 409):
        post(objects, found[:1], NOW)
        objects.script("update", "events", refusal(code))
    else:
        objects.script("create", "events", refusal(code))
    post(objects, found, NOW)
    assert {each["involvedObject"]["name"] for each in objects.all(EVENTS)} >= {"b", "import-images"}


def test_a_count_that_conflicts_is_made_again() -> None:
    objects = Objects()
    found = events_of(report(failed("a")), None)
    post(objects, found, NOW)
    objects.script("update", "events", refusal(409), refusal(409))
    post(objects, found, NOW)
    assert [each["count"] for each in objects.all(EVENTS)] == [2]


@pytest.mark.parametrize("reason", [Reason.FORBIDDEN, Reason.UNAUTHORIZED, Reason.UNREACHABLE, Reason.TIMEOUT])
def test_a_namespace_that_takes_none_is_given_up_and_no_other(reason: Reason) -> None:
    objects = Objects()

    def refuse(asked: Asked) -> None:
        if asked.namespace == "closed":
            raise ClusterError(reason, "no")

    objects.before = refuse
    tags = [failed(name, namespace=each) for each in ("closed", "open") for name in "ab"]
    post(objects, events_of(report(*tags, namespaces=("closed", "open")), CRON_JOB), NOW)
    assert [asked.namespace for asked in objects.asked] == ["closed", "open", "open", NAMESPACE]
    assert [each["metadata"]["namespace"] for each in objects.all(EVENTS)] == ["open", "open", NAMESPACE]


def test_what_was_put_back_comes_before_what_was_updated_and_after_what_is_broken() -> None:
    back = replace(updated("back"), result=Result.ROLLED_BACK, message="rolled back from sha256:bad: crashes")
    left = replace(updated("left"), message="not rolled back: no right")
    tags = (TagName(NAMESPACE, "back", "prod"),)
    rollouts = (
        Rollout(NAMESPACE, "CronJob", "nightly", tags, RolloutResult.WILL_NOT_REDEPLOY, "its trigger does not fire"),
        Rollout("elsewhere", "Deployment", "far", tags, RolloutResult.FAILED, "crashes"),
        Rollout(NAMESPACE, "Deployment", "web", tags, RolloutResult.PAUSED),
    )
    found = events_of(replace(report(left, back, failed("b")), rollouts=rollouts), None)
    assert [(each.involved.name, each.reason, each.warning) for each in found] == [
        ("b", "ImportFailed", True),
        ("nightly", "RolloutNotHealthy", True),
        ("back", "ImageRolledBack", True),
        ("left", "ImageImported", False),
    ]
    assert found[1].involved.api_version == "batch/v1"
    assert found[1].message == "will not redeploy after the import of back:prod: its trigger does not fire"
    assert found[3].message.endswith(": not rolled back: no right")


def test_an_image_that_waits_is_one_event_however_long_it_still_waits() -> None:
    first, later = (
        events_of(report_of(gated(message=f"built 3h ago; waits for {hours}h")), None) for hours in (21, 20)
    )
    assert first == later
    (event,) = first
    assert (event.reason, event.warning) == ("ImageHeldBack", False)
    assert event.message.startswith("prod: young: gate min_age holds sha256:bbbb")
    assert event.message.endswith("back until 2026-11-25T06:00:03Z")
