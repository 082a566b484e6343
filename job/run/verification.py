"""The queries of VERIFY after healthy rollouts: images that start and yet break what users need.

False makes the rollouts of the wave bad, so that ON_BAD_ROLLOUT applies to what it moved. A query without a clear
answer never counts as good: the rollouts are `unverified`, which is reported and stops later waves; nothing is rolled
back for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from job.domain.model import Blame, Rollout, RolloutResult
from job.domain.records import dataclass, replace
from job.domain.verification import CheckedQuery, Course, QueryResult, describe_samples, interval
from job.run.context import Run
from job.run.prometheus import Prometheus
from job.runtime.clock import SYSTEM, Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verified:
    """Rollouts as they are after the queries, and what became of these."""

    rollouts: tuple[Rollout, ...]
    queries: tuple[CheckedQuery, ...] = ()


def verify(run: Run, rollouts: Sequence[Rollout], wave: int, clock: Clock = SYSTEM) -> Verified:
    """Ask the queries of VERIFY until each has a result, if any of the rollouts is healthy.

    Args:
        run: the run.
        rollouts: of one wave.
        wave: its number, from 0, for the report.
        clock: measures for how long they are true.
    """
    settings = run.settings.verify
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
    return Verified(judged(rollouts, queries), queries)


_LEVELS = {
    QueryResult.PASSED: logging.INFO,
    QueryResult.FAILED: logging.ERROR,
    QueryResult.INCONCLUSIVE: logging.WARNING,
}


def _step(run: Run, prometheus: Prometheus, course: Course, wave: int, clock: Clock) -> CheckedQuery | None:
    reading = prometheus.ask(course.query)
    shown = reading.problem or describe_samples(reading)
    run.progress.detail(course.query.name, shown)
    log.debug("query %s: %s", course.query.name, shown)
    now = clock.monotonic()
    result = course.add(reading, now)
    return course.finish(result, wave, now) if result else None


def judged(rollouts: Sequence[Rollout], queries: Sequence[CheckedQuery]) -> tuple[Rollout, ...]:
    """The rollouts, where healthy ones are as the queries say: bad, unverified, or still healthy."""
    false = [query for query in queries if query.result is QueryResult.FAILED]
    unclear = [query for query in queries if query.result is QueryResult.INCONCLUSIVE]
    if not false and not unclear:
        return tuple(rollouts)
    message = "; ".join(f"query {query.query.name} {query.message}" for query in false or unclear)
    after = []
    for rollout in rollouts:
        if rollout.result is RolloutResult.HEALTHY and false:
            message_of = f"its pods are ready, but {message}"
            rollout = replace(rollout, result=RolloutResult.FAILED, message=message_of, blame=Blame.IMAGE)
        elif rollout.result is RolloutResult.HEALTHY:
            message_of = f"its pods are ready, but {message}"
            rollout = replace(rollout, result=RolloutResult.UNVERIFIED, message=message_of, blame=Blame.UNKNOWN)
        after.append(rollout)
    return tuple(after)
