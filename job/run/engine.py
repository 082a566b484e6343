"""One run or plan, from settings to report: list, choose, import, watch, and what became of it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from job.domain.model import Command, Report, RunError, Skip, Stage
from job.domain.outcome import exit_status, outcome_of, overall
from job.domain.selection import Choice
from job.domain.times import iso
from job.imagestreams.listing import Chosen, Listing, list_chosen, stopped
from job.journal.records import start_run
from job.run.context import Context, Progress, Run, namespaces_of, report_of, scope_of
from job.run.expired_holds import release
from job.run.origin import find_trigger
from job.run.rollback_targets import count_targets
from job.run.waves import Rounds, unreadable_waves, waves_of
from job.runtime.pool import gather
from job.workloads.discovery import Survey

log = logging.getLogger(__name__)

T = TypeVar("T")


def start(
    context: Context,
    *,
    command: Command,
    dry_run: bool = False,
    environment: Mapping[str, str],
    progress: Progress = lambda done, total, what: None,
) -> Run:
    """Find out where to work and, for a run, what started it.

    Raises:
        UsageError: there is no namespace to work in.
        ClusterError: the namespaces with NAMESPACE_SELECTOR's labels cannot be listed.
    """
    settings, cluster = context.settings, context.cluster
    # The deadline counts from here.
    run = Run(settings, cluster, context.counts, context.stop, (), command, dry_run=dry_run, progress=progress)
    run.namespaces = run.patient(lambda: namespaces_of(context))
    if command is Command.RUN:
        run.trigger = find_trigger(cluster, environment, run.patient, settings.time_zone)
    return run


def perform(run: Run, refused: Sequence[RunError] = ()) -> Report:
    """List, choose and import (for a plan: look up) in every namespace but those that were refused."""
    lost = {error.namespace for error in refused}
    listings = _list(run, [namespace for namespace in run.namespaces if namespace not in lost])
    errors = [*refused, *(listing.error for listing in listings if listing.error)]
    chosen = [pair for listing in listings for pair in listing.chosen]
    matched = any(listing.matched for listing in listings)
    _tell_of_killed_runs(run, chosen, {listing.namespace for listing in listings if not listing.error})
    for told in unreadable_waves(chosen):
        log.warning("%s", told)
    found = _look_around(run, chosen)
    if found:
        errors += found.errors
    may_import = chosen and not any(error.stage == Stage.WAVES for error in errors)
    rounds = Rounds(run, found.workloads if found else None)
    released = release(run, chosen) if may_import else None
    tags = rounds.take(released.chosen, released.notes) if released else []
    if run.settings.check_horizon and not run.dry_run and tags:
        tags = count_targets(run, tags)
    nothing = [listing.nothing_matched for listing in listings if listing.nothing_matched]
    if not matched and not errors:
        errors = nothing
    else:
        for error in nothing:
            log.warning("%s", error.message)
    rollouts = rounds.rollouts
    was_stopped = run.stopping()
    outcomes = {
        namespace: outcome_of(namespace, tags, errors, rollouts, stopped=was_stopped) for namespace in run.namespaces
    }
    status = exit_status(
        tags, errors, len(run.namespaces), rollouts, matched=matched, outcome=overall(list(outcomes.values()))
    )
    return report_of(run, tags, errors, outcomes, status, rollouts)


def _list(run: Run, namespaces: Sequence[str]) -> list[Listing]:
    """The listing of each namespace; of one that had not ended when the run was stopped, just that."""
    settings = run.settings
    calls = {
        namespace: functools.partial(
            list_chosen,
            run.cluster,
            namespace,
            settings.wanted,
            settings.selector,
            retrier=run.retrier,
            retried=run.counts.retried,
        )
        for namespace in namespaces
    }
    answers = gather(calls, settings.concurrency, run.stopping)
    found = {name: answer for name, answer in answers.items() if isinstance(answer, Listing)}
    return [found.get(namespace) or stopped(namespace) for namespace in namespaces]


def _look_around(run: Run, chosen: Sequence[Chosen]) -> Survey | None:
    """The workloads that may follow the tags, where their rollouts are to be watched; waves imply that."""
    if run.dry_run or not chosen:
        return None
    # A hold may be let go, and the tag then comes with its wave.
    maybe = [(s, tuple(Choice(c.tag, None if c.skip is Skip.HELD else c.skip) for c in each)) for s, each in chosen]
    waves = len(waves_of(maybe)) > 1
    if not (waves or run.settings.watch_rollouts):
        return None
    found = run.survey(run.namespaces)
    if not waves:
        return found
    why = "nothing is imported: there are waves, and whether one is all right cannot be seen: "
    errors = [RunError(e.namespace, Stage.WAVES, e.reason, why + e.message) for e in found.errors]
    if errors:
        # The waves go through all namespaces.
        others = [each for each in run.namespaces if each not in {error.namespace for error in errors}]
        errors += [replace(errors[0], namespace=each) for each in others]
    return Survey(found.workloads, tuple(errors), found.left_out)


def _tell_of_killed_runs(run: Run, chosen: Sequence[Chosen], listed: Collection[str]) -> None:
    """A run that never ended left no report; what it imported is in the streams."""
    for namespace, journal in run.journals.items():
        for killed in start_run(journal, run.records[namespace], scope_of(run.settings.wanted))[1]:
            since = killed.started_at
            moved = [
                f"{stream.name}:{choice.tag.name}"
                for stream, choices in chosen
                if stream.namespace == namespace
                for choice in choices
                if since and choice.tag.current and (when := choice.tag.current.imported_at) and when >= since
            ]
            told = ", ".join(moved[:20]) + (f" and {len(moved) - 20} more" if len(moved) > 20 else "")
            log.warning(
                "run %s, begun at %s in %s, never ended and counts as aborted; of this run's tags, new since then: %s",
                killed.id,
                iso(since),
                namespace,
                told or ("nothing" if namespace in listed else "not known"),
            )
