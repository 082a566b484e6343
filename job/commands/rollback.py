"""`rollback` and `resume`: move a tag to an earlier image and hold it there, and release it again."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from job.commands.rollback_plan import Asked, Undoing, end_of_hold, plan_of, target_of, with_aliases
from job.config.settings import Settings
from job.domain.errors import ClusterError, StoppedError, UsageError
from job.domain.holds import Terms, hold_of, is_over, source_before
from job.domain.model import (
    Command,
    Hold,
    Identity,
    Item,
    Report,
    Result,
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
from job.imagestreams.lookup import Question
from job.imagestreams.retag import current_user, release_hold, roll_back
from job.imagestreams.rewrite import read_stream
from job.journal.records import Journal, belongs_to
from job.journal.store import JournalStore
from job.publish.publisher import publish
from job.publish.sink import Publication
from job.run.admission import JournalEntry
from job.run.context import IDENTITY_SECONDS, Run, record_of, report_of
from job.run.rollout_watch import watch_rollouts
from job.run.session import Place, place
from job.run.targets import Found, find_one
from job.run.waves import Imported, import_waves
from job.runtime.shutdown import Stop
from job.runtime.terminal import Terminal, agreed, is_there
from job.views.documents import as_document, hold_document
from job.views.output import document, write
from job.workloads.discovery import Survey
from job.workloads.followers import Moved

log = logging.getLogger(__name__)

_STOPPED = "stopped; nothing was changed"


def rollback(settings: Settings, asked: Asked, stop: Stop, *, as_table: bool) -> int:
    """Move a tag to an earlier image, hold it, and watch what follows it; returns the exit status."""
    until = end_of_hold(asked.until, settings.time_zone)
    if not asked.yes and not is_there():
        raise UsageError(["rollback asks for confirmation, and there is no terminal to ask on: add --yes"])
    with place(settings, stop) as where:
        found = find_one(where)
        target = target_of(found, asked.to)
        survey = where.survey([found.name.namespace])
        plan = plan_of(where, found, target, asked, until, survey)
        identity = where.identify(IDENTITY_SECONDS)
        _show_plan(plan, identity, as_table=as_table)
        terminal = Terminal(where.stopping, _STOPPED)
        if not (
            asked.yes or agreed(terminal.ask(f"Roll {plan.name.namespace}/{plan.name} back on {identity}? [y/N] "))
        ):
            raise UsageError(["Aborted; nothing was changed."])
        if stop:
            raise StoppedError(_STOPPED)
        return _roll_back(where, found, target, plan, survey, as_table=as_table)


def resume(settings: Settings, stop: Stop, *, as_table: bool, yes: bool = False) -> int:
    """Release a held tag, import what it follows, and watch what follows it; returns the exit status.

    Asks where the registry still has the image that was rolled back from, unless `yes`.
    """
    with place(settings, stop) as where:
        found = find_one(where)
        name, hold = found.name, hold_of(found.tag)
        if hold is None:
            over = ": its hold is over, since the tag was moved" if is_over(found.tag) else ""
            raise UsageError([f"{name} in {name.namespace} is not held{over}; nothing was changed"])
        if not yes:
            _confirm_resume(where, found, hold)
        survey = where.survey([name.namespace])
        if stop:
            raise StoppedError(_STOPPED)
        stream = release_hold(where.cluster, name, where.retrier)
        log.info("%s/%s follows %s again", name.namespace, name, _source(stream.tag(name.tag)))
        started = _start(where, found, Command.RESUME)
        run, tag = started.run, stream.tag(name.tag)
        choices = (Choice(tag, _skip(stream, tag)),) if tag else ()
        journals = [started.entry.before] if started.entry.before else []
        imported = import_waves(run, [(stream, choices)], workloads=survey.workloads, journals=journals)
        imported = _with_server_import(where, run, imported, survey)
        return _end(where, started, imported, survey, as_table=as_table, more={"released": hold_document(hold)})


def _confirm_resume(where: Place, found: Found, hold: Hold) -> None:
    """Ask where a release would import the bad image again.

    Raises:
        UsageError: the answer is no, or there is no terminal to ask on.
    """
    name, before = found.name, source_before(found.tag)
    if before is None or hold.bad is None:
        return
    question = Question(name.namespace, name.stream, *before, tag=name.tag)
    answer = where.look_up([question])[question]
    if answer.image is None:
        log.warning("%s: whether the registry still has the bad image is not known: %s", name, answer.message)
        return
    if answer.image.digest != hold.bad:
        return
    problem = f"{before[0]} still is {hold.bad}, the image that {name} was rolled back from"
    if not is_there():
        raise UsageError([f"{problem}; to import it nevertheless: --yes"])
    terminal = Terminal(where.stopping, _STOPPED)
    if not agreed(terminal.ask(f"{problem}. Import it nevertheless? [y/N] ")):
        raise UsageError(["Aborted; nothing was changed."])


def _skip(stream: Stream, tag: Tag) -> Skip | None:
    """Why a tag is not imported although it was asked for: only what comes from a registry can be."""
    skip = skip_reason(stream, tag)
    comes_from_registry = tag.source is not None and tag.source.kind == "DockerImage"
    return None if comes_from_registry and skip in (Skip.OPTED_OUT, Skip.PINNED) else skip


def _with_server_import(where: Place, run: Run, imported: Imported, survey: Survey) -> Imported:
    """The results, where the tag cannot be imported and the server has restored the image it is pinned to."""
    tags: list[TagResult] = []
    rollouts = list(imported.rollouts)
    for result in imported.tags:
        moved: dict[TagName, Moved] = {}
        if result.result is Result.SKIPPED and result.before is not None:
            result, moved = _moved_by_server(where, result, result.before.digest)
        tags.append(result)
        rollouts += watch_rollouts(run, survey.workloads, moved, where.stopping) if moved else ()
    return Imported(tuple(tags), tuple(rollouts))


def _moved_by_server(where: Place, result: TagResult, before: str) -> tuple[TagResult, dict[TagName, Moved]]:
    """The result by a read of the stream, and the tags that have moved, with their digest."""
    name = TagName(result.namespace, result.stream, result.tag)
    try:
        stream = stream_from(read_stream(where.cluster, name, where.retrier))
    except ClusterError as error:
        # The tag is released already, so that the command must not end as if nothing was changed.
        log.warning("which image %s/%s has now is not known: %s", name.namespace, name, error)
        return replace(result, after=None), {}
    tag = stream.tag(name.tag)
    if tag is None or tag.current is None or tag.current.digest == before:
        return result, {}
    describer = Describer(where.cluster, where.stopping)
    describer.describe(name.namespace, name.stream, tag.current.digest)
    names = [name, *(replace(name, tag=alias) for alias in sorted(aliases_of(stream, name.tag)))]
    image = image_of(tag.current, describer.facts(tag.current.digest))
    moved = dict.fromkeys(names, Moved(tag.current.digest))
    return replace(result, result=Result.UPDATED, reason=None, after=image), moved


def _show_plan(plan: Undoing, identity: Identity | None, *, as_table: bool) -> None:
    from job.commands.rollback_view import print_undoing

    # With --output json, stdout holds the document alone.
    write(lambda: print_undoing(plan, identity, datetime.now(UTC), sys.stdout if as_table else sys.stderr))


def _roll_back(where: Place, found: Found, target: Item | str, plan: Undoing, survey: Survey, *, as_table: bool) -> int:
    name, settings = found.name, where.settings
    started = _start(where, found, Command.ROLLBACK)
    run = started.run
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
    moved = {each: Moved(plan.to.digest, plan.now.digest) for each in with_aliases(found)}
    rollouts = watch_rollouts(run, survey.workloads, moved, where.stopping)
    result = TagResult(
        namespace=name.namespace,
        stream=name.stream,
        tag=name.tag,
        source=found.tag.source.name if found.tag.source else None,
        result=Result.ROLLED_BACK,
        message=f"rolled back from {plan.now.digest}: {plan.reason or 'no reason given'}",
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
    return _end(where, started, Imported((result,), tuple(rollouts)), survey, as_table=as_table, more=more)


@dataclass(frozen=True, slots=True)
class _Started:
    """A command on one tag, as a run, and its entry in the journal."""

    run: Run
    entry: JournalEntry


def _start(where: Place, found: Found, command: Command) -> _Started:
    """A run of one tag, in the metrics group of the run that usually imports it."""
    name = found.name
    store = JournalStore(where.cluster, name.namespace)
    journal = store.read()
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
        identify=where.identify,
    )
    return _Started(run, JournalEntry(store, record_of(run), journal))


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


def _end(
    where: Place, started: _Started, imported: Imported, survey: Survey, *, as_table: bool, more: Mapping[str, Any]
) -> int:
    """Publish the report, then show it."""
    run, tags, rollouts, errors = started.run, imported.tags, imported.rollouts, survey.errors
    namespace = run.namespaces[0]
    outcomes = {namespace: outcome_of(namespace, tags, errors, rollouts, stopped=run.stopping())}
    status = exit_status(tags, errors, 1, rollouts, matched=True, outcome=overall(list(outcomes.values())))
    # The tag was moved, and exit status 3 would mean that nothing was done.
    status = 1 if status == 3 else status
    report = report_of(run, tags, errors, outcomes, status, rollouts)
    where.progress.end()
    # Published before it is shown, since the reader of stdout may take any time.
    publish(Publication(run, report, {namespace: started.entry}, os.environ))
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
