"""A run as one message: what it says, how long it is, and that nothing in it is rendered."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.model import By, Identity, Outcome, Reason, Report, Result, TriggerKind
from job.domain.news import news_of
from job.views.message import MOST_CHARACTERS, Markup, body_of, title_of
from tests.unit.reports import FINISHED, NAMESPACE, NEW, OLD, gated, held, report_of, reports, tag_result

HOSTILE = "<!channel> <@U123> @here @room [x](https://evil.example) **b** `code` &lt; #1 https://evil.example"


def body(report: Report, markup: Markup = Markup.MARKDOWN) -> str:
    return body_of(report, news_of(report, {}), markup)


def test_what_was_imported_with_its_commits() -> None:
    text = body(report_of(tag_result("worker", before=OLD, after=NEW)))
    assert f"**Imported**\n- `{NAMESPACE}/worker:prod`: `{OLD.revision}` to `{NEW.revision}`" in text


def test_what_was_imported_with_where_to_read_it() -> None:
    new = replace(NEW, revision="5e6f7a8b", repository_url="https://github.com/packit/worker")
    text = body(report_of(tag_result("worker", before=replace(OLD, revision="1a2b3c4d"), after=new)))
    assert "`1a2b3c4d` to `5e6f7a8b` https://github.com/packit/worker/compare/1a2b3c4d...5e6f7a8b" in text


def test_what_failed_comes_first_with_the_command_that_helps() -> None:
    failed = tag_result("a", result=Result.FAILED, reason=Reason.UNAUTHORIZED, by=By.REGISTRY, message="no login")
    text = body(report_of(tag_result("b"), failed, outcome=Outcome.PARTIAL))
    assert text.index("**Failed**") < text.index("**Imported**")
    assert f"`{NAMESPACE}/a:prod`: unauthorized, by the registry: `no login`." in text
    assert f"`import-images plan a:prod -n {NAMESPACE}`" in text


def test_what_is_held_and_when_the_next_run_is() -> None:
    text = body(report_of(held(), next_run=FINISHED + timedelta(days=1)), Markup.PLAIN)
    assert "Held\n- " in text
    assert "by jane: crashes" in text
    assert "Next run\n- Wed" in text


def test_what_is_well_again() -> None:
    failed = report_of(tag_result("a", result=Result.FAILED, reason=Reason.TIMEOUT), outcome=Outcome.FAILURE)
    known = news_of(failed, {}).problems
    well = report_of(tag_result("a", result=Result.UNCHANGED))
    assert f"**Resolved**\n- `{NAMESPACE}/a:prod`" in body_of(well, news_of(well, known), Markup.MARKDOWN)


def test_the_title_counts() -> None:
    report = report_of(
        tag_result("a"),
        tag_result("b"),
        tag_result("c", result=Result.FAILED, reason=Reason.TIMEOUT),
        outcome=Outcome.PARTIAL,
        deployment="prod",
    )
    assert title_of(report) == f"import-images prod in {NAMESPACE}: 2 updated, 1 failed"


@pytest.mark.parametrize("markup", list(Markup))
def test_a_text_from_outside_is_never_rendered(markup: Markup) -> None:
    failed = tag_result("a", result=Result.FAILED, reason=Reason.REGISTRY_ERROR, by=By.REGISTRY, message=HOSTILE)
    text = body(report_of(failed, outcome=Outcome.FAILURE), markup)
    assert not re.search(r"[<>&]|(?<![\w.])@\w|://", text)
    if markup is Markup.MARKDOWN:
        # Inside a code span Markdown renders nothing, and no text can end its own span.
        outside = re.sub(r"`[^`\n]*`", "", text)
        assert "`" not in outside
        assert not re.search(r"[\[\]()#]", outside.replace("(at)", ""))


@given(reports(), st.sampled_from(Markup))
def test_it_is_never_too_long(report: Report, markup: Markup) -> None:
    assert len(body(report, markup)) <= MOST_CHARACTERS
    assert "\n" not in title_of(report)


def test_what_is_left_out_is_counted() -> None:
    tags = [tag_result(f"app-{number}", before=OLD, after=NEW) for number in range(500)]
    text = body(report_of(*tags))
    shown = text.count("- `")
    left = re.search(r"and (\d+) more", text)
    assert left
    assert shown + int(left[1]) == 500
    assert MOST_CHARACTERS - 300 < len(text) <= MOST_CHARACTERS


@pytest.mark.parametrize("trigger", list(TriggerKind))
def test_who_started_it_where(trigger: TriggerKind) -> None:
    report = report_of(tag_result(), trigger=trigger, identity=Identity("https://api.example.com:6443", None, "jane"))
    first = body(report, Markup.PLAIN).splitlines()[0]
    assert " on api.example.com:6443" in first
    assert (" by jane" in first) == (trigger is TriggerKind.LOCAL)


def test_what_gates_hold_back() -> None:
    text = body(report_of(gated("web", message="waits for 1d 4h in packit-stg/web:stg")), Markup.PLAIN)
    assert "Gated\n- packit-prod/web:prod: 4d5e6f, min age: waits for 1d 4h in packit-stg/web:stg" in text
