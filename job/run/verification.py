"""The queries of VERIFY after healthy rollouts: images that start and yet break what users need.

False makes the rollouts of the wave bad, so that ON_BAD_ROLLOUT applies to what it moved. A query without a clear
answer never counts as good: the rollouts are `unverified`, which is reported and stops later waves; nothing is rolled
back for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from job.domain.model import (
    Blame,
    Gate,
    GateVerdict,
    OnBadRollout,
    Result,
    Rollout,
    RolloutResult,
    TagName,
    TagResult,
    Verdict,
)
from job.domain.records import dataclass, replace
from job.domain.verification import CheckedQuery, Course, QueryResult, describe_samples, interval
from job.run.context import Run
from job.run.prometheus import Prometheus
from job.runtime.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from job.run.waves import Imported
    from job.workloads.image_triggers import Workload

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verified:
    """Rollouts as they are after the queries, and what became of these."""

    rollouts: tuple[Rollout, ...]
    queries: tuple[CheckedQuery, ...] = ()


def verify(run: Run, rollouts: Sequence[Rollout], wave: int | None, clock: Clock = SYSTEM) -> Verified:
    """Ask the queries of VERIFY until each has a result, if any of the rollouts is healthy.

    Args:
        run: the run.
        rollouts: of one wave.
        wave: its number, from 0; None where an earlier run moved the tags.
        clock: measures for how long they are true.
    """
    settings = run.settings.verification
    if settings is None or not any(rollout.result is RolloutResult.HEALTHY for rollout in rollouts):
        return Verified(tuple(rollouts))
    run.progress.begin("verifying", settings.seconds)
    prometheus = Prometheus(settings, run.now)
    begun = clock.monotonic()
    courses = [Course(query, settings.seconds, begun) for query in settings.queries]
    results: dict[Course, CheckedQuery] = {}
    try:
        while len(results) < len(courses) and not run.stopping():
            for course in courses:
                if course not in results and (checked := _step(run, prometheus, course, wave, clock)):
                    results[course] = checked
                    log.log(
                        _LEVELS[checked.result], "query %s %s: %s", course.query.name, checked.result, checked.message
                    )
            run.progress.show(len(results), len(courses), "queries")
            if any(checked.result is QueryResult.FAILED for checked in results.values()):
                # One is enough, and every second counts for users.
                break
            if len(results) < len(courses):
                clock.pause(interval(settings.seconds), run.stopping)
    finally:
        prometheus.close()
    why = "another query was false" if not run.stopping() else "the run was stopped"
    for course in courses:
        if course not in results:
            results[course] = course.finish(QueryResult.INCONCLUSIVE, wave, clock.monotonic(), why)
    queries = tuple(results[course] for course in courses)
    # As a rollout that is no longer watched, what a stopped run could not verify makes it an aborted one.
    unclear = RolloutResult.ABORTED if run.stopping() else RolloutResult.UNVERIFIED
    return Verified(judged(rollouts, queries, unclear), queries)


_LEVELS = {
    QueryResult.PASSED: logging.INFO,
    QueryResult.FAILED: logging.ERROR,
    QueryResult.INCONCLUSIVE: logging.WARNING,
}


def _step(run: Run, prometheus: Prometheus, course: Course, wave: int | None, clock: Clock) -> CheckedQuery | None:
    reading = prometheus.ask(course.query)
    shown = reading.problem or describe_samples(reading)
    run.progress.detail(course.query.name, shown)
    log.debug("query %s: %s", course.query.name, shown)
    now = clock.monotonic()
    result = course.add(reading, now)
    return course.finish(result, wave, now) if result else None


def judged(
    rollouts: Sequence[Rollout], queries: Sequence[CheckedQuery], inconclusive: RolloutResult
) -> tuple[Rollout, ...]:
    """The rollouts, where healthy ones are as the queries say: bad, `inconclusive`, or still healthy."""
    false = [query for query in queries if query.result is QueryResult.FAILED]
    unclear = [query for query in queries if query.result is QueryResult.INCONCLUSIVE]
    if not false and not unclear:
        return tuple(rollouts)
    message = "; ".join(f"query {query.query.name} {query.message}" for query in false or unclear)
    result, blame = (RolloutResult.FAILED, Blame.IMAGE) if false else (inconclusive, Blame.UNKNOWN)
    return tuple(
        replace(rollout, result=result, message=f"its pods are ready, but {message}", blame=blame)
        if rollout.result is RolloutResult.HEALTHY
        else rollout
        for rollout in rollouts
    )


def verify_wave(run: Run, wave: int, imported: Imported, workloads: Sequence[Workload]) -> Imported:
    """A wave as it is after the queries: with their verdict on each image that it moved, and what was rolled back.

    Args:
        run: the run.
        wave: its number, from 0.
        imported: what became of it.
        workloads: those that may follow its tags.
    """
    moved = {name for result in imported.tags if result.result is Result.UPDATED for name in _names(result)}
    own = [rollout for rollout in imported.rollouts if not moved.isdisjoint(rollout.tags)]
    verified = verify(run, own, wave)
    if not verified.queries:
        if moved:
            log.warning("wave %d is not verified: nothing that it moved has a healthy rollout", wave + 1)
        return imported
    after = dict(zip(map(id, own), verified.rollouts, strict=True))
    rollouts = tuple(after.get(id(rollout), rollout) for rollout in imported.rollouts)
    judged_tags = {name for rollout in own if rollout.result is RolloutResult.HEALTHY for name in rollout.tags}
    tags: Sequence[TagResult] = [
        replace(result, gates=(*result.gates, verdict_of(result.after.digest, verified.queries)))
        if result.result is Result.UPDATED and result.after and not judged_tags.isdisjoint(_names(result))
        else result
        for result in imported.tags
    ]
    if run.settings.on_bad_rollout is OnBadRollout.ROLLBACK and not run.stop:
        from job.run.bad_rollouts import roll_back_bad

        changed = [new for old, new in zip(own, verified.rollouts, strict=True) if new.result is not old.result]
        tags, again = roll_back_bad(run, workloads, tags, changed)
        rollouts = (*rollouts, *again)
    return replace(imported, tags=tuple(tags), rollouts=rollouts, queries=verified.queries)


def _names(result: TagResult) -> tuple[TagName, ...]:
    """The tags that moved with a result."""
    return tuple(TagName(result.namespace, result.stream, tag) for tag in (result.tag, *result.moved_with))


def verdict_of(digest: str, queries: Sequence[CheckedQuery]) -> Verdict:
    """The verdict of VERIFY on an image, of all queries together."""
    verdicts = {
        QueryResult.FAILED: GateVerdict.HELD,
        QueryResult.INCONCLUSIVE: GateVerdict.INCONCLUSIVE,
        QueryResult.PASSED: GateVerdict.PASSED,
    }
    worst = next(result for result in verdicts if any(query.result is result for query in queries))
    message = "; ".join(f"{query.query.name}: {query.message}" for query in queries if query.result is worst)
    return Verdict(Gate.VERIFY, verdicts[worst], digest, message)
