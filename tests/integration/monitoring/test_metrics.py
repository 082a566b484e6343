"""The metrics as `promtool` sees them."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from job.domain.model import Outcome, Report, Result, Rollout, RolloutResult, Skip, TagName
from job.domain.rules import FreezeRule, Rules
from job.publish.metric_families import FAMILIES, PREFIX, Past
from job.publish.metrics import exposition, increments, notifications
from tests.unit.reports import NAMESPACE, failed, gated, held, report_of, tag_result

UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
EVERYTHING = report_of(
    tag_result(rollback_targets=3),
    failed(),
    held(until=UNTIL),
    tag_result(stream="kept", result=Result.SKIPPED, reason=Skip.BLOCKED),
    gated(),
    rules={NAMESPACE: Rules((FreezeRule(at=UNTIL - timedelta(days=7), until=UNTIL),))},
    outcome=Outcome.PARTIAL,
    trigger="scheduled",
    scheduled_at=report_of().started_at - timedelta(seconds=42),
    next_run=UNTIL,
    rollouts=(
        Rollout(
            NAMESPACE,
            "Deployment",
            "app",
            (TagName(NAMESPACE, "packit-worker", "prod"),),
            RolloutResult.HEALTHY,
            None,
            3.5,
        ),
        Rollout(
            NAMESPACE, "Deployment", "bad", (TagName(NAMESPACE, "packit-worker", "prod"),), RolloutResult.FAILED, "why"
        ),
    ),
)
PAST = Past({"last_success_timestamp_seconds": {(): 5.0}})


def checked(text: bytes) -> str:
    """What promtool has to say against it."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode() or str(done.returncode or "")


def test_every_family_passes() -> None:
    # Messages are sent, and so counted, after the push of the run.
    text = exposition(EVERYTHING, NAMESPACE, PAST) + notifications({"sent": 1})
    for family in FAMILIES:
        assert f"# HELP {PREFIX}{family.name} " in text.decode(), "or the test would not see it"
    assert checked(text) == ""


@pytest.mark.parametrize("report", [EVERYTHING, report_of()], ids=["everything", "nothing"])
def test_what_is_summed_passes(report: Report) -> None:
    assert checked(increments(report, NAMESPACE)) == ""


def test_promtool_would_say() -> None:
    assert "import_images_tags_total" in checked(b"# TYPE import_images_tags_total gauge\nimport_images_tags_total 1\n")
