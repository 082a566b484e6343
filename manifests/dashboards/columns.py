"""What several panels share: columns, colours and thresholds."""

from __future__ import annotations

from collections.abc import Mapping

from job.domain.model import Outcome, Result, RolloutResult
from manifests.dashboards.expressions import (
    SEVERITIES,
    WORKLOAD,
    over,
    selected,
)
from manifests.dashboards.model import (
    Colour,
    Word,
)

DAY = 86400
OUTCOME_COLOURS = {
    Outcome.SUCCESS: Colour.GOOD,
    Outcome.FROZEN: Colour.NOTICE,
    Outcome.LOCKED: Colour.NOTICE,
    Outcome.PARTIAL: Colour.WARNING,
    Outcome.ABORTED: Colour.WARNING,
    Outcome.UNHEALTHY: Colour.BAD,
    Outcome.FAILURE: Colour.BAD,
}
OUTCOMES = {number: Word(outcome, OUTCOME_COLOURS[outcome]) for outcome, number in SEVERITIES.items()}
RESULTS: Mapping[str, Colour] = {
    Result.UPDATED: Colour.GOOD,
    Result.UNCHANGED: Colour.NOTICE,
    Result.SKIPPED: Colour.PLAIN,
    Result.FAILED: Colour.BAD,
    Result.ROLLED_BACK: Colour.WARNING,
}
HEALTHY = {1: Word("yes", Colour.GOOD), 0: Word("no", Colour.BAD)}
ROLLOUTS: Mapping[str, Colour] = {
    RolloutResult.HEALTHY: Colour.GOOD,
    RolloutResult.PAUSED: Colour.PLAIN,
    RolloutResult.UNVERIFIED: Colour.WARNING,
    RolloutResult.WAITING: Colour.WARNING,
    RolloutResult.ABORTED: Colour.WARNING,
    RolloutResult.WILL_NOT_REDEPLOY: Colour.WARNING,
    RolloutResult.FAILED: Colour.BAD,
    RolloutResult.TIMED_OUT: Colour.BAD,
}
# As the alerts judge: a second failure, 15 days without success, a hold of 14 days, fewer than two images.
FAILED_RUNS = ((0, Colour.PLAIN), (1, Colour.WARNING), (2, Colour.BAD))
STALE = ((0, Colour.PLAIN), (7 * DAY, Colour.WARNING), (15 * DAY, Colour.BAD))
HELD = ((0, Colour.PLAIN), (14 * DAY, Colour.WARNING))
TARGETS = ((0, Colour.BAD), (1, Colour.WARNING), (2, Colour.PLAIN))
NONE_IS_GOOD = ((0, Colour.GOOD), (1, Colour.BAD))
GROUP_COLUMNS = (("stream_namespace", "Namespace"), ("deployment", "Deployment"))
COMMAND = ("command", "Command")
REASON = ("result", "Why")
WHY = ("why", "Why")
TAG_COLUMNS = (*GROUP_COLUMNS, ("stream", "Stream"), ("tag", "Tag"))
NAMED = "{{stream_namespace}} {{deployment}}"
BAD = f"({over('min', WORKLOAD, selected('rollout_healthy'))} == 0)"
