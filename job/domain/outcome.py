"""From the results of tags to the outcome and exit status of a run."""

from __future__ import annotations

from collections.abc import Sequence

from job.domain.exit_status import ExitStatus
from job.domain.model import By, Outcome, Reason, Result, Rollout, RolloutResult, RunError, Stage, TagResult


def outcome_of(
    namespace: str,
    tags: Sequence[TagResult],
    errors: Sequence[RunError],
    rollouts: Sequence[Rollout] = (),
    *,
    stopped: bool = False,
) -> Outcome:
    """What became of the run in one namespace. The rollouts of its tags count, wherever the workloads are.

    `stopped` says whether the run was; a rollout that could not be watched for another reason is not healthy.
    """
    own_rollouts = [rollout for rollout in rollouts if any(name.namespace == namespace for name in rollout.tags)]
    blind = any(error.namespace == namespace and error.stage == Stage.ROLLOUTS for error in errors)
    problems = [error for error in errors if error.namespace == namespace and error.stage != Stage.ROLLOUTS]
    taken = [tag for tag in tags if tag.namespace == namespace and tag.result is not Result.SKIPPED]
    failed = [tag for tag in taken if tag.result is Result.FAILED]
    if Reason.ABORTED in {*(problem.reason for problem in problems), *(tag.reason for tag in failed)}:
        return Outcome.ABORTED
    if stopped and any(rollout.result is RolloutResult.ABORTED for rollout in own_rollouts):
        return Outcome.ABORTED
    if any(rollout.is_bad for rollout in own_rollouts):
        return Outcome.UNHEALTHY
    if any(problem.stage == Stage.LOCKED for problem in problems):
        return Outcome.LOCKED
    if problems or (failed and len(failed) == len(taken)):
        return Outcome.FAILURE
    return Outcome.PARTIAL if failed or blind else Outcome.SUCCESS


def overall(outcomes: Sequence[Outcome]) -> Outcome:
    """What became of the run over all its namespaces."""
    # A namespace that a freeze spares says nothing of the others.
    seen: set[Outcome] = {outcome for outcome in outcomes if outcome is not Outcome.FROZEN} or set(outcomes)
    for worst in (Outcome.ABORTED, Outcome.UNHEALTHY):
        if worst in seen:
            return worst
    return seen.pop() if len(seen) == 1 else Outcome.PARTIAL


def exit_status(
    tags: Sequence[TagResult],
    errors: Sequence[RunError],
    namespaces: int,
    rollouts: Sequence[Rollout] = (),
    *,
    matched: bool,
    outcome: Outcome,
) -> int:
    """The exit status of a run or a plan.

    Args:
        tags: the results.
        errors: of whole namespaces.
        namespaces: how many there are.
        rollouts: of what follows the tags.
        matched: whether any tag was asked for.
        outcome: of the whole run.
    """
    taken = [tag for tag in tags if tag.result is not Result.SKIPPED]
    unread = [error for error in errors if error.stage not in (Stage.SELECT, Stage.ROLLOUTS)]
    if outcome is Outcome.ABORTED:
        return ExitStatus.ABORTED
    if outcome is Outcome.LOCKED:
        return ExitStatus.LOCKED
    if len({error.namespace for error in unread}) == namespaces:
        return ExitStatus.CLUSTER_UNUSABLE
    if not matched and not unread:
        return ExitStatus.USAGE
    # A rollout shows that something was imported, so that "nothing was changed" would be wrong.
    if taken and not rollouts and all(_shows_unusable_cluster(tag) for tag in taken):
        return ExitStatus.CLUSTER_UNUSABLE
    if any(rollout.is_bad for rollout in rollouts):
        return ExitStatus.UNHEALTHY
    if any(error.stage == Stage.ROLLOUTS for error in errors):
        return ExitStatus.ATTENTION
    if unread or any(tag.result is Result.FAILED for tag in taken):
        return ExitStatus.ATTENTION
    return ExitStatus.SUCCESS


def _shows_unusable_cluster(tag: TagResult) -> bool:
    refused = tag.result is Result.FAILED and tag.by is By.API
    return refused and isinstance(tag.reason, Reason) and tag.reason.cluster_unusable
