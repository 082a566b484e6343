"""A report as JSON and in words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.domain.model import (
    Command,
    Outcome,
    Reason,
    Report,
    Result,
    Rollout,
    RolloutResult,
    RunError,
    Stage,
    TagResult,
)
from job.domain.times import iso
from job.views.documents import as_document, json_lines, summary, termination_message
from tests.unit.reports import NAMESPACE, NEW, failed, held, report_of, reports, tag_result, unlisted


def document(report: Report) -> dict[str, Any]:
    found = json.loads("".join(json_lines(report)))
    assert isinstance(found, dict)
    return found


RUN_FIELDS = {
    *(
        "id",
        "command",
        "trigger",
        "job",
        "scheduled_at",
        "started_at",
        "finished_at",
        "startup_seconds",
        "outcome",
        "exit_status",
        "deployment",
    ),
    *("namespaces", "shard", "server", "user", "requests", "retries"),
}
TAG_FIELDS = {
    *("namespace", "stream", "tag", "source", "result", "reason", "by", "message", "attempts", "seconds"),
    *("moved_with", "before", "after", "gates", "candidate"),
}
IMAGE_FIELDS = {"digest", "created", "imported_at", "revision", "version", "repository_url"}


class TestJson:
    @settings(max_examples=25)
    @given(reports())
    def test_any_report_is_one_document(self, report: Report) -> None:
        found = document(report)
        assert (found["kind"], found["version"]) == ("Report", 1)
        assert [tag["stream"] for tag in found["tags"]] == [tag.stream for tag in report.tags]
        assert [error["message"] for error in found["errors"]] == [error.message for error in report.errors]
        assert json.loads(json.dumps(found)) == found

    @settings(max_examples=25)
    @given(reports())
    def test_it_is_written_a_line_a_tag(self, report: Report) -> None:
        lines = "".join(json_lines(report)).split("\n")
        for tag in report.tags:
            assert sum(json.dumps(tag.stream) in line and '"attempts"' in line for line in lines) >= 1

    def test_it_has_exactly_its_fields(self) -> None:
        found = document(unlisted(tags=(tag_result(),)))
        assert found.keys() == {"kind", "version", "run", "tags", "rollouts", "queries", "errors"}
        assert found["tags"][0].keys() == TAG_FIELDS
        assert found["tags"][0]["before"].keys() == found["tags"][0]["after"].keys() == IMAGE_FIELDS
        assert found["errors"][0].keys() == {"namespace", "stage", "reason", "message"}

    def test_its_run_has_exactly_its_fields(self) -> None:
        assert document(report_of())["run"].keys() == RUN_FIELDS

    def test_an_updated_tag(self) -> None:
        (tag,) = document(report_of(tag_result(moved_with=("live",))))["tags"]
        assert tag == {
            "namespace": NAMESPACE,
            "stream": "packit-worker",
            "tag": "prod",
            "source": "quay.io/packit/packit-worker:prod",
            "result": "updated",
            "reason": None,
            "by": None,
            "message": None,
            "attempts": 1,
            "seconds": 0.41,
            "moved_with": ["live"],
            "before": {
                "digest": "sha256:" + "a" * 64,
                "created": "2026-11-15T02:00:03Z",
                "imported_at": "2026-11-17T02:00:03Z",
                "revision": "1a2b3c",
                "version": "1.0",
                "repository_url": None,
            },
            "after": {
                "digest": "sha256:" + "b" * 64,
                "created": "2026-11-23T02:00:03Z",
                "imported_at": "2026-11-24T02:00:03Z",
                "revision": "4d5e6f",
                "version": None,
                "repository_url": None,
            },
            "gates": [],
            "candidate": None,
        }

    def test_a_failed_tag_says_why_and_by_whom(self) -> None:
        (tag,) = document(report_of(failed(after=None)))["tags"]
        assert (tag["result"], tag["reason"], tag["by"], tag["after"]) == ("failed", "not_found", "registry", None)

    def test_the_run_says_what_it_cost(self) -> None:
        run = document(report_of())["run"]
        assert (run["requests"], run["retries"]) == (4, 1)
        assert (run["started_at"], run["finished_at"]) == ("2026-11-24T02:00:03Z", "2026-11-24T02:00:15Z")
        assert (run["outcome"], run["exit_status"], run["shard"]) == ("success", 0, None)

    def test_half_a_character_does_no_harm(self) -> None:
        text = "".join(json_lines(report_of(tag_result(after=replace(NEW, revision="a\ud800b")))))
        assert text.encode()


class TestTimes:
    def test_they_are_told_in_utc_to_the_second(self) -> None:
        assert iso(datetime(2026, 11, 24, 3, 0, 3, 999, timezone(timedelta(hours=1)))) == "2026-11-24T02:00:03Z"
        assert iso(None) is None

    @given(st.datetimes(timezones=st.just(UTC)))
    def test_any_time_can_be_read_back(self, time: datetime) -> None:
        assert datetime.fromisoformat(iso(time) or "") == time.replace(microsecond=0)


class TestSummary:
    @pytest.mark.parametrize(
        ("report", "told"),
        [
            (report_of(tag_result()), "packit-prod, deployment prod: success: 1 updated in 12.5 s"),
            (report_of(tag_result(), command=Command.PLAN), "1 would be updated"),
            (report_of(tag_result(), failed(), held()), "1 updated, 1 failed, 1 skipped"),
            (report_of(deployment=None), "packit-prod: success: no tags"),
            (unlisted(), "packit-prod, other, deployment prod: partial"),
        ],
    )
    def test_it_is_a_line_of_what_became_of_the_run(self, report: Report, told: str) -> None:
        assert told in summary(report)

    @settings(max_examples=25)
    @given(reports())
    def test_it_is_one_line(self, report: Report) -> None:
        assert len(summary(report).splitlines()) == 1


class TestTerminationMessage:
    def test_it_begins_with_the_summary_and_tells_of_failures(self) -> None:
        report = report_of(tag_result(), failed(), outcome=Outcome.PARTIAL)
        first, *others = termination_message(report).splitlines()
        assert first == summary(report)
        assert others == ["packit-prod/packit-service:prod failed: not_found: not found"]

    def test_errors_of_whole_namespaces_come_first(self) -> None:
        lines = termination_message(unlisted(tags=(failed(),))).splitlines()
        assert "cannot list image streams" in lines[1]

    @pytest.mark.parametrize("count", [30, 10_000])
    def test_it_fits_into_what_kubernetes_keeps_and_says_how_many_are_missing(self, count: int) -> None:
        tags = [failed(f"stream-{number}", message="é" * 150) for number in range(count)]
        text = termination_message(report_of(*tags))
        *shown, last = text.splitlines()
        assert len(text.encode()) <= 4096
        assert last == f"and {count - len(shown) + 1} more"

    @given(st.lists(st.text(max_size=2000), max_size=6))
    def test_it_fits_whatever_the_errors_say(self, messages: list[str]) -> None:
        errors = tuple(RunError(NAMESPACE, Stage.LIST, Reason.FORBIDDEN, text) for text in messages)
        assert len(termination_message(report_of(errors=errors)).encode()) <= 4096


@pytest.mark.parametrize("result", Result)
def test_every_result_is_told_by_its_name(result: Result) -> None:
    tag: TagResult = tag_result(result=result)
    assert document(report_of(tag))["tags"][0]["result"] == result.value


def test_the_termination_message_tells_of_what_was_put_back_and_of_what_was_left_undone() -> None:
    tags = (
        tag_result("left", message="rollout failed; not rolled back: no right"),
        tag_result("back", result=Result.ROLLED_BACK, message="rolled back from sha256:bad: crashes"),
        replace(held("due"), message="its hold ended, not released: no right"),
        held(),
        tag_result("fine"),
    )
    rollouts = (
        Rollout(NAMESPACE, "Deployment", "web", (), RolloutResult.FAILED, "CrashLoopBackOff", 3.0),
        Rollout(NAMESPACE, "Deployment", "web", (), RolloutResult.HEALTHY, None, 3.0),
    )
    assert termination_message(report_of(*tags, rollouts=rollouts)).splitlines()[1:] == [
        "packit-prod/back:prod rolled back: rolled back from sha256:bad: crashes",
        "packit-prod/Deployment/web failed: CrashLoopBackOff",
        "packit-prod/left:prod updated: rollout failed; not rolled back: no right",
        "packit-prod/due:prod skipped: held: its hold ended, not released: no right",
    ]


def test_the_document_of_one_tag_tells_of_errors_too() -> None:
    found = as_document(unlisted())
    assert found.keys() == {"run", "tags", "rollouts", "queries", "errors"}
    assert found["errors"] == document(unlisted())["errors"]


def test_the_summary_counts_rollouts() -> None:
    rollouts = tuple(
        Rollout(NAMESPACE, "Deployment", each, (), RolloutResult(each)) for each in ("timed_out", "healthy", "paused")
    )
    assert "rollouts: 1 healthy, 1 timed out, 1 paused" in summary(report_of(tag_result(), rollouts=rollouts))
