"""One run or plan, from settings to report: list and choose, release holds, import wave by wave, sum up."""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from job.domain.gates import is_gated
from job.domain.holds import ANNOTATION
from job.domain.model import Command, Outcome, Report, RunError, Skip, Stage, TagName, TagResult
from job.domain.outcome import exit_status, outcome_of, overall
from job.domain.records import dataclass, replace
from job.domain.selection import Choice
from job.domain.times import iso
from job.imagestreams.listing import Chosen, Listing, list_chosen, narrowed, stopped
from job.journal.records import start_run
from job.run.admission import Admission
from job.run.context import IDENTITY_SECONDS, Context, Run, namespaces_of, report_of, scope_of
from job.run.matching import require_matches
from job.run.origin import find_trigger
from job.run.waves import Imported, import_waves, unreadable_waves, waves_of
from job.runtime.pool import gather
from job.runtime.progress import SILENT, Progress

if TYPE_CHECKING:
    from job.workloads.discovery import Survey

log = logging.getLogger(__name__)


def start(
    context: Context,
    *,
    command: Command,
    dry_run: bool = False,
    environment: Mapping[str, str],
    progress: Progress = SILENT,
    startup: float = 0.0,
) -> Run:
    """The run that a command does: where it works and, for `run`, what started it.

    It began `startup` seconds ago, which the process took to get here.

    Raises:
        UsageError: there is no namespace to work in, or an argument matches nothing there.
        ClusterError: the namespaces with NAMESPACE_SELECTOR's labels cannot be listed.
    """
    settings, cluster = context.settings, context.cluster
    # The deadline counts from here.
    run = Run(
        settings,
        cluster,
        context.counts,
        context.stop,
        (),
        command,
        dry_run=dry_run,
        progress=progress,
        identify=context.identify,
        started=datetime.now(UTC) - timedelta(seconds=startup),
        begun=time.monotonic() - startup,
        startup=startup,
    )
    run = replace(run, namespaces=run.patient(lambda: namespaces_of(context)))
    if command is Command.RUN:
        run = replace(run, trigger=find_trigger(cluster, environment, run.patient, settings.time_zone))
    require_matches(run)
    return run


def perform(run: Run, admission: Admission = Admission()) -> Report:  # noqa: B008 - it is immutable
    """List, choose and import (for a plan: query the registries) in every namespace where the run may go ahead."""
    selection = _select(run, admission)
    for name in selection.listed & run.unread_rules.keys():
        # Where the streams cannot be listed either, the error says so.
        log.warning("%s; what they block is shown as if it were not", run.unread_rules[name])
    missing: Sequence[TagResult] = ()
    if (planned := run.planned) is not None:
        from job.run.plan_file import gone

        missing = gone(planned, selection.chosen, run.settings.wanted, selection.listed)
        selection = replace(selection, chosen=tuple(narrowed(selection.chosen, lambda name, choice: name in planned)))
    _warn_of_killed_runs(run, admission, selection)
    _announce(run, selection)
    for warning in unreadable_waves(selection.chosen):
        log.warning("%s", warning)
    survey = _survey(run, selection.chosen)
    errors = (*selection.errors, *survey.errors) if survey else selection.errors
    imported = _import(run, admission, selection.chosen, survey) if _may_import(selection, errors) else Imported()
    imported = replace(imported, tags=(*imported.tags, *missing))
    if survey is None:
        return _sum_up(run, admission.frozen, selection, errors, imported)
    from job.run.earlier_rollouts import recheck

    rechecked = recheck(run, admission.journals, selection.chosen, imported.tags, imported.rollouts, survey)
    again, queries = rechecked.rollouts, imported.queries
    if again and run.settings.verification is not None:
        from job.run.verification import verify

        # What was bad by a query is good again only by that query.
        verified = verify(run, again, None)
        again, queries = verified.rollouts, (*queries, *verified.queries)
    imported = replace(imported, rollouts=(*imported.rollouts, *again), queries=queries)
    return _sum_up(run, admission.frozen, selection, errors, imported, rechecked.gone)


@dataclass(frozen=True, slots=True)
class _Selection:
    """What a run found in its namespaces.

    Attributes:
        chosen: the streams with the tags chosen in them.
        matched: whether any tag was asked for, also where it is in another shard.
        listed: the namespaces that were listed completely.
        errors: of namespaces that were refused or could not be listed.
        unmatched: an error for each namespace where nothing matches.
    """

    chosen: tuple[Chosen, ...]
    matched: bool
    listed: frozenset[str]
    errors: tuple[RunError, ...]
    unmatched: tuple[RunError, ...]


def _select(run: Run, admission: Admission) -> _Selection:
    spared = {*admission.frozen, *(error.namespace for error in admission.refused)}
    listings = _list(run, [namespace for namespace in run.namespaces if namespace not in spared])
    return _Selection(
        chosen=tuple(pair for listing in listings for pair in listing.chosen),
        matched=any(listing.matched for listing in listings),
        listed=frozenset(listing.namespace for listing in listings if not listing.error),
        errors=(*admission.refused, *(listing.error for listing in listings if listing.error)),
        unmatched=tuple(listing.nothing_matched for listing in listings if listing.nothing_matched),
    )


