"""`rollback --run` and `resume --run`: every tag that one run moved, with one question and one report.

Interrupted anywhere, the command can be given again: what is done already stays, and is watched again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from job.cluster import IMAGE_STREAMS
from job.cluster.whoami import current_user
from job.commands.command_run import CommandRun, begin, end
from job.commands.rollback import (
    STOPPED,
    confirm,
    import_released,
    problem_of_resume,
    released_choice,
    rolled_back_result,
    show_plan,
)
from job.commands.rollback_plan import Request, Undoing, end_of_hold, plan_of, target_of, with_aliases
from job.config.settings import Settings
from job.domain.errors import ClusterError, ImportImagesError, StoppedError, UsageError
from job.domain.holds import Terms, hold_of
from job.domain.model import By, Command, Image, Item, Reason, Result, Rollout, TagName, TagResult
from job.domain.records import dataclass, replace
from job.domain.selection import Wanted
from job.domain.text import clean
from job.imagestreams.api_types import stream_from
from job.imagestreams.retag import release_hold, roll_back
from job.imagestreams.rewrite import NoHoldError, UncertainError
from job.journal.records import Journal, Move, RunRecord
from job.journal.store import JournalStore
from job.run.context import IDENTITY_SECONDS, namespaces_of
from job.run.rollout_watch import watch_rollouts
from job.run.session import Place, place
from job.run.targets import Found
from job.run.waves import Imported
from job.runtime.pool import gather
from job.runtime.shutdown import Stop
from job.runtime.terminal import is_there
from job.workloads.discovery import Survey
from job.workloads.followers import Moved

log = logging.getLogger(__name__)

LAST = "last"
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Past:
    """A run of the past, by the journals.

    Attributes:
        record: of the run, as one of its namespaces has it.
        moves: the tags that it moved and that were asked for.
        stores: the journals, by namespace.
        journals: what they hold.
    """

    record: RunRecord
    moves: tuple[tuple[TagName, Move], ...]
    stores: Mapping[str, JournalStore]
    journals: Mapping[str, Journal | None]


@dataclass(frozen=True, slots=True)
class _Planned:
    """A tag that is rolled back; `target` is None where that is done already."""

    found: Found
    move: Move
    plan: Undoing
    target: Item | str | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is rolled back, and why the other tags of the run are left alone."""

    planned: tuple[_Planned, ...]
    left_alone: Mapping[TagName, str]


def rollback_run(settings: Settings, request: Request, run_id: str, stop: Stop, *, as_table: bool) -> int:
    """Roll back every tag that a run moved, waves in reverse; returns the exit status.

    Args:
        settings: the settings; their patterns choose among the run's tags.
        request: terms of the holds; `to` does not apply.
        run_id: of the run, or `last`: the last one that moved a tag.
        stop: whether to stop.
        as_table: show a table instead of JSON.
    """
    until = end_of_hold(request.until, settings.time_zone)
    if not request.yes and not is_there():
        raise UsageError(["rollback asks for confirmation, and there is no terminal to ask on: add --yes"])
    with place(settings, stop) as where:
        past = _past(where, run_id)
        survey = where.survey(sorted({name.namespace for name, _ in past.moves}))
        request = replace(request, reason=request.reason or f"rollback of run {past.record.id}")
        plan = _plan(where, past, request, until, survey)
        for name, why in plan.left_alone.items():
            log.warning("%s/%s is left alone: %s", name.namespace, name, why)
        left = [each for each in plan.planned if each.target is not None]
        if not plan.planned:
            raise UsageError([f"nothing of run {past.record.id} can be rolled back; nothing was changed"])
        identity = where.identify(IDENTITY_SECONDS)
        where.progress.pause()
        for each in left:
            show_plan(each.plan, identity, as_table=as_table)
        if left and not request.yes:
            confirm(where, f"Roll {len(left)} tags of run {past.record.id} back on {identity}? [y/N] ")
        if stop:
            raise StoppedError(STOPPED)
        return _roll_back(where, past, plan, survey, as_table=as_table)


def resume_run(settings: Settings, run_id: str, stop: Stop, *, as_table: bool, yes: bool) -> int:
    """Release every tag of a run that a rollback holds, wave by wave; returns the exit status."""
    with place(settings, stop) as where:
        past = _past(where, run_id)
        held, left_alone = _held(where, past)
        for name, why in left_alone.items():
            log.warning("%s/%s is left alone: %s", name.namespace, name, why)
        if not held:
            raise UsageError([f"no tag of run {past.record.id} is held; nothing was changed"])
        if not yes and (problems := [p for found, _ in held if (p := problem_of_resume(where, found))]):
            confirm(where, "; ".join(problems) + ". Import nevertheless? [y/N] ", "to import nevertheless: --yes")
        survey = where.survey(sorted({found.name.namespace for found, _ in held}))
        if stop:
            raise StoppedError(STOPPED)
        names = [found.name for found, _ in held]
        begun = _begin(where, past, names, Command.RESUME)
        imported = _release(where, begun, held, survey)
        more = _document(past, left_alone)
        return end(where, begun, imported, survey.errors, as_table=as_table, more=more)


