"""`rollback` and `resume`: move a tag to an earlier image and hold it there, and release it again."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from job.cluster.whoami import current_user
from job.commands.command_run import CommandRun, begin_for_tag, end
from job.commands.obstacles import obstacle_of, read_beside_freeze, with_rules, without_obstacles
from job.commands.rollback_plan import Request, RollbackPlan, end_of_hold, plan_of, target_of, with_aliases
from job.config.settings import Settings
from job.domain.errors import ClusterError, StoppedError, UsageError
from job.domain.holds import Terms, hold_of, is_over
from job.domain.model import (
    Command,
    Identity,
    Item,
    Result,
    Skip,
    Stream,
    Tag,
    TagName,
    TagResult,
)
from job.domain.records import replace
from job.domain.rules import Rules
from job.domain.selection import Choice, aliases_of, skip_reason
from job.imagestreams.api_types import image_of, stream_from
from job.imagestreams.descriptions import Describer
from job.imagestreams.listing import Chosen
from job.imagestreams.retag import release_hold, roll_back
from job.imagestreams.rewrite import read_stream
from job.run.blocked import block_left, rule_of_rollback
from job.run.context import IDENTITY_SECONDS, Run
from job.run.rollout_watch import watch_rollouts
from job.run.session import Place, place
from job.run.targets import SelectedTag, find_one
from job.run.waves import Imported, import_waves
from job.runtime.shutdown import Stop
from job.runtime.terminal import Terminal, agreed, is_there
from job.views.documents import hold_document
from job.views.output import write
from job.workloads.discovery import Survey
from job.workloads.followers import Moved

log = logging.getLogger(__name__)

STOPPED = "stopped; nothing was changed"


def rollback(settings: Settings, request: Request, stop: Stop, *, as_table: bool) -> int:
    """Move a tag to an earlier image, hold it, and watch what follows it; returns the exit status."""
    until = end_of_hold(request.until, settings.time_zone)
    if not request.yes and not is_there():
        raise UsageError(["rollback asks for confirmation, and there is no terminal to ask on: add --yes"])
    with place(settings, stop) as where:
        selected = find_one(where)
        target = target_of(selected, request.to)
        survey = where.survey([selected.name.namespace])
        rules = read_beside_freeze(where, [selected.name.namespace], "a rollback", lenient=request.block is False)
        plan = plan_of(where, selected, target, request, until, survey)
        plan = with_rules(replace(plan, blocks=request.block is not False), rules)
        identity = where.identify(IDENTITY_SECONDS)
        where.progress.pause()
        show_plan(plan, identity, as_table=as_table)
        if not request.yes:
            confirm(where, f"Roll {plan.name.namespace}/{plan.name} back on {identity}? [y/N] ")
        if stop:
            raise StoppedError(STOPPED)
        return _roll_back(where, selected, target, plan, survey, rules, as_table=as_table)


def resume(settings: Settings, stop: Stop, *, as_table: bool, yes: bool = False) -> int:
    """Release a held tag, import what it follows, and watch what follows it; returns the exit status.

    Asks where the registry still has the image that was rolled back from, unless `yes`.
    """
    with place(settings, stop) as where:
        selected = find_one(where)
        name, hold = selected.name, hold_of(selected.tag)
        if hold is None:
            over = ": its hold is over, since the tag was moved" if is_over(selected.tag) else ""
            raise UsageError([f"{name} in {name.namespace} is not held{over}; nothing was changed"])
        rules = read_beside_freeze(where, [name.namespace], "a release")
        obstacle = obstacle_of(where, selected, rules, yes=yes)
        if obstacle and not yes:
            question = f"Import it nevertheless on {where.identify(IDENTITY_SECONDS)}? [y/N] "
            confirm(where, question, "to import it nevertheless: --yes", [obstacle.text])
        survey = where.survey([name.namespace])
        if stop:
            raise StoppedError(STOPPED)
        rules = without_obstacles(where, rules, [obstacle] if obstacle else [])
        stream = release_hold(where.cluster, name, where.retrier)
        where.stop.what_ends = f"{name} is released already; "
        log.info("%s/%s follows %s again", name.namespace, name, _source(stream.tag(name.tag)))
        begun = begin_for_tag(where, name, Command.RESUME, rules)
        imported = import_released(where, begun, [released_choices(stream, [name.tag])], survey)
        return end(where, begun, imported, survey.errors, as_table=as_table, more={"released": hold_document(hold)})


def released_choices(stream: Stream, names: Sequence[str]) -> Chosen:
    """Tags of a stream that were released, as what a run chooses."""
    tags = filter(None, map(stream.tag, names))
    return stream, tuple(Choice(tag, _skip(stream, tag)) for tag in tags)


def import_released(where: Place, begun: CommandRun, chosen: Sequence[Chosen], survey: Survey) -> Imported:
    """Import tags that were released, and watch what follows them."""
    imported = import_waves(begun.run, chosen, workloads=survey.workloads, journals=begun.journals)
    return _with_server_import(where, begun.run, imported, survey)


def confirm(where: Place, question: str, otherwise: str = "add --yes", reasons: Sequence[str] = ()) -> None:
    """Ask the user.

    Args:
        where: what the command works with.
        question: ends with the answers that are taken.
        otherwise: what to do where there is no terminal to ask on.
        reasons: why it is asked, one a line.

    Raises:
        UsageError: the answer is no, or there is no terminal.
    """
    where.progress.pause()
    if not is_there():
        raise UsageError([f"{'; '.join(reasons) or question.partition(' [')[0]}; {otherwise}"])
    shown = "".join(f"{reason}\n" for reason in reasons)
    if not agreed(Terminal(where.stopping, STOPPED).ask(f"{shown}{question}")):
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
    name = result.name
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


def show_plan(plan: RollbackPlan, identity: Identity | None, *, as_table: bool) -> None:
    """Show what a rollback will do."""
    from job.commands.rollback_view import print_undoing

    # With --output json, stdout holds the document alone.
    write(lambda: print_undoing(plan, identity, datetime.now(UTC), sys.stdout if as_table else sys.stderr))


def _roll_back(
    where: Place,
    selected: SelectedTag,
    target: Item | str,
    plan: RollbackPlan,
    survey: Survey,
    rules: Mapping[str, Rules],
    *,
    as_table: bool,
) -> int:
    name, settings = selected.name, where.settings
    begun = begin_for_tag(where, name, Command.ROLLBACK, rules)
    run = begun.run
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
    where.stop.what_ends = f"{name} is rolled back already; "
    log.info("%s/%s is on %s, and held", name.namespace, name, plan.to.digest)
    blocked = [rule_of_rollback(plan.now.digest, terms)] if plan.blocks else []
    problem = block_left(where.cluster, name.namespace, blocked)
    moved = {alias: Moved(plan.to.digest, plan.now.digest) for alias in with_aliases(selected)}
    rollouts = watch_rollouts(run, survey.workloads, moved, where.stopping)
    result = rolled_back_result(selected, plan, tag)
    more = {
        "from": plan.now.digest,
        "to": plan.to.digest,
        "in_registry": plan.in_registry,
        "warnings": list(plan.warnings),
        "hold": hold_document(hold),
        "blocked": [rule.what for rule in blocked] if problem is None else [],
    }
    return end(where, begun, Imported((result,), rollouts), survey.errors, as_table=as_table, more=more)


def rolled_back_result(selected: SelectedTag, plan: RollbackPlan, tag: Tag) -> TagResult:
    """The result of a tag that was rolled back; `tag` is the tag as it is then."""
    return TagResult(
        namespace=selected.name.namespace,
        stream=selected.name.stream,
        tag=selected.name.tag,
        source=selected.tag.source.name if selected.tag.source else None,
        result=Result.ROLLED_BACK,
        message=f"rolled back from {plan.now.digest}: {plan.reason or 'no reason given'}",
        moved_with=plan.aliases,
        before=plan.now,
        after=replace(plan.to, imported_at=tag.current.imported_at if tag.current else None),
        hold=hold_of(tag),
    )


def _source(tag: Tag | None) -> str:
    return tag.source.name if tag is not None and tag.source is not None else "nothing"
