"""`rollback --run`: every tag that one run moved, with one question and one report.

Interrupted anywhere, the command can be given again: what is done already stays, and is watched again.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from job.cluster.whoami import current_user
from job.commands.command_run import CommandRun, end
from job.commands.obstacles import read_beside_freeze, with_rules
from job.commands.past_run import Past, begin_again, document_of, past_run, selected_tags
from job.commands.rollback import (
    STOPPED,
    confirm,
    rolled_back_result,
    show_plan,
)
from job.commands.rollback_plan import Request, RollbackPlan, end_of_hold, plan_of, target_of, with_aliases
from job.config.settings import Settings
from job.domain.errors import ClusterError, ImportImagesError, StoppedError, UsageError
from job.domain.holds import Terms, hold_of
from job.domain.model import By, Command, Image, Item, Reason, Result, TagName, TagResult
from job.domain.records import dataclass, replace
from job.domain.rules import BlockRule, Rules
from job.domain.text import clean
from job.imagestreams.retag import roll_back
from job.journal.records import Move
from job.run.blocked import block_left, rule_of_rollback
from job.run.context import IDENTITY_SECONDS
from job.run.rollout_watch import watch_rollouts
from job.run.session import Place, place
from job.run.targets import SelectedTag
from job.run.waves import Imported
from job.runtime.pool import gather
from job.runtime.shutdown import Stop
from job.runtime.terminal import is_there
from job.workloads.discovery import Survey
from job.workloads.followers import Moved

log = logging.getLogger(__name__)

GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Planned:
    """A tag that is rolled back; `target` is None where that is done already."""

    selected: SelectedTag
    move: Move
    plan: RollbackPlan
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
        past = past_run(where, run_id)
        survey = where.survey(sorted({name.namespace for name, _ in past.moves}))
        request = replace(request, reason=request.reason or f"rollback of run {past.record.id}")
        namespaces = sorted({name.namespace for name, _ in past.moves})
        rules = read_beside_freeze(where, namespaces, "a rollback", lenient=not request.block)
        plan = _plan(where, past, request, until, survey, rules)
        for name, why in plan.left_alone.items():
            log.warning("%s/%s is left alone: %s", name.namespace, name, why)
        remaining = [planned for planned in plan.planned if planned.target is not None]
        if not plan.planned:
            raise UsageError([f"nothing of run {past.record.id} can be rolled back; nothing was changed"])
        identity = where.identify(IDENTITY_SECONDS)
        where.progress.pause()
        for number, planned in enumerate(remaining):
            show_plan(planned.plan, None if number else identity, as_table=as_table)
        if remaining and not request.yes:
            confirm(where, f"Roll {len(remaining)} tags of run {past.record.id} back on {identity}? [y/N] ")
        if stop:
            raise StoppedError(STOPPED)
        return _roll_back(where, past, plan, survey, rules, as_table=as_table, block=bool(request.block))


def _plan(
    where: Place,
    past: Past,
    request: Request,
    until: datetime | None,
    survey: Survey,
    rules: Mapping[str, Rules],
) -> _Plan:
    """What is to be done with each tag of the run."""
    planned: list[_Planned] = []
    left_alone: dict[TagName, str] = {}
    now = selected_tags(where, past)
    for name, move in past.moves:
        selected = now[name]
        if isinstance(selected, str):
            left_alone[name] = selected
            continue
        current, hold = selected.tag.current, hold_of(selected.tag)
        if move.before is None:
            left_alone[name] = "it had no image before the run"
        elif hold and hold.image == move.before:
            done = plan_of(where, selected, Item(move.before, None), request, until, survey)
            planned.append(_Planned(selected, move, done, None))
        elif current is None or current.digest != move.after:
            left_alone[name] = f"it has moved on to {current.digest if current else 'no image'}"
        else:
            try:
                target = target_of(selected, move.before)
                plan = plan_of(where, selected, target, request, until, survey)
                plan = with_rules(replace(plan, blocks=bool(request.block)), rules)
                planned.append(_Planned(selected, move, plan, target))
            except UsageError as error:
                left_alone[name] = str(error)
    return _Plan(tuple(planned), left_alone)


def _roll_back(
    where: Place,
    past: Past,
    plan: _Plan,
    survey: Survey,
    rules: Mapping[str, Rules],
    *,
    as_table: bool,
    block: bool,
) -> int:
    """Roll back the last wave first, then watch all rollouts together."""
    begun = begin_again(where, past, [planned.selected.name for planned in plan.planned], Command.ROLLBACK, rules)
    by = current_user(where.cluster)
    results: dict[TagName, TagResult] = {}
    for wave in sorted({planned.move.wave for planned in plan.planned}, reverse=True):
        streams: dict[tuple[str, str], list[_Planned]] = {}
        for planned in plan.planned:
            if planned.move.wave == wave:
                streams.setdefault((planned.selected.name.namespace, planned.selected.name.stream), []).append(planned)
        # Writes of one stream follow one another, since two at a time conflict.
        calls = {key: functools.partial(_of_stream, where, begun, tags, by) for key, tags in streams.items()}
        for answer in gather(calls, where.settings.concurrency, where.stopping, GRACE_SECONDS).values():
            if isinstance(answer, dict):
                results |= answer
    moved = {
        name: Moved(result.after.digest, planned.move.after)
        for planned in plan.planned
        if (result := results.get(planned.selected.name)) and result.result is Result.ROLLED_BACK and result.after
        for name in with_aliases(planned.selected)
    }
    blocked = _block(where, begun, plan, results, by) if block else []
    rollouts = watch_rollouts(begun.run, survey.workloads, moved, where.stopping)
    tags = tuple(results.get(planned.selected.name) or _stopped(planned) for planned in plan.planned)
    more = {**document_of(past, plan.left_alone), "blocked": blocked}
    return end(where, begun, Imported(tags, rollouts), survey.errors, as_table=as_table, more=more)


def _block(
    where: Place, begun: CommandRun, plan: _Plan, results: Mapping[TagName, TagResult], by: str | None
) -> list[str]:
    """Block what the tags were rolled back from; returns the digests that are blocked then."""
    blocked: dict[str, list[BlockRule]] = {}
    for planned in plan.planned:
        if (result := results.get(planned.selected.name)) and result.result is Result.ROLLED_BACK:
            terms = Terms(begun.run.started, by, planned.plan.reason, planned.plan.until)
            blocked.setdefault(planned.selected.name.namespace, []).append(rule_of_rollback(planned.move.after, terms))
    done = [rules for name, rules in blocked.items() if block_left(where.cluster, name, rules) is None]
    return sorted({rule.what for rules in done for rule in rules})


def _of_stream(where: Place, begun: CommandRun, tags: Sequence[_Planned], by: str | None) -> dict[TagName, TagResult]:
    return {
        planned.selected.name: _of_tag(where, begun, planned, by)
        for planned in tags
        if not where.stop or planned.target is None
    }


def _of_tag(where: Place, begun: CommandRun, planned: _Planned, by: str | None) -> TagResult:
    plan, name = planned.plan, planned.selected.name
    if planned.target is None:
        result = rolled_back_result(planned.selected, plan, planned.selected.tag)
        bad = Image(planned.move.after, None, None, None, None)
        return replace(result, before=bad, message=f"was rolled back from {bad.digest} already")
    try:
        tag = roll_back(
            where.cluster,
            name,
            planned.target,
            Terms(begun.run.started, by, plan.reason, plan.until, plan.until_newer),
            bad=plan.now.digest,
            retrier=where.retrier,
            timeout=where.settings.import_timeout,
        )
    except ImportImagesError as error:
        log.error("%s/%s was not rolled back: %s", name.namespace, name, error)
        reason = error.reason if isinstance(error, ClusterError) else Reason.CONFLICT
        result = rolled_back_result(planned.selected, plan, planned.selected.tag)
        message = clean(f"not rolled back: {error}")
        return replace(result, result=Result.FAILED, reason=reason, by=By.API, message=message, after=plan.now)
    where.stop.what_ends = "some tags are rolled back already; "
    log.info("%s/%s is on %s, and held", name.namespace, name, plan.to.digest)
    return rolled_back_result(planned.selected, plan, tag)


def _stopped(planned: _Planned) -> TagResult:
    result = rolled_back_result(planned.selected, planned.plan, planned.selected.tag)
    message = "stopped before it was rolled back"
    return replace(result, result=Result.FAILED, reason=Reason.ABORTED, message=message, after=planned.plan.now)
