"""`rollback` and `resume`: there and back."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from job.commands.rollback_plan import Asked, Undoing, end_of_hold, plan_of, target_of, with_aliases
from job.config.settings import Settings
from job.domain.errors import ClusterError, StoppedError, UsageError
from job.domain.holds import Terms, hold_of, is_over
from job.domain.model import (
    Command,
    Item,
    Report,
    Result,
    Rollout,
    Shard,
    Skip,
    Stream,
    Tag,
    TagName,
    TagResult,
    TriggerKind,
)
from job.domain.outcome import exit_status, outcome_of, overall
from job.domain.selection import Choice, Pattern, Wanted, aliases_of, skip_reason
from job.imagestreams.api_types import image_of, stream_from
from job.imagestreams.descriptions import Describer
from job.imagestreams.retag import current_user, read_stream, release_hold, roll_back
from job.journal.records import Journal, belongs_to
from job.journal.store import JournalStore
from job.publish.publisher import tell
from job.run.context import Run, record_of, report_of
from job.run.session import Place, place
from job.run.targets import Found, find_one
from job.run.waves import Rounds
from job.runtime.shutdown import Stop
from job.runtime.terminal import Terminal, agreed, is_there
from job.views.documents import as_document, hold_document
from job.views.output import document, write
from job.workloads.discovery import Survey
from job.workloads.rollouts import Moved

log = logging.getLogger(__name__)

_STOPPED = "stopped before anything was done"


def rollback(settings: Settings, asked: Asked, stop: Stop, *, as_table: bool) -> int:
    """Move a tag back, hold it, and watch what follows it; returns the exit status."""
    until = end_of_hold(asked.until, settings.time_zone)
    if not asked.yes and not is_there():
        raise UsageError(["rollback asks before it does anything, and nobody is there to answer: add --yes"])
    with place(settings, stop) as where:
        found = find_one(where)
        target = target_of(found, asked.to)
        around = where.survey([found.name.namespace])
        plan = plan_of(where, found, target, asked, until, around)
        _show_plan(plan, as_table=as_table)
        person = Terminal(where.stopping, _STOPPED)
        if not (asked.yes or agreed(person.ask(f"Move {plan.name} back? [y/N] "))):
            raise UsageError(["not confirmed: nothing was done"])
        if stop:
            raise StoppedError(_STOPPED)
        return _roll_back(where, found, target, plan, around, as_table=as_table)


def resume(settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Let a held tag go, import what it follows, and watch what follows it; returns the exit status."""
    with place(settings, stop) as where:
        found = find_one(where)
        name, hold = found.name, hold_of(found.tag)
        if hold is None:
            over = ": a hold was on it and is over, since the tag was moved" if is_over(found.tag) else ""
            raise UsageError([f"{name} in {name.namespace} is not held{over}; nothing was done"])
        around = where.survey([name.namespace])
        if stop:
            raise StoppedError(_STOPPED)
        stream = release_hold(where.cluster, name, where.retrier)
        log.info("%s/%s follows %s again", name.namespace, name, _source(stream.tag(name.tag)))
        run = _run(where, found, Command.RESUME)
        rounds = Rounds(run, around.workloads)
        tag = stream.tag(name.tag)
        choices = (Choice(tag, _skip(stream, tag)),) if tag else ()
        tags = [_moved(where, rounds, result) for result in rounds.take([(stream, choices)], {})]
        return _end(
            where, run, tags, rounds.rollouts, around, as_table=as_table, more={"released": hold_document(hold)}
        )


def _skip(stream: Stream, tag: Tag) -> Skip | None:
    """Why a tag is not imported although somebody asked for it: only what comes from a registry can be."""
    skip = skip_reason(stream, tag)
    comes_from_registry = tag.source is not None and tag.source.kind == "DockerImage"
    return None if comes_from_registry and skip in (Skip.OPTED_OUT, Skip.PINNED) else skip


def _moved(where: Place, rounds: Rounds, result: TagResult) -> TagResult:
    """The result of a tag that cannot be imported: what it is pinned to the server put there by itself."""
    if result.result is not Result.SKIPPED or result.before is None:
        return result
    name = TagName(result.namespace, result.stream, result.tag)
    try:
        stream = stream_from(read_stream(where.cluster, name, where.retrier))
    except ClusterError as error:
        # The tag is let go already, so that this may not end as if nothing was done.
        log.warning("which image %s/%s has now is not known: %s", name.namespace, name, error)
        return replace(result, after=None)
    tag = stream.tag(name.tag)
    if tag is None or tag.current is None or tag.current.digest == result.before.digest:
        return result
    describer = Describer(where.cluster, where.stopping)
    describer.describe(name.namespace, name.stream, tag.current.digest)
    names = [name, *(replace(name, tag=alias) for alias in sorted(aliases_of(stream, name.tag)))]
    rounds.rollouts += rounds.watch(dict.fromkeys(names, Moved(tag.current.digest)), where.stopping)
    image = image_of(tag.current, describer.facts(tag.current.digest))
    return replace(result, result=Result.UPDATED, reason=None, after=image)


