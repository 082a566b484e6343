"""`rollback` and `resume`: there and back."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from job.commands.finding import Found, Place, find_one, place
from job.commands.history import hold_document
from job.commands.showing import document, write
from job.describing import Describer
from job.durations import duration
from job.errors import StoppedError, UsageError
from job.history import NoSuchImageError, came_first, image_to_go_to, moments_of
from job.holds import Terms, hold_of, is_over
from job.journal import Journal, is_of
from job.lookups import Answer, question_of_step
from job.model import Item, Report, Result, Rollout, Shard, Skip, Stream, Tag, TagName, TagResult
from job.openshift import Step, applied_by, image_of, reference_of, steps_of, stream_from
from job.reasons import clean
from job.remembering import Memory
from job.rollback import let_go, put_back, read, source_in_registry, who
from job.rollouts import Moved, Survey, followed_by, survey
from job.rounds import Rounds
from job.runs import Run, record_of, report_of
from job.schedule import parse_zone
from job.selection import Choice, Pattern, Wanted, aliases_of, skip_reason
from job.settings import Settings
from job.stopping import Stop
from job.telling import tell
from job.undoing import Undoing
from job.verdicts import exit_status, outcome_of, overall

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What `rollback` was asked for, as it was written."""

    to: str
    reason: str | None
    until: str | None
    until_newer: bool
    yes: bool


def rollback(settings: Settings, asked: Asked, stop: Stop, *, as_table: bool) -> int:
    """Move a tag back, hold it, and watch what follows it; returns the exit status."""
    until = _until(asked.until, settings.time_zone)
    if not asked.yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise UsageError(["rollback asks before it does anything, and nobody is there to answer: add --yes"])
    with place(settings, stop) as where:
        found = find_one(where)
        target = _target(found, asked.to)
        around = _survey(where, found.name)
        plan = _plan(where, found, target, asked, until, around)
        _show_plan(plan, as_table=as_table)
        confirmed = asked.yes or _confirmed(plan, stop)
        if stop:
            raise StoppedError("stopped before anything was done")
        if not confirmed:
            raise UsageError(["not confirmed: nothing was done"])
        return _roll_back(where, found, target, plan, around, as_table=as_table)


