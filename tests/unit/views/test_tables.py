"""A report as a table for people."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from job.domain.model import Blame, Command, Outcome, Reason, Report, Result, Rollout, RolloutResult, Skip, TagName
from job.views.columns import shorten_all
from job.views.tables import age, print_report
from tests.unit.reports import (
    NAMESPACE,
    NEW,
    STARTED,
    TEXT,
    failed,
    gated,
    held,
    report_of,
    reports,
    tag_result,
    unlisted,
)

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


class Terminal(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(report: Report, file: io.StringIO | None = None) -> str:
    file = file or io.StringIO()
    print_report(report, file)
    return file.getvalue()


def test_a_tag_is_a_line_of_what_became_of_it() -> None:
    text = shown(report_of(tag_result()))
    line = next(line for line in text.splitlines() if "packit-worker:prod" in line)
    assert line.split() == ["packit-worker:prod", "updated", "a" * 12, "b" * 12, "1d", "4d5e6f"]


def test_a_plan_says_that_nothing_was_done() -> None:
    assert "would update" in shown(report_of(tag_result(), command=Command.PLAN))


def test_aliases_that_moved_along_are_named() -> None:
    assert "with live, newest" in shown(report_of(tag_result(moved_with=("live", "newest"))))


def test_a_failure_is_told_in_full_below() -> None:
    message = "the registry said " + "no " * 60
    text = shown(report_of(failed(message=message)))
    assert "packit-service:prod failed (not_found, by registry):" in text
    assert " ".join(text.split()).count("no no") >= 29


@pytest.mark.parametrize("columns", ["40", "60", "100"])
def test_what_a_gate_says_is_there_once(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    waiting = gated(message="patience")
    text = shown(report_of(tag_result(), waiting, command=Command.PLAN), Terminal())
    assert text.count("patience") == 1, text
    assert "would update" in text


def test_tags_that_were_never_begun_share_one_line() -> None:
    never_begun = failed(reason=Reason.ABORTED, by=None, attempts=0, message="stopped before its import began")
    under_way = failed(reason=Reason.ABORTED, by=None, attempts=1, message="stopped between two tries")
    text = shown(report_of(*(replace(never_begun, stream=f"s{number}") for number in range(21)), under_way))
    assert "\n21 tags failed:\n    stopped before its import began\n" in text
    assert text.count("stopped before its import began") == 1
    assert "packit-service:prod failed (aborted):\n    stopped between two tries\n" in text


def test_a_skip_says_why() -> None:
    assert "opted_out" in shown(report_of(tag_result(result=Result.SKIPPED, reason=Skip.OPTED_OUT)))


def test_a_held_tag_says_why_it_is_held() -> None:
    assert "held: crashes" in shown(report_of(held()))


def test_a_summary_comes_last() -> None:
    report = report_of(tag_result(), outcome=Outcome.SUCCESS)
    assert shown(report).splitlines()[-1] == "packit-prod, deployment prod: success: 1 updated in 12.5 s"


def test_a_bad_rollout_comes_with_the_command_that_rolls_back() -> None:
    name = TagName(NAMESPACE, "packit-worker", "prod")
    bad = Rollout(
        NAMESPACE, "Deployment", "worker", (name,), RolloutResult.FAILED, "CrashLoopBackOff", 3.0, blame=Blame.IMAGE
    )
    fine = tag_result("packit-service")
    text = shown(report_of(tag_result(), fine, outcome=Outcome.UNHEALTHY, rollouts=(bad,)))
    assert f"import-images rollback packit-worker:prod -n {NAMESPACE}" in text
    assert "rollback packit-service" not in text
    assert "rollback" not in shown(report_of(tag_result(), fine))
    # Another image would not help.
    assert "rollback" not in shown(report_of(tag_result(), rollouts=(replace(bad, blame=Blame.NODE),)))


def test_what_failed_comes_first_and_names_sort_as_people_count() -> None:
    text = shown(report_of(tag_result("app-10"), tag_result("app-2"), failed()))
    order = [text.index(name) for name in ("packit-service:prod", "app-2:prod", "app-10:prod")]
    assert order == sorted(order)


def test_several_namespaces_are_told_apart() -> None:
    report = unlisted(tags=(tag_result(), tag_result(namespace="other")))
    lines = shown(report).splitlines()
    assert "other" in lines and "packit-prod" in lines


def test_a_namespace_without_tags_has_no_table() -> None:
    assert "TAG" not in shown(report_of())


def test_the_columns_that_matter_are_shown_in_full_however_long_the_names_are() -> None:
    report = report_of(tag_result("a-very-long-name-of-a-stream-that-goes-on-and-on-and-on", "production"), held())
    text = shown(report)
    assert "b" * 12 in text and "updated" in text and "4d5e6f" in text


def test_a_name_is_never_taken_for_markup() -> None:
    assert "[bold]x" in shown(report_of(tag_result(after=replace(NEW, revision="[bold]x[/]"))))


def test_half_a_character_can_be_written() -> None:
    assert shown(report_of(tag_result(after=replace(NEW, revision="a\ud800b")))).encode()


@settings(max_examples=30)
@given(reports(names=st.text("ab-.", min_size=1, max_size=60)))
def test_no_line_is_wider_than_100_columns_or_steers_the_terminal(report: Report) -> None:
    text = shown(report)
    assert all(cell_len(line) <= 100 for line in text.splitlines())
    assert not CONTROL.search(text)


@settings(max_examples=30)
@given(TEXT)
def test_whatever_a_message_says_it_does_not_steer_the_terminal(message: str) -> None:
    text = shown(report_of(failed(message="x\x1b[2J\u202e" + message)))
    assert not CONTROL.search(text)


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in shown(report_of(tag_result()), Terminal())
    assert "\x1b[" not in shown(report_of(tag_result()))


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown(report_of(tag_result()), Terminal()))


def test_a_narrow_terminal_is_not_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(report_of(tag_result(), failed()), Terminal()))
    assert max(map(len, text.splitlines())) <= 60


@pytest.mark.parametrize(
    ("since", "told"),
    [
        (timedelta(seconds=0), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=1), "1m"),
        (timedelta(hours=23, minutes=59), "23h"),
        (timedelta(days=3, hours=23), "3d"),
        (timedelta(days=-1), "0s"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(since: timedelta, told: str) -> None:
    assert age(STARTED - since, STARTED) == told


def test_an_age_that_is_not_known_is_a_dash() -> None:
    assert age(None, datetime.now(UTC)) == "-"


def test_names_that_would_look_alike_lose_another_part() -> None:
    names = [
        f"jboss-eap-xp1-openjdk11-{middle}openshift:7.{number}-openjdk11-el8"
        for middle in ("", "runtime-")
        for number in (3, 4)
    ]
    for width in (30, 38, 50):
        cut = shorten_all(names, width)
        # At the least width there is no room for what differs.
        assert len(set(cut)) == (2 if width == 30 else len(names))
        assert all(len(each) <= width for each in cut)
        assert [each[-18:] for each in cut] == [name[-18:] for name in names]
    assert shorten_all(["same", "same"], 3) == shorten_all(["same"], 3) * 2


def test_a_column_of_remarks_that_no_row_has_is_left_out() -> None:
    assert "WHY" not in shown(report_of(tag_result()))
    assert "WHY" in shown(report_of(tag_result(), failed()))
