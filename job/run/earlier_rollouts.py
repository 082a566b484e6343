"""Rollouts that an earlier run left bad, checked again by a run that imported nothing new for them.

Else a second run would report success while the workload still does not run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from job.domain.model import BadRollout, Rollout, RolloutResult, TagName, TagResult
from job.domain.records import dataclass, replace
from job.domain.selection import aliases_of
from job.imagestreams.listing import Chosen
from job.journal.records import Journal
from job.run.context import Run
from job.run.rollout_watch import watch_rollouts
from job.workloads.discovery import Survey
from job.workloads.followers import Moved
from job.workloads.image_triggers import Workload

log = logging.getLogger(__name__)

# These rollouts had their ROLLOUT_TIMEOUT in the run that started them.
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What became of rollouts that were bad: their results, and the workloads (namespace, kind, name) that are gone."""

    rollouts: tuple[Rollout, ...] = ()
    gone: tuple[tuple[str, str, str], ...] = ()


def recheck(
    run: Run,
    journals: Mapping[str, Journal],
    chosen: Sequence[Chosen],
    results: Sequence[TagResult],
    rollouts: Sequence[Rollout],
    survey: Survey,
) -> Rechecked:
    """Check the workloads again that the journals have as bad and whose tags this run took and did not move.

    Args:
        run: the run.
        journals: by namespace, what they held before the run.
        chosen: the streams with the run's tags.
        results: of the run's tags.
        rollouts: those that the run has watched already.
        survey: the workloads that exist.
    """
    now = _digests(chosen, results)
    watched = {(rollout.namespace, rollout.kind, rollout.name) for rollout in rollouts}
    existing = {
        (candidate.namespace, candidate.resource.kind, candidate.name): candidate for candidate in survey.workloads
    }
    moved: dict[TagName, Moved] = {}
    again: list[Workload] = []
    gone: list[tuple[str, str, str]] = []
    unread: list[Rollout] = []
    for namespace, journal in journals.items():
        for bad in journal.bad_rollouts:
            tags = _still_there(bad, namespace, now)
            if not tags or bad.key in watched:
                continue
            if workload := existing.get(bad.key):
                again.append(workload)
                moved |= {name: Moved(digest) for name, digest in tags.items()}
            elif bad.namespace in run.namespaces:
                # Where it could not be read, the run has an error that says so.
                if bad.namespace not in {error.namespace for error in survey.errors}:
                    gone.append(bad.key)
            elif survey.others_known and bad.namespace not in survey.left_out:
                gone.append(bad.key)
            else:
                message = f"it was bad, and the workloads in {bad.namespace} could not be listed to check it again"
                unread.append(Rollout(*bad.key, tuple(tags), RolloutResult.ABORTED, message))
    if not again:
        return Rechecked(tuple(unread), tuple(gone))
    log.info("checking %d rollouts again that were bad in an earlier run", len(again))
    watched_again = watch_rollouts(run, again, moved, run.stopping, min(TIMEOUT_SECONDS, run.settings.rollout_timeout))
    # A workload that was deleted meanwhile, or follows the tag no longer, has no result.
    keys = {(rollout.namespace, rollout.kind, rollout.name) for rollout in watched_again}
    lost = [key for key in ((w.namespace, w.resource.kind, w.name) for w in again) if key not in keys]
    return Rechecked((*watched_again, *unread), (*gone, *lost))


def _digests(chosen: Sequence[Chosen], results: Sequence[TagResult]) -> dict[TagName, str]:
    """The images of the run's tags after it, and of the tags that follow them, which have no results of their own."""
    now = {tag.name: tag.after.digest for tag in results if tag.after}
    for stream, choices in chosen:
        for choice in choices:
            name = TagName(stream.namespace, stream.name, choice.tag.name)
            if digest := now.get(name):
                now |= {replace(name, tag=alias): digest for alias in aliases_of(stream, choice.tag.name)}
    return now


def _still_there(bad: BadRollout, namespace: str, now: Mapping[TagName, str]) -> dict[TagName, str]:
    """The tags of this run that still have the image whose rollout was bad, with its digest."""
    names = {TagName(namespace, stream, tag): digest for (stream, tag), digest in bad.digests.items()}
    return {name: now[name] for name, digest in names.items() if name in now and digest in ("", now[name])}