def resume(settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Let a held tag go, import what it follows, and watch what follows it; returns the exit status."""
    with place(settings, stop) as where:
        found = find_one(where)
        name, hold = found.name, hold_of(found.tag)
        if hold is None:
            over = ": a hold was on it and is over, since the tag was moved" if is_over(found.tag) else ""
            raise UsageError([f"{name} in {name.namespace} is not held{over}; nothing was done"])
        around = _survey(where, name)
        if stop:
            raise StoppedError("stopped before anything was done")
        stream = let_go(where.cluster, name, retries=settings.retries, stopping=where.stopping)
        log.info("%s/%s follows %s again", name.namespace, name, _source(stream.tag(name.tag)))
        run = _run(where, found, "resume")
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
    stream = stream_from(read(where.cluster, name, where.settings.retries, where.stopping))
    tag = stream.tag(name.tag)
    if tag is None or tag.current is None or tag.current.digest == result.before.digest:
        return result
    describer = Describer(where.cluster, where.stopping)
    describer.describe(name.namespace, name.stream, tag.current.digest)
    names = [name, *(replace(name, tag=alias) for alias in sorted(aliases_of(stream, name.tag)))]
    rounds.rollouts += rounds.watch(dict.fromkeys(names, Moved(tag.current.digest)), where.stopping)
    image = image_of(tag.current, describer.facts(tag.current.digest))
    return replace(result, result=Result.UPDATED, reason=None, after=image)


def _until(text: str | None, zone: str | None) -> datetime | None:
    """The end of a hold: a time (of the setting's zone where it names none), or a duration from now.

    Raises:
        UsageError: it is neither, or past.
    """
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        return now + timedelta(seconds=duration(text))
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError([f"--until: {text!r} is neither a time such as 2026-12-01T02:00 nor a duration"]) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=parse_zone(zone))
    if time <= now:
        raise UsageError([f"--until: {text} is past"])
    return time.astimezone(UTC)


def _target(found: Found, to: str) -> Step | str:
    name, tag = found.name, found.tag
    what = f"{name} in {name.namespace}"
    if tag.source is None:
        raise UsageError([f"{what} has no source to come back to: its images are pushed; push the older one again"])
    if tag.source.kind == "ImageStreamTag":
        is_alias = any(name.tag in aliases_of(found.stream, each.name) for each in found.stream.tags)
        advice = "roll that one back" if is_alias else "that is another stream, whose image it once took; tag it anew"
        raise UsageError([f"{what} follows {tag.source.name}: {advice}"])
    if tag.reference:
        raise UsageError([f"{what} is a reference that imports nothing: there is nothing to roll back"])
    if tag.current is None:
        raise UsageError([f"{what} has no image yet"])
    try:
        return image_to_go_to(steps_of(found.data, name.tag), hold_of(tag), to)
    except NoSuchImageError as error:
        raise UsageError([f"{what}: {error}"]) from error


def _plan(
    where: Place, found: Found, target: Step | str, asked: Asked, until: datetime | None, around: Survey
) -> Undoing:
    """Everything there is to know before it is done."""
    name, current = found.name, found.tag.current
    assert current is not None
    steps = steps_of(found.data, name.tag)
    describer = Describer(where.cluster, where.stopping)
    digests = [current.digest, *([target.digest] if isinstance(target, Step) else [])]
    describer.describe_all([(name.namespace, name.stream, digest) for digest in digests], 2)
    answer = _in_registry(where, found, target)
    if isinstance(target, Step):
        image = image_of(Item(target.digest, came_first(steps, target.digest)), describer.facts(target.digest))
    elif answer is not None and answer.image is not None:
        image = answer.image
    else:
        why = answer.message if answer else "it does not come from a registry"
        raise UsageError([f"{name}: {target} is not in its history, and the registry does not give it: {why}"])
    names = _with_aliases(found)
    followers = followed_by(around.workloads, {each: Moved(image.digest) for each in names})
    warnings = [error.message for error in around.errors]
    if around.left_out:
        shown = ", ".join(around.left_out[:5]) + (" and others" if len(around.left_out) > 5 else "")
        warnings.append(f"what follows it in {shown} is not known: no right to look")
    if manager := applied_by(found.data):
        warnings.append(f"the stream is kept from a manifest ({manager}): the next apply ends the hold")
    if any(moment.left and moment.step.digest == image.digest for moment in moments_of(steps)):
        warnings.append("this image was itself rolled back from before")
    if answer is not None and answer.image is None and isinstance(target, Step):
        gone = "the registry no longer has it: new pods can only start where it is cached or pulled through"
        warnings.append(gone if answer.is_gone else f"the registry was asked for it: {answer.message}")
    return Undoing(
        name=name,
        now=image_of(current, describer.facts(current.digest)),
        to=image,
        aliases=tuple(sorted(each.tag for each in names if each != name)),
        followers=followers,
        in_registry=answer.is_there if answer else None,
        warnings=tuple(clean(warning) for warning in warnings),
        hold=hold_of(found.tag),
        reason=clean(asked.reason, 1000) if asked.reason else None,
        until=until,
        until_newer=asked.until_newer,
    )


def _in_registry(where: Place, found: Found, target: Step | str) -> Answer | None:
    """What the registry says of the image, asked through the server."""
    name = found.name
    if isinstance(target, Step):
        question = question_of_step(name.namespace, name.stream, target, found.tag.import_policy)
    else:
        source = source_in_registry(reference_of(found.data, name.tag) or {}, found.tag, target)
        step = Step(target, None, source.name if source else "")
        question = question_of_step(name.namespace, name.stream, step, found.tag.import_policy)
    return where.look_up([question])[question] if question else None


def _with_aliases(found: Found) -> list[TagName]:
    tags = (found.name.tag, *sorted(aliases_of(found.stream, found.name.tag)))
    return [replace(found.name, tag=tag) for tag in tags]


def _survey(where: Place, name: TagName) -> Survey:
    return survey(
        where.cluster,
        [name.namespace],
        retries=where.settings.retries,
        stopping=where.stopping,
        concurrency=where.settings.concurrency,
    )


def _show_plan(plan: Undoing, *, as_table: bool) -> None:
    from job.tables import print_undoing

    # A document on stdout stays alone there.
    write(lambda: print_undoing(plan, datetime.now(UTC), sys.stdout if as_table else sys.stderr))


def _confirmed(plan: Undoing, stop: Stop) -> bool:
    sys.stderr.write(f"Move {plan.name} back? [y/N] ")
    sys.stderr.flush()
    # A signal interrupts no read, so that none is begun before there is something to read.
    while not stop:
        if select.select([sys.stdin], [], [], 0.2)[0]:
            return sys.stdin.readline().strip().lower() in ("y", "yes")
    sys.stderr.write("\n")
    return False


def _roll_back(where: Place, found: Found, target: Step | str, plan: Undoing, around: Survey, *, as_table: bool) -> int:
    name, settings = found.name, where.settings
    run = _run(where, found, "rollback")
    terms = Terms(run.started, who(where.cluster), plan.reason, plan.until, plan.until_newer)
    stream = put_back(
        where.cluster,
        name,
        target,
        terms,
        bad=plan.now.digest,
        retries=settings.retries,
        timeout=settings.import_timeout,
        stopping=where.stopping,
    )
    tag = stream.tag(name.tag)
    current = tag.current if tag else None
    hold = hold_of(tag) if tag else None
    log.info("%s/%s is on %s, and held", name.namespace, name, plan.to.digest)
    rounds = Rounds(run, around.workloads)
    moved = {each: Moved(plan.to.digest, plan.now.digest) for each in _with_aliases(found)}
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
        after=replace(plan.to, imported_at=current.imported_at if current else None),
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


def _run(where: Place, found: Found, command: str) -> Run:
    """What a report is made from: of one tag, in the metrics group of the run that usually imports it."""
    name = found.name
    memory = Memory(where.cluster, name.namespace)
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
        if record.command == "run" and is_of(name.namespace, key, record.deployment, record.shard)
    ]
    usual = next((record for record in runs if record.trigger == "scheduled"), runs[0] if runs else None)
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
    _show(report, more, as_table=as_table)
    for error in errors:
        log.error("%s", error.message)
    tell(run, report, os.environ)
    return status


def _show(report: Report, more: Mapping[str, Any], *, as_table: bool) -> None:
    if as_table:
        from job.tables import print_report

        write(lambda: print_report(report, sys.stdout))
        return
    from job.reporting import as_document

    document(report.command.capitalize(), {**more, **as_document(report)})


def _source(tag: Tag | None) -> str:
    return tag.source.name if tag is not None and tag.source is not None else "nothing"
