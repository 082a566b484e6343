"""What is new about a run, compared with what was already reported to people.

A problem is reported when it begins and when it has ended, and never in between: an hourly run that keeps failing is
one message, not twenty-four a day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from job.domain.model import Command, NotifyOn, Outcome, Report, Result, Rollout, RolloutResult, Stage, TagResult
from job.domain.records import dataclass

# For one namespace: a journal is small, and more would not be read.
MOST_PROBLEMS = 500

# Stream and tag.
TagKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class News:
    """What a message says first.

    Attributes:
        begun: problems that were not reported before, by namespace.
        ended: problems that were reported and are over, by namespace.
        changed: whether an image was imported, or rolled back, or a hold was set or released.
        problems: all problems that are known now, by namespace: what the next run compares with.
    """

    begun: Mapping[str, frozenset[str]]
    ended: Mapping[str, frozenset[str]]
    changed: bool
    problems: Mapping[str, frozenset[str]]

    def is_wanted(self, notify_on: NotifyOn, outcome: Outcome) -> bool:
        """Whether it is worth a message."""
        if outcome in (Outcome.FROZEN, Outcome.LOCKED):
            return False
        problem = any(self.begun.values()) or any(self.ended.values())
        match notify_on:
            case NotifyOn.ALWAYS:
                return True
            case NotifyOn.CHANGE:
                return problem or self.changed
            case NotifyOn.PROBLEM:
                return problem


def news_of(
    report: Report,
    known: Mapping[str, frozenset[str]],
    is_gone: Callable[[str, TagKey], bool] = lambda namespace, key: False,
) -> News:
    """Compare a report with the problems that were reported before.

    Args:
        report: of the run.
        known: by namespace, the problems that people know of; a namespace whose journal could not be read is missing,
            and counts as without any.
        is_gone: whether a tag of a namespace of which the run has no result does not exist any more.
    """
    begun, ended, problems = {}, {}, {}
    for namespace in report.namespaces:
        before = known.get(namespace, frozenset())
        bad, well = _bad(report, namespace), _well(report, namespace)
        well |= {problem for problem in before - bad - well if (key := _tag_of(problem)) and is_gone(namespace, key)}
        # What the run itself has repaired, by a rollback, is news but no problem any more.
        lasting = bad - _healthy_in_the_end(report)
        # A full list lacks those that come after its last, in the order in which it was cut.
        last = max(before) if len(before) >= MOST_PROBLEMS else None
        begun[namespace] = frozenset(problem for problem in bad - before if last is None or problem < last)
        ended[namespace] = (before & well) - lasting
        problems[namespace] = frozenset(sorted((before - well) | lasting)[:MOST_PROBLEMS])
    return News(begun, ended, _is_change(report), problems)


def _is_change(report: Report) -> bool:
    moved = any(tag.result in (Result.UPDATED, Result.ROLLED_BACK) for tag in report.tags)
    return moved or report.command in (Command.ROLLBACK, Command.RESUME)


def _bad(report: Report, namespace: str) -> frozenset[str]:
    tags = {tag_key(tag) for tag in report.tags if tag.namespace == namespace and tag.result is Result.FAILED}
    rollouts = {rollout_key(rollout) for rollout in report.rollouts if rollout.is_bad and concerns(rollout, namespace)}
    # That another run is at work there is no problem.
    stages = {error.stage for error in report.errors if error.namespace == namespace} - {Stage.LOCKED}
    return frozenset(tags | rollouts | {f"namespace {stage}" for stage in stages})


def _healthy_in_the_end(report: Report) -> frozenset[str]:
    """The rollouts that are healthy after the run, whatever they were before it rolled back."""
    last = {rollout_key(rollout): rollout for rollout in report.rollouts}
    return frozenset(key for key, rollout in last.items() if rollout.result is RolloutResult.HEALTHY)


def _well(report: Report, namespace: str) -> frozenset[str]:
    """The tags and rollouts that the run found healthy."""
    tags = {tag_key(tag) for tag in report.tags if tag.namespace == namespace and tag.result is not Result.FAILED}
    rollouts = {
        rollout_key(rollout)
        for rollout in report.rollouts
        if rollout.result is RolloutResult.HEALTHY and concerns(rollout, namespace)
    }
    listed = report.outcomes.get(namespace) not in (Outcome.FROZEN, Outcome.LOCKED, Outcome.ABORTED, None)
    errors = {f"namespace {error.stage}" for error in report.errors if error.namespace == namespace}
    stages = {f"namespace {stage}" for stage in Stage} if listed else set()
    gone = {f"rollout {'/'.join(workload)}" for workload in report.gone_workloads}
    return frozenset(tags | rollouts | gone | (stages - errors))


def concerns(rollout: Rollout, namespace: str) -> bool:
    """Whether the workload follows a tag of the namespace; it may itself be in another one."""
    return any(name.namespace == namespace for name in rollout.tags)


def tag_key(tag: TagResult) -> str:
    """The name of a tag as a problem."""
    return f"tag {tag.stream}:{tag.tag}"


def _tag_of(problem: str) -> TagKey | None:
    """The tag of a problem that `tag_key` named."""
    kind, _, name = problem.partition(" ")
    stream, _, tag = name.partition(":")
    return (stream, tag) if kind == "tag" else None


def rollout_key(rollout: Rollout) -> str:
    """The name of a rollout as a problem."""
    return f"rollout {rollout.namespace}/{rollout.kind}/{rollout.name}"