def _past(where: Place, run_id: str) -> _Past:
    """The run that was named, and what it moved of what was asked for.

    Raises:
        UsageError: no journal has it, or it moved nothing that was asked for.
    """
    stores = {name: JournalStore(where.cluster, name) for name in namespaces_of(where)}
    journals = {name: store.read() for name, store in stores.items()}
    unknown = [name for name, journal in journals.items() if journal is None]
    if unknown:
        raise UsageError([f"the journal of {', '.join(unknown)} cannot be read, so the run's tags are not known"])
    records = {
        name: [run for run in journal.runs if run.command is Command.RUN]
        for name, journal in journals.items()
        if journal
    }
    if run_id == LAST:
        run_id = max((run.id for runs in records.values() for run in runs if run.moves), default="")
        if not run_id:
            raise UsageError([f"no run that moved a tag is in the journal of {', '.join(stores)}"])
    found = {name: run for name, runs in records.items() for run in runs if run.id == run_id}
    if not found:
        raise UsageError([f"the journal of {', '.join(stores)} has no run {run_id}; see: import-images history --runs"])
    wanted = Wanted(None, where.settings.wanted.patterns)
    moves = tuple(
        (TagName(name, move.stream, move.tag), move)
        for name, run in found.items()
        for move in run.moves
        if wanted.includes(move.stream, move.tag)
    )
    record = next(iter(found.values()))
    lost = sum(run.counts.get(str(Result.UPDATED), 0) - len(run.moves) for run in found.values())
    if lost > 0:
        log.warning("%d more tags of run %s are no longer in the journal: roll them back one by one", lost, record.id)
    if not moves:
        raise UsageError([f"run {run_id} moved no tag that was asked for, as far as the journal knows"])
    return _Past(record, moves, stores, journals)


def _found(where: Place, past: _Past) -> dict[TagName, Found | str]:
    """Each tag of the run as it is now, or why it cannot be read."""
    keys = dict.fromkeys((name.namespace, name.stream) for name, _ in past.moves)
    streams = where.ask_all({key: functools.partial(where.cluster.get, IMAGE_STREAMS, *key) for key in keys})
    found: dict[TagName, Found | str] = {}
    for name, _ in past.moves:
        data = streams[name.namespace, name.stream]
        if isinstance(data, ClusterError):
            if data.code != 404:
                raise data
            found[name] = "its stream is gone"
            continue
        stream = stream_from(data)
        tag = stream.tag(name.tag)
        found[name] = Found(name, tag, stream, data) if tag else "it is gone"
    return found


def _plan(where: Place, past: _Past, request: Request, until: datetime | None, survey: Survey) -> _Plan:
    """What is to be done with each tag of the run."""
    planned: list[_Planned] = []
    left_alone: dict[TagName, str] = {}
    now = _found(where, past)
    for name, move in past.moves:
        found = now[name]
        if isinstance(found, str):
            left_alone[name] = found
            continue
        current, hold = found.tag.current, hold_of(found.tag)
        if move.before is None:
            left_alone[name] = "it had no image before the run"
        elif hold and hold.image == move.before:
            done = plan_of(where, found, Item(move.before, None), request, until, survey)
            planned.append(_Planned(found, move, done, None))
        elif current is None or current.digest != move.after:
            left_alone[name] = f"it has moved on to {current.digest if current else 'no image'}"
        else:
            try:
                target = target_of(found, move.before)
                plan = plan_of(where, found, target, request, until, survey)
                planned.append(_Planned(found, move, plan, target))
            except UsageError as error:
                left_alone[name] = str(error)
    return _Plan(tuple(planned), left_alone)


def _begin(where: Place, past: _Past, names: Sequence[TagName], command: Command) -> CommandRun:
    record = past.record
    return begin(where, names, command, record.deployment, record.shard, past.stores, past.journals)


def _roll_back(where: Place, past: _Past, plan: _Plan, survey: Survey, *, as_table: bool) -> int:
    """Roll back the last wave first, then watch all rollouts together."""
    begun = _begin(where, past, [each.found.name for each in plan.planned], Command.ROLLBACK)
    by = current_user(where.cluster)
    results: dict[TagName, TagResult] = {}
    for wave in sorted({each.move.wave for each in plan.planned}, reverse=True):
        streams: dict[tuple[str, str], list[_Planned]] = {}
        for each in plan.planned:
            if each.move.wave == wave:
                streams.setdefault((each.found.name.namespace, each.found.name.stream), []).append(each)
        # Writes of one stream follow one another, since two at a time conflict.
        calls = {key: functools.partial(_of_stream, where, begun, tags, by) for key, tags in streams.items()}
        for answer in gather(calls, where.settings.concurrency, where.stopping, GRACE_SECONDS).values():
            if isinstance(answer, dict):
                results |= answer
    moved = {
        name: Moved(result.after.digest, each.move.after)
        for each in plan.planned
        if (result := results.get(each.found.name)) and result.result is Result.ROLLED_BACK and result.after
        for name in with_aliases(each.found)
    }
    rollouts = watch_rollouts(begun.run, survey.workloads, moved, where.stopping)
    tags = tuple(results.get(each.found.name) or _stopped(each) for each in plan.planned)
    more = _document(past, plan.left_alone)
    return end(where, begun, Imported(tags, rollouts), survey.errors, as_table=as_table, more=more)