def _announce(run: Run, selection: _Selection) -> None:
    """Log what a run that nothing narrows is about to import, for the person who started it at a terminal."""
    if run.command is not Command.RUN or run.settings.narrowed or not sys.stderr.isatty():
        return
    count = sum(choice.skip is None for _, choices in selection.chosen for choice in choices)
    if not count:
        return
    names = run.namespaces
    where = ", ".join(names[:3]) + (f" and {len(names) - 3} more namespaces" if len(names) > 3 else "")
    which = f"tag{'' if count == 1 else 's'} {run.settings.wanted.deployment or ''}".strip()
    log.info("importing %d %s of %s on %s", count, which, where, run.identify(IDENTITY_SECONDS))


def _may_import(selection: _Selection, errors: Sequence[RunError]) -> bool:
    return bool(selection.chosen) and not any(error.stage == Stage.WAVES for error in errors)


def _import(run: Run, admission: Admission, chosen: Sequence[Chosen], survey: Survey | None) -> Imported:
    """Release the holds that have ended, import wave by wave, and count what a rollback could go back to."""
    notes: Mapping[TagName, str] = {}
    guard = None
    if run.planned is not None or is_gated(run.settings.gates, chosen):
        from job.run.gates import guard_of

        guard = guard_of(run, chosen, admission.journals, survey)
        if guard and not run.dry_run and any(policy.rehearse for policy in guard.policies.values()):
            from job.run.rehearsals import tidy

            tidy(guard)
    if any(ANNOTATION in choice.tag.annotations for _, choices in chosen for choice in choices):
        from job.run.expired_holds import release

        released = release(run, chosen, guard)
        chosen, notes = released.chosen, released.notes
    imported = import_waves(
        run,
        chosen,
        workloads=survey.workloads if survey else None,
        journals=admission.journals.values(),
        notes=notes,
        guard=guard,
    )
    if run.settings.check_horizon and not run.dry_run and imported.tags:
        from job.run.rollback_targets import count_targets

        return replace(imported, tags=tuple(count_targets(run, imported.tags)))
    return imported


def _sum_up(
    run: Run,
    frozen: Collection[str],
    selection: _Selection,
    errors: Sequence[RunError],
    imported: Imported,
    gone_workloads: Sequence[tuple[str, str, str]] = (),
) -> Report:
    """The report: outcome of each namespace, exit status of all."""
    if not selection.matched and not errors:
        errors = selection.unmatched
    else:
        for error in selection.unmatched:
            log.warning("%s", error.message)
    stopped = run.stopping()
    tags, rollouts = imported.tags, imported.rollouts
    outcomes = {name: outcome_of(name, tags, errors, rollouts, stopped=stopped) for name in run.namespaces}
    outcomes |= dict.fromkeys(frozen, Outcome.FROZEN)
    status = exit_status(
        tags,
        errors,
        len(run.namespaces) - len(frozen),
        rollouts,
        matched=selection.matched,
        outcome=overall(list(outcomes.values())),
    )
    report = report_of(run, tags, errors, outcomes, status, rollouts, gone_workloads)
    return replace(report, queries=imported.queries)


def _list(run: Run, namespaces: Sequence[str]) -> list[Listing]:
    """The listing of each namespace; where it had not ended when the run was stopped, the error that says so."""
    settings = run.settings
    run.progress.begin("listing image streams")
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
    listings = {name: answer for name, answer in answers.items() if isinstance(answer, Listing)}
    return [listings.get(namespace) or stopped(namespace) for namespace in namespaces]


def _survey(run: Run, chosen: Sequence[Chosen]) -> Survey | None:
    """The workloads that may follow the tags, where their rollouts are to be watched; several waves imply that."""
    if run.dry_run or not chosen:
        return None
    # A hold may end in this run, and its tag is then imported in its wave.
    if_released = [(s, tuple(Choice(c.tag, None if c.skip is Skip.HELD else c.skip) for c in cs)) for s, cs in chosen]
    waves = len(waves_of(if_released)) > 1
    if not (waves or run.settings.watch_rollouts):
        return None
    run.progress.begin("listing the workloads that follow the tags")
    survey = run.survey(run.namespaces)
    if not waves:
        return survey
    why = "nothing is imported: there are waves, and their rollouts cannot be watched: "
    errors = [RunError(e.namespace, Stage.WAVES, e.reason, why + e.message) for e in survey.errors]
    if errors:
        # The waves go through all namespaces.
        others = [namespace for namespace in run.namespaces if namespace not in {error.namespace for error in errors}]
        errors += [replace(errors[0], namespace=other) for other in others]
    return replace(survey, errors=tuple(errors))


def _warn_of_killed_runs(run: Run, admission: Admission, selection: _Selection) -> None:
    """A run that was killed left no report; what it imported is in the streams."""
    for namespace, journal in admission.journals.items():
        record = admission.entries[namespace].record
        for killed in start_run(journal, record, scope_of(run.settings.wanted))[1]:
            names = _imported_since(killed.started_at, namespace, selection.chosen)
            shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            log.warning(
                "run %s, begun at %s in %s, was killed and counts as aborted; tags of this run imported since then: %s",
                killed.id,
                iso(killed.started_at),
                namespace,
                shown or ("none" if namespace in selection.listed else "not known"),
            )


def _imported_since(since: datetime | None, namespace: str, chosen: Sequence[Chosen]) -> list[str]:
    return [
        f"{stream.name}:{choice.tag.name}"
        for stream, choices in chosen
        if stream.namespace == namespace
        for choice in choices
        if since and choice.tag.current and (when := choice.tag.current.imported_at) and when >= since
    ]