def _show_plan(plan: Undoing, *, as_table: bool) -> None:
    from job.commands.rollback_view import print_undoing

    # A document on stdout stays alone there.
    write(lambda: print_undoing(plan, datetime.now(UTC), sys.stdout if as_table else sys.stderr))


def _roll_back(where: Place, found: Found, target: Item | str, plan: Undoing, around: Survey, *, as_table: bool) -> int:
    name, settings = found.name, where.settings
    run = _run(where, found, Command.ROLLBACK)
    terms = Terms(run.started, current_user(where.cluster), plan.reason, plan.until, plan.until_newer)
    tag = roll_back(
        where.cluster,
        name,
        target,
        terms,
        bad=plan.now.digest,
        retrier=where.retrier,
        timeout=settings.import_timeout,
    )
    hold = hold_of(tag)
    log.info("%s/%s is on %s, and held", name.namespace, name, plan.to.digest)
    rounds = Rounds(run, around.workloads)
    moved = {each: Moved(plan.to.digest, plan.now.digest) for each in with_aliases(found)}
    rollouts = rounds.watch(moved, where.stopping)
    result = TagResult(
        namespace=name.namespace,
        stream=name.stream,
        tag=name.tag,
        source=found.tag.source.name if found.tag.source else None,
        result=Result.ROLLED_BACK,
        message=f"put back from {plan.now.digest}: {plan.reason or 'no reason given'}",
        moved_with=plan.aliases,
        before=plan.now,
        after=replace(plan.to, imported_at=tag.current.imported_at if tag.current else None),
        hold=hold,
    )
    more = {
        "from": plan.now.digest,
        "to": plan.to.digest,
        "in_registry": plan.in_registry,
        "warnings": list(plan.warnings),
        "hold": hold_document(hold),
    }
    return _end(where, run, [result], rollouts, around, as_table=as_table, more=more)


def _run(where: Place, found: Found, command: Command) -> Run:
    """What a report is made from: of one tag, in the metrics group of the run that usually imports it."""
    name = found.name
    memory = JournalStore(where.cluster, name.namespace)
    journal = memory.read()
    deployment, shard = _group(journal, name)
    wanted = Wanted(deployment, (Pattern(name.stream, name.tag),), (), shard)
    run = Run(
        settings=replace(where.settings, wanted=wanted, narrowed=True),
        cluster=where.cluster,
        counts=where.counts,
        stop=where.stop,
        namespaces=(name.namespace,),
        command=command,
        progress=where.progress.show,
    )
    run.records[name.namespace] = record_of(run)
    run.memories[name.namespace] = memory
    if journal is not None:
        run.journals[name.namespace] = journal
    return run


def _group(journal: Journal | None, name: TagName) -> tuple[str | None, Shard | None]:
    """Deployment and share of the run that usually imports a tag: the last on a schedule, else the last at all."""
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


def _end(
    where: Place,
    run: Run,
    tags: Sequence[TagResult],
    rollouts: Sequence[Rollout],
    around: Survey,
    *,
    as_table: bool,
    more: Mapping[str, Any],
) -> int:
    """Report what was done, and pass it on."""
    namespace = run.namespaces[0]
    errors = around.errors
    outcomes = {namespace: outcome_of(namespace, tags, errors, rollouts, stopped=run.stopping())}
    status = exit_status(tags, errors, 1, rollouts, matched=True, outcome=overall(list(outcomes.values())))
    # The tag was moved, so that 3, which says that nothing was done, would be wrong.
    status = 1 if status == 3 else status
    report = report_of(run, tags, errors, outcomes, status, rollouts)
    where.progress.end()
    # On record before anybody reads it, who may take his time.
    tell(run, report, os.environ)
    _show(report, more, as_table=as_table)
    for error in errors:
        log.error("%s", error.message)
    return status


def _show(report: Report, more: Mapping[str, Any], *, as_table: bool) -> None:
    if as_table:
        from job.views.tables import print_report

        write(lambda: print_report(report, sys.stdout))
        return
    document(report.command.capitalize(), {**more, **as_document(report)})


def _source(tag: Tag | None) -> str:
    return tag.source.name if tag is not None and tag.source is not None else "nothing"