def _of_stream(where: Place, begun: CommandRun, tags: Sequence[_Planned], by: str | None) -> dict[TagName, TagResult]:
    return {each.found.name: _of_tag(where, begun, each, by) for each in tags if not where.stop or each.target is None}


def _of_tag(where: Place, begun: CommandRun, each: _Planned, by: str | None) -> TagResult:
    plan, name = each.plan, each.found.name
    if each.target is None:
        result = rolled_back_result(each.found, plan, each.found.tag)
        bad = Image(each.move.after, None, None, None, None)
        return replace(result, before=bad, message=f"was rolled back from {bad.digest} already")
    try:
        tag = roll_back(
            where.cluster,
            name,
            each.target,
            Terms(begun.run.started, by, plan.reason, plan.until, plan.until_newer),
            bad=plan.now.digest,
            retrier=where.retrier,
            timeout=where.settings.import_timeout,
        )
    except ImportImagesError as error:
        log.error("%s/%s was not rolled back: %s", name.namespace, name, error)
        reason = error.reason if isinstance(error, ClusterError) else Reason.CONFLICT
        result = rolled_back_result(each.found, plan, each.found.tag)
        message = clean(f"not rolled back: {error}")
        return replace(result, result=Result.FAILED, reason=reason, by=By.API, message=message, after=plan.now)
    log.info("%s/%s is on %s, and held", name.namespace, name, plan.to.digest)
    return rolled_back_result(each.found, plan, tag)


def _stopped(each: _Planned) -> TagResult:
    result = rolled_back_result(each.found, each.plan, each.found.tag)
    message = "stopped before it was rolled back"
    return replace(result, result=Result.FAILED, reason=Reason.ABORTED, message=message, after=each.plan.now)


def _document(past: _Past, left_alone: Mapping[TagName, str]) -> dict[str, Any]:
    tags = [{"namespace": name.namespace, "tag": str(name), "why": clean(why)} for name, why in left_alone.items()]
    return {"run_id": past.record.id, "left_alone": tags}


def _held(where: Place, past: _Past) -> tuple[list[tuple[Found, Move]], dict[TagName, str]]:
    """The tags that are held on what they had before the run, and why the others are left alone."""
    held: list[tuple[Found, Move]] = []
    left_alone: dict[TagName, str] = {}
    now = _found(where, past)
    for name, move in past.moves:
        found = now[name]
        if isinstance(found, str):
            left_alone[name] = found
        elif (hold := hold_of(found.tag)) and hold.image == move.before:
            held.append((found, move))
        else:
            left_alone[name] = "it is not held on the image that it had before the run"
    return held, left_alone


def _not_released(found: Found, error: ImportImagesError) -> TagResult:
    name, source = found.name, found.tag.source.name if found.tag.source else None
    reason = error.reason if isinstance(error, ClusterError | UncertainError) else Reason.CONFLICT
    message, hold = clean(f"not released: {error}"), hold_of(found.tag)
    return TagResult(name.namespace, name.stream, name.tag, source, Result.FAILED, reason, By.API, message, hold=hold)


def _release(where: Place, begun: CommandRun, held: Sequence[tuple[Found, Move]], survey: Survey) -> Imported:
    """Release and import wave by wave; after a bad wave the later ones stay held."""
    tags: list[TagResult] = []
    rollouts: list[Rollout] = []
    for wave in sorted({move.wave for _, move in held}):
        if where.stop or any(each.is_bad for each in rollouts):
            log.error("the tags of later waves stay held; when it is solved, give the command again")
            break
        chosen = []
        for found in (found for found, move in held if move.wave == wave):
            name = found.name
            try:
                stream = release_hold(where.cluster, name, where.retrier)
            except NoHoldError as error:
                log.warning("%s/%s: %s", name.namespace, name, error)
            except ImportImagesError as error:
                log.error("%s/%s was not released: %s", name.namespace, name, error)
                tags.append(_not_released(found, error))
            else:
                log.info("%s/%s is released", name.namespace, name)
                chosen.append(released_choice(stream, name.tag))
        imported = import_released(where, begun, chosen, survey)
        tags += imported.tags
        rollouts += imported.rollouts
    return Imported(tuple(tags), tuple(rollouts))
