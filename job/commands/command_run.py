"""A command that moves tags, as a run: what it writes into journal and metrics, and how it ends."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from job.domain.model import Command, Report, RunError, TagName, TriggerKind
from job.domain.outcome import exit_status, outcome_of, overall
from job.domain.records import dataclass, replace
from job.domain.rules import Rules
from job.domain.scope import Shard
from job.domain.selection import Pattern, Wanted
from job.journal.records import Journal, belongs_to
from job.journal.store import JournalStore
from job.publish.publisher import publish
from job.publish.sink import Publication
from job.run.admission import JournalEntry
from job.run.context import Run, record_of, report_of
from job.run.session import Place
from job.run.waves import Imported
from job.runtime.background import Background
from job.views.documents import as_document
from job.views.output import document, write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandRun:
    """A command as a run, and its entries in the journals of its namespaces."""

    run: Run
    entries: Mapping[str, JournalEntry]

    @property
    def journals(self) -> list[Journal]:
        """What the journals held before, as far as is known."""
        return [entry.before for entry in self.entries.values() if entry.before is not None]


def begin_for_tag(where: Place, name: TagName, command: Command, rules: Mapping[str, Rules]) -> CommandRun:
    """A run of one tag, in the metrics group of the run that usually imports it."""
    store = JournalStore(where.cluster, name.namespace)
    journal = store.read()
    group = _group(journal, name)
    return begin(where, [name], command, *group, {name.namespace: store}, {name.namespace: journal}, rules)


def begin(
    where: Place,
    names: Sequence[TagName],
    command: Command,
    deployment: str | None,
    shard: Shard | None,
    stores: Mapping[str, JournalStore],
    journals: Mapping[str, Journal | None],
    rules: Mapping[str, Rules],
) -> CommandRun:
    """A run of some tags, in the metrics group of a deployment and shard; `rules` say what is blocked."""
    patterns = tuple(dict.fromkeys(Pattern(name.stream, name.tag) for name in names))
    run = Run(
        settings=replace(where.settings, wanted=Wanted(deployment, patterns, (), shard), narrowed=True),
        cluster=where.cluster,
        counts=where.counts,
        stop=where.stop,
        namespaces=tuple(dict.fromkeys(name.namespace for name in names)),
        command=command,
        progress=where.progress,
        identify=where.identify,
        rules=rules,
    )
    entries = {name: JournalEntry(stores[name], record_of(run), journals[name]) for name in run.namespaces}
    return CommandRun(run, entries)


def _group(journal: Journal | None, name: TagName) -> tuple[str | None, Shard | None]:
    """Deployment and shard of the run that usually imports a tag: the last scheduled one, else the last of any."""
    key = name.stream, name.tag
    runs = [
        record
        for record in (journal.runs if journal else ())
        if record.command is Command.RUN
        and not record.narrowed
        and belongs_to(name.namespace, key, record.deployment, record.shard)
    ]
    usual = next((record for record in runs if record.trigger is TriggerKind.SCHEDULED), runs[0] if runs else None)
    return (usual.deployment, usual.shard) if usual else (name.tag, None)


def end(
    where: Place,
    begun: CommandRun,
    imported: Imported,
    errors: Sequence[RunError],
    *,
    as_table: bool,
    more: Mapping[str, Any],
) -> int:
    """Publish the report, then show it; returns the exit status."""
    run, tags, rollouts = begun.run, imported.tags, imported.rollouts
    outcomes = {name: outcome_of(name, tags, errors, rollouts, stopped=run.stopping()) for name in run.namespaces}
    overall_outcome = overall(list(outcomes.values()))
    status = exit_status(tags, errors, len(run.namespaces), rollouts, matched=True, outcome=overall_outcome)
    # Tags were moved, and exit status 3 would mean that nothing was done.
    status = 1 if status == 3 else status
    report = report_of(run, tags, errors, outcomes, status, rollouts)
    where.progress.end()
    shown = Background(functools.partial(_show, report, more, as_table=as_table), "stdout")
    publish(Publication(run, report, begun.entries, os.environ, shown=shown))
    return shown.result()


def _show(report: Report, more: Mapping[str, Any], *, as_table: bool) -> int:
    if as_table:
        from job.views.tables import print_report

        write(lambda: print_report(report, sys.stdout))
    else:
        document(report.command.capitalize(), {**more, **as_document(report)})
    for error in report.errors:
        log.error("%s", error.message)
    return report.exit_status
