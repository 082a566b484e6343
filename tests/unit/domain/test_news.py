"""When a run is news, and never twice."""

from __future__ import annotations

import pytest

from job.domain.model import (
    Command,
    NotifyOn,
    Outcome,
    Reason,
    Report,
    Result,
    Rollout,
    RolloutResult,
    RunError,
    Stage,
    TagName,
)
from job.domain.news import News, news_of
from tests.unit.reports import NAMESPACE, report_of, tag_result

FAILED = tag_result("worker", result=Result.FAILED, reason=Reason.NOT_FOUND)
WELL = tag_result("worker", result=Result.UNCHANGED)
WORKER = TagName(NAMESPACE, "worker", "prod")


def rollout(result: RolloutResult) -> Rollout:
    return Rollout("apps", "Deployment", "worker", (WORKER,), result)


def after(*reports: Report) -> News:
    """The news of the last of several runs, each of which was reported if it was news."""
    known: dict[str, frozenset[str]] = {}
    for report in reports:
        news = news_of(report, known)
        if news.is_wanted(NotifyOn.CHANGE, report.outcome):
            known = dict(news.problems)
    return news


def wanted(*reports: Report, on: NotifyOn = NotifyOn.CHANGE) -> bool:
    return after(*reports).is_wanted(on, reports[-1].outcome)


FAILURE = report_of(FAILED, outcome=Outcome.FAILURE)
SUCCESS = report_of(WELL)
UPDATE = report_of(tag_result("worker", result=Result.UPDATED))
UNHEALTHY = report_of(
    WELL, outcome=Outcome.UNHEALTHY, rollouts=(rollout(RolloutResult.FAILED),), outcomes={NAMESPACE: Outcome.UNHEALTHY}
)
HEALTHY = report_of(WELL, rollouts=(rollout(RolloutResult.HEALTHY),))
UNLISTED = report_of(
    outcome=Outcome.FAILURE,
    outcomes={NAMESPACE: Outcome.FAILURE},
    errors=(RunError(NAMESPACE, Stage.LIST, Reason.FORBIDDEN, "no"),),
)


@pytest.mark.parametrize(
    ("runs", "is_news"),
    [
        ([SUCCESS], False),
        ([UPDATE], True),
        ([UPDATE, UPDATE], True),
        ([FAILURE], True),
        ([FAILURE, FAILURE], False),
        ([FAILURE, SUCCESS], True),
        ([FAILURE, SUCCESS, SUCCESS], False),
        ([FAILURE, SUCCESS, FAILURE], True),
        ([UNHEALTHY], True),
        ([UNHEALTHY, UNHEALTHY], False),
        # A run that did not look at the workload says nothing about it.
        ([UNHEALTHY, SUCCESS], False),
        ([UNHEALTHY, SUCCESS, HEALTHY], True),
        ([UNLISTED], True),
        ([UNLISTED, UNLISTED], False),
        ([UNLISTED, SUCCESS], True),
        # A namespace that cannot be listed says nothing about its tags.
        ([FAILURE, UNLISTED, FAILURE], True),
        ([report_of(outcome=Outcome.FROZEN, outcomes={NAMESPACE: Outcome.FROZEN})], False),
        ([report_of(outcome=Outcome.LOCKED, outcomes={NAMESPACE: Outcome.LOCKED})], False),
    ],
)
def test_change(runs: list[Report], is_news: bool) -> None:
    assert wanted(*runs) == is_news


def test_more_problems_than_are_remembered_are_reported_once() -> None:
    tags = [tag_result(f"s{number:04}", result=Result.FAILED, reason=Reason.TIMEOUT) for number in range(600)]
    many = report_of(*tags, outcome=Outcome.FAILURE)
    assert wanted(many)
    assert not wanted(many, many)
    # One that is known is over.
    fewer = report_of(tag_result("s0000", result=Result.UNCHANGED), *tags[1:], outcome=Outcome.PARTIAL)
    assert wanted(many, fewer)
    assert not wanted(many, fewer, fewer)


def test_by_hand_it_is_always_news() -> None:
    assert wanted(report_of(WELL, command=Command.RESUME))


def test_problem_leaves_good_news_out() -> None:
    assert not wanted(UPDATE, on=NotifyOn.PROBLEM)
    assert wanted(FAILURE, on=NotifyOn.PROBLEM)
    assert wanted(FAILURE, SUCCESS, on=NotifyOn.PROBLEM)


def test_always_takes_every_run_that_ran() -> None:
    assert wanted(SUCCESS, on=NotifyOn.ALWAYS)
    frozen = report_of(outcome=Outcome.FROZEN, outcomes={NAMESPACE: Outcome.FROZEN})
    assert not wanted(frozen, on=NotifyOn.ALWAYS)


def test_a_narrowed_run_leaves_other_problems_alone() -> None:
    other = tag_result("other", result=Result.FAILED, reason=Reason.TIMEOUT)
    news = after(report_of(FAILED, other, outcome=Outcome.FAILURE), report_of(WELL))
    assert news.ended[NAMESPACE] == {"tag worker:prod"}
    assert news.problems[NAMESPACE] == {"tag other:prod"}
