"""Outcome and exit status."""

from __future__ import annotations

import pytest

from job.domain.model import By, Outcome, Reason, Rollout, RolloutResult, RunError, Stage, TagName, TagResult
from job.domain.outcome import exit_status, outcome_of, overall
from tests.unit.objects import NAMESPACE, failed, skipped, unchanged, updated

LOST = failed("x", reason=Reason.ABORTED, by=None)
REFUSED = failed("x", reason=Reason.FORBIDDEN, by=By.API)


def error(stage: Stage, reason: Reason = Reason.FORBIDDEN, namespace: str = NAMESPACE) -> RunError:
    return RunError(namespace, stage, reason, "no")


LOCKED, STOPPED = error(Stage.LOCKED, Reason.CONFLICT), error(Stage.LIST, Reason.ABORTED)


@pytest.mark.parametrize(
    ("tags", "errors", "outcome", "status"),
    [
        ([updated("a"), unchanged("b"), skipped("c")], [], Outcome.SUCCESS, 0),
        ([skipped("c")], [], Outcome.SUCCESS, 0),
        ([], [], Outcome.SUCCESS, 0),
        ([updated("a"), failed("b")], [], Outcome.PARTIAL, 1),
        ([failed("b"), skipped("c")], [], Outcome.FAILURE, 1),
        ([REFUSED, REFUSED], [], Outcome.FAILURE, 3),
        ([REFUSED, updated("a")], [], Outcome.PARTIAL, 1),
        ([updated("a"), LOST], [], Outcome.ABORTED, 6),
        ([failed("a"), LOST], [], Outcome.ABORTED, 6),
        ([], [STOPPED], Outcome.ABORTED, 6),
        ([], [error(Stage.LOCK, Reason.ABORTED)], Outcome.ABORTED, 6),
        ([], [error(Stage.LIST)], Outcome.FAILURE, 3),
        ([], [error(Stage.LOCK)], Outcome.FAILURE, 3),
        ([], [LOCKED], Outcome.LOCKED, 4),
    ],
)
def test_one_namespace(tags: list[TagResult], errors: list[RunError], outcome: Outcome, status: int) -> None:
    found = outcome_of(NAMESPACE, tags, errors)
    assert found is outcome
    assert exit_status(tags, errors, 1, matched=True, outcome=overall([found])) == status


def test_nothing_matched() -> None:
    errors = [error(Stage.SELECT, Reason.NOT_FOUND)]
    outcome = outcome_of(NAMESPACE, [], errors)
    assert exit_status([], errors, 1, matched=False, outcome=outcome) == 2


@pytest.mark.parametrize(
    ("errors", "status"),
    [
        ([error(Stage.LIST, namespace="b")], 1),
        ([error(Stage.LOCKED, Reason.CONFLICT, "b")], 1),
        ([error(Stage.LIST, Reason.ABORTED, "b")], 6),
    ],
)
def test_one_namespace_of_two(errors: list[RunError], status: int) -> None:
    tags = [updated("a")]
    outcomes = [outcome_of(namespace, tags, errors) for namespace in (NAMESPACE, "b")]
    assert outcomes[0] is Outcome.SUCCESS
    assert exit_status(tags, errors, 2, matched=True, outcome=overall(outcomes)) == status


def test_all_of_two_locked() -> None:
    errors = [LOCKED, error(Stage.LOCKED, Reason.CONFLICT, "b")]
    outcome = overall([outcome_of(namespace, [], errors) for namespace in (NAMESPACE, "b")])
    assert (outcome, exit_status([], errors, 2, matched=False, outcome=outcome)) == (Outcome.LOCKED, 4)


TAG = TagName(NAMESPACE, "a", "prod")


def rollout(result: RolloutResult, tag: TagName = TAG) -> Rollout:
    return Rollout("elsewhere", "Deployment", "a", (tag,), result)


BLIND = error(Stage.ROLLOUTS)


@pytest.mark.parametrize(
    ("results", "stopped", "errors", "outcome", "status"),
    [
        (["healthy"], False, [], Outcome.SUCCESS, 0),
        (["paused"], False, [], Outcome.SUCCESS, 0),
        (["failed"], False, [], Outcome.UNHEALTHY, 5),
        (["timed_out"], False, [], Outcome.UNHEALTHY, 5),
        (["waiting"], False, [], Outcome.UNHEALTHY, 5),
        (["will_not_redeploy"], False, [], Outcome.UNHEALTHY, 5),
        # One that nobody could look at is not healthy; one whose watching was broken off is not known.
        (["aborted"], False, [], Outcome.UNHEALTHY, 5),
        (["aborted"], True, [], Outcome.ABORTED, 6),
        (["failed", "aborted"], True, [], Outcome.ABORTED, 6),
        (["failed", "healthy"], True, [], Outcome.UNHEALTHY, 5),
        (["healthy"], False, [BLIND], Outcome.PARTIAL, 1),
        (["failed"], False, [BLIND], Outcome.UNHEALTHY, 5),
        ([], False, [BLIND], Outcome.PARTIAL, 1),
        ([], False, [error(Stage.WAVES)], Outcome.FAILURE, 3),
    ],
)
def test_rollouts(results: list[str], stopped: bool, errors: list[RunError], outcome: Outcome, status: int) -> None:
    rollouts = [rollout(RolloutResult(each)) for each in results]
    tags = [] if errors and errors[0].stage == "waves" else [updated("a")]
    found = outcome_of(NAMESPACE, tags, errors, rollouts, stopped=stopped)
    assert found is outcome
    assert exit_status(tags, errors, 1, rollouts, matched=True, outcome=found) == status


def test_a_rollout_counts_where_its_tag_is() -> None:
    elsewhere = [rollout(RolloutResult.FAILED, TagName("b", "a", "prod"))]
    assert outcome_of(NAMESPACE, [updated("a")], [], elsewhere) is Outcome.SUCCESS
    assert outcome_of("b", [], [], elsewhere) is Outcome.UNHEALTHY


def test_a_bad_rollout_comes_before_a_failed_import() -> None:
    tags, rollouts = [updated("a"), failed("b")], [rollout(RolloutResult.FAILED)]
    found = outcome_of(NAMESPACE, tags, [], rollouts)
    assert (found, exit_status(tags, [], 1, rollouts, matched=True, outcome=found)) == (Outcome.UNHEALTHY, 5)
