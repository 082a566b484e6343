"""Watching the rollouts of the workloads that follow tags which moved."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence

from job.domain.model import Rollout, TagName
from job.domain.text import humanize
from job.run.context import Run
from job.workloads.followers import Moved, followed_by
from job.workloads.health import Health
from job.workloads.image_triggers import Workload
from job.workloads.rollouts import watch

log = logging.getLogger(__name__)


def watch_rollouts(
    run: Run,
    workloads: Sequence[Workload],
    moved: Mapping[TagName, Moved],
    stopping: Callable[[], bool],
    timeout: float | None = None,
) -> tuple[Rollout, ...]:
    """Watch the workloads that follow one of the tags that moved, until each has a result.

    `timeout` is in seconds; by default ROLLOUT_TIMEOUT.
    """
    settings = run.settings
    followed = followed_by(workloads, moved)
    if not followed:
        return ()
    limit = settings.rollout_timeout if timeout is None else timeout
    run.progress.begin("watching rollouts", limit)
    run.progress.show(0, len(followed), "rollouts")
    for follower in followed:
        run.progress.detail(str(follower.workload), "not checked yet")
    done = 0

    def changed(workload: Workload, health: Health) -> None:
        nonlocal done
        done += health.result is not None
        run.progress.show(done, len(followed), "rollouts")
        message = ": ".join(filter(None, (humanize(health.result) if health.result else "", health.message)))
        waiting = health.result is None
        run.progress.detail(str(workload), message if waiting else None)
        # On a terminal the progress shows what a rollout waits for; its result is worth a log line there too.
        log.log(logging.DEBUG if waiting and sys.stderr.isatty() else logging.INFO, "%s: %s", workload, message)

    return watch(
        run.cluster,
        followed,
        timeout=limit,
        stable=settings.rollout_stable,
        stopping=stopping,
        concurrency=settings.concurrency,
        changed=changed,
    )
