"""What is as it should be, what is not, and which of it needs a person.

Not everything that is out of the ordinary does. A tag that is behind comes with the next run, a hold was meant by
somebody, an old image may be a finished one. What needs attention here is what the alerts tell of as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from job.domain.model import (
    By,
    Command,
    Outcome,
    Reason,
    Result,
    RolloutResult,
    RunError,
    Skip,
    TagName,
    TagResult,
    TriggerKind,
)
from job.domain.shell import command, ours, resuming
from job.domain.text import clean
from job.domain.times import from_unix, iso
from job.imagestreams.api_types import login_secret
from job.journal.records import RUNNING, Journal, RunRecord, TagRecord, belongs_to
from job.status.model import (
    OLD,
    Attention,
    Findings,
    Look,
    PastRun,
    Problem,
    Seen,
    Standing,
    State,
    TagStanding,
    Unknown,
    is_rolling_out,
)
from job.status.punctuality import LONGEST_RUN, Punctuality, Timetable, punctuality, two_due_times_ago

# Of tags whose schedule is not known: two Tuesdays and a day.
STALE = timedelta(days=15)
FORGOTTEN = timedelta(days=14)
RUNS_KEPT = 10
_NO_VERDICT_BY_API = frozenset({Reason.FORBIDDEN, Reason.INVALID, Reason.NOT_FOUND})


def judge(found: Findings) -> Standing:
    """How everything stands, by all that was found out."""
    unknown = [*found.unknown, *_without_right(found.tags)]
    tags = [_tag_standing(seen, found) for seen in found.tags]
    schedules = [_punctuality(each, found) for each in found.timetables if _concerns(each.cron_job.deployment, found)]
    of_tags = [each for tag in tags for each in _of_tag(tag, found)]
    of_looks = [each for look in found.looks for each in _of_look(look, found)]
    attention = [
        *(_of_namespace(error) for error in found.errors),
        *(each for schedule in schedules for each in _of_schedule(schedule)),
        *(
            each
            for ns, journal in found.journals.items()
            for each in _of_runs(ns, journal, found, tags, of_tags, of_looks)
        ),
        *of_tags,
        *of_looks,
    ]
    return Standing(
        now=found.now,
        deployment=found.deployment,
        namespaces=found.namespaces,
        attention=tuple(attention),
        unknown=tuple(unknown),
        tags=tuple(tags),
        runs=tuple(
            PastRun(namespace, record)
            for namespace, journal in found.journals.items()
            for record in [run for run in journal.runs if _concerns(run.deployment, found)][:RUNS_KEPT]
        ),
        schedules=tuple(schedules),
        looks=tuple(found.looks),
        rollout_timeout=found.rollout_timeout,
    )


def _concerns(deployment: str | None, found: Findings) -> bool:
    return None in (deployment, found.deployment) or deployment == found.deployment


def _of_namespace(error: RunError) -> Attention:
    namespace, listed = error.namespace, command("oc", "get", "imagestreams", "-n", error.namespace)
    return Attention(namespace, f"namespace {namespace}", Problem.UNREAD, error.message, command=listed)


# Tags


def _lacks_right(result: TagResult) -> bool:
    """Whether it is whoever asks that may not ask; a registry that the cluster blocks is forbidden to everybody."""
    told = result.message or ""
    return (result.by, result.reason) == (By.API, Reason.FORBIDDEN) and 'resource "imagestreamimports"' in told


def _without_right(tags: Iterable[Seen]) -> list[Unknown]:
    namespaces = dict.fromkeys(seen.result.namespace for seen in tags if _lacks_right(seen.result))
    told = "what the registries have is not known: grant create on imagestreamimports"
    return [Unknown(namespace, "registry", told) for namespace in namespaces]


def _state(result: TagResult) -> State:
    if result.result is Result.FAILED:
        asked = result.by is By.REGISTRY or (result.reason in _NO_VERDICT_BY_API and not _lacks_right(result))
        return State.FAILED if asked and result.by else State.UNKNOWN
    if result.result is Result.SKIPPED:
        return State.HELD if result.reason is Skip.HELD else State.SKIPPED
    return State.CURRENT if result.result is Result.UNCHANGED else State.BEHIND


def _tag_standing(seen: Seen, found: Findings) -> TagStanding:
    result, name = seen.result, seen.name
    journal = found.journals.get(name.namespace)
    record = (journal.tags.get((name.stream, name.tag)) if journal else None) or TagRecord()
    state, image = _state(result), result.before
    message = None if _lacks_right(result) else result.message
    if message is None and seen.problem and image is None:
        message = f"its import failed: {seen.problem[1] or seen.problem[0]}"
    is_asked = state in (State.CURRENT, State.BEHIND)
    return TagStanding(
        name=name,
        source=result.source,
        state=state,
        reason=None if _lacks_right(result) else result.reason,
        by=result.by if result.result is Result.FAILED else None,
        image=image,
        registry=result.after if is_asked else None,
        message=clean(message) if message else None,
        hold=result.hold,
        last_success=None if record.last_success is None else from_unix(record.last_success),
        failed_runs=record.failed_runs,
        failing_since=_failing_since(seen, state, journal, record),
        is_old=bool(image and image.created and found.now - image.created > OLD),
    )


def _failing_since(seen: Seen, state: State, journal: Journal | None, record: TagRecord) -> datetime | None:
    """The earliest failure of the row, of those that are told of."""
    times = [seen.problem[2]] if seen.problem and (state is State.FAILED or record.failed_runs) else []
    name = seen.name
    if journal and record.failed_runs:
        runs = [
            run
            for run in journal.runs
            if run.command is Command.RUN
            and run.finished_at
            and belongs_to(name.namespace, (name.stream, name.tag), *_kind(run))
        ]
        times += [run.finished_at for run in runs[: record.failed_runs] if run.counts.get(Result.FAILED)]
    return min((time for time in times if time), default=None)


def _kind(run: RunRecord) -> tuple[str | None, Any]:
    return run.deployment, run.shard


def _of_tag(tag: TagStanding, found: Findings) -> list[Attention]:
    name = tag.name

    def told(problem: Problem, message: str, since: datetime | None, mend: str) -> list[Attention]:
        return [Attention(name.namespace, str(name), problem, message, since, mend)]

    if tag.state is State.HELD and tag.hold:
        until, at = tag.hold.until, tag.hold.at
        if until is not None and until <= found.now:
            message = f"its hold ended, and it is held still ({tag.hold.reason or 'no reason given'})"
            return told(Problem.HOLD_EXPIRED, message, until, resuming(name))
        if until is None and at is not None and found.now - at > FORGOTTEN:
            message = f"held without an end, and so without updates ({tag.hold.reason or 'no reason given'})"
            return told(Problem.HOLD_FORGOTTEN, message, at, resuming(name))
        return []
    if tag.state in (State.HELD, State.SKIPPED):
        return []
    in_a_row = f"; {tag.failed_runs} runs in a row have failed to import it" if tag.failed_runs > 1 else ""
    if tag.state is State.FAILED:
        # The server's own words for this hide the name in the middle.
        is_gone = (tag.reason, tag.by) == (Reason.NOT_FOUND, By.REGISTRY) and tag.source
        why = f"the registry does not have {tag.source}" if is_gone else f"{tag.reason}: {tag.message}"
        return told(Problem.FAILING, f"{why}{in_a_row}", tag.failing_since, _mending(tag))
    if in_a_row:
        message = f"{tag.failed_runs} runs in a row have failed to import it" + (
            "; the registry has it now" if tag.registry else ""
        )
        return told(Problem.FAILING, message, tag.failing_since, ours("run", name))
    if tag.state is State.CURRENT:
        return []
    limit = _stale_before(name, found)
    if tag.last_success is not None and limit is not None and tag.last_success < limit:
        message = "no run has seen it to be as the registry has it for more than two runs' time"
        return told(Problem.STALE, message, tag.last_success, ours("run", name))
    if tag.state is State.UNKNOWN and tag.message:
        message = f"what the registry has could not be asked: {tag.message}"
        return told(Problem.NOT_KNOWN, message, None, ours("plan", name))
    return []


def _mending(tag: TagStanding) -> str:
    name = tag.name
    if tag.reason is Reason.NOT_FOUND and tag.image:
        # What it was built from tells what to build again.
        return ours("history", name, "--check")
    if tag.reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN) and tag.by is By.REGISTRY and tag.source:
        return login_secret(name, tag.source)
    if tag.by is By.API:
        return command("oc", "describe", f"imagestream/{name.stream}", "-n", name.namespace)
    return ours("plan", name)


def _stale_before(name: TagName, found: Findings) -> datetime | None:
    """Before when a last success is too long ago; None where it may be, since the runs are frozen."""
    journal = found.journals.get(name.namespace)
    runs = journal.runs if journal else ()
    whole = (
        run for run in runs if run.command is Command.RUN and (run.trigger is TriggerKind.SCHEDULED or not run.narrowed)
    )
    last = next((run for run in whole if run.deployment in (None, name.tag)), None)
    if last is not None and last.outcome == Outcome.FROZEN:
        return None
    due = [
        time
        for each in found.timetables
        if each.cron_job.imports(name.namespace, name.tag) and (time := two_due_times_ago(each, found.now))
    ]
    return max(due, default=found.now - STALE)


# Runs and their schedule


def _punctuality(timetable: Timetable, found: Findings) -> Punctuality:
    journals = [journal for name, journal in found.journals.items() if timetable.cron_job.imports(name)]
    runs = sorted((run for journal in journals for run in journal.runs), key=lambda run: run.id, reverse=True)
    return punctuality(timetable, runs if journals else None, found.now)


def _of_schedule(each: Punctuality) -> list[Attention]:
    table, cron_job = each.timetable, each.timetable.cron_job
    namespace, subject, name = cron_job.namespace, str(cron_job), f"cronjob/{cron_job.name}"
    if table.suspended:
        resumed = command("oc", "patch", name, "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
        return [Attention(namespace, subject, Problem.SUSPENDED, "suspended: no run comes", None, resumed)]
    if table.is_broken:
        message = f"its schedule cannot be read: {table.problem}"
        return [
            Attention(namespace, subject, Problem.SCHEDULE, message, None, command("oc", "edit", name, "-n", namespace))
        ]
    if each.missed:
        message = f"the run that was due at {iso(each.missed)} did not come" + (
            ": its Job was made, but the journal has no run of it" if each.made else ""
        )
        job = f"{cron_job.name}-now-{each.missed:%m%d%H%M}"
        made = command("oc", "create", "job", job, f"--from={name}", "-n", namespace)
        return [Attention(namespace, subject, Problem.RUN_MISSED, message, each.missed, made)]
    return []


def _of_runs(
    namespace: str,
    journal: Journal,
    found: Findings,
    tags: Sequence[TagStanding],
    of_tags: Sequence[Attention],
    of_looks: Sequence[Attention],
) -> list[Attention]:
    """What the last run of each kind left behind, where nothing else tells of it.

    What took only some tags (a run by hand, `rollback`, `resume`) says nothing of a run before it, and is judged by
    itself until a whole run comes.
    """
    here = [tag for tag in tags if tag.name.namespace == namespace]
    explained = any(each.namespace == namespace for each in of_tags)
    is_current = all(tag.state in (State.CURRENT, State.HELD, State.SKIPPED) for tag in here)
    is_running = any(each.namespace == namespace for each in of_looks) or not any(
        each.part == "workloads" and each.namespace == namespace for each in found.unknown
    )
    past: Mapping[str, bool] = {Outcome.PARTIAL: explained or is_current, Outcome.UNHEALTHY: is_running}
    attention: list[Attention] = []
    done: set[tuple[Any, ...]] = set()
    for run in journal.runs:
        kind = _kind(run)
        is_whole = run.command is Command.RUN and not run.narrowed
        # What a schedule narrows is the same each time, what a person does is not.
        part = kind if is_whole else (*kind, run.command, run.trigger is TriggerKind.SCHEDULED)
        if kind in done or part in done or not _concerns(run.deployment, found):
            continue
        if not any(belongs_to(namespace, (tag.name.stream, tag.name.tag), *kind) for tag in here):
            continue
        if run.outcome == RUNNING:
            if _hangs(run, found):
                message = "it began and has not ended: it was killed, or it hangs"
                told = Attention(
                    namespace, f"run {run.id}", Problem.RUN_HANGS, message, run.started_at, _log_of(run, found)
                )
                attention.append(told)
                done.add(part)
            continue
        done.add(part)
        if run.outcome in (Outcome.FAILURE, Outcome.ABORTED) or not past.get(run.outcome, True):
            what = run.command if is_whole or run.command is not Command.RUN else "run of only some tags"
            message = f"the last {what} ended as {run.outcome}"
            if failed := run.counts.get(Result.FAILED):
                message += f", with {failed} failed"
            attention.append(
                Attention(namespace, f"run {run.id}", Problem.RUN_FAILED, message, run.finished_at, _log_of(run, found))
            )
    return attention


def _hangs(run: RunRecord, found: Findings) -> bool:
    longest = max((each.longest for each in found.timetables), default=LONGEST_RUN)
    return run.started_at is not None and found.now - run.started_at > longest


def _log_of(run: RunRecord, found: Findings) -> str:
    cron_jobs = [each.cron_job for each in found.timetables]
    where = next((each.namespace for each in cron_jobs if run.job and run.job.startswith(each.name)), None)
    if run.job and (where or len(found.namespaces) == 1):
        return command("oc", "logs", f"job/{run.job}", "-n", where or found.namespaces[0])
    deployment = ("--deployment", run.deployment) if run.deployment else ()
    return command("import-images", "plan", *deployment, "-n", ",".join(found.namespaces))


# Workloads


def _of_look(look: Look, found: Findings) -> list[Attention]:
    if look.result in (RolloutResult.HEALTHY, RolloutResult.PAUSED) or is_rolling_out(
        look, found.now, found.rollout_timeout
    ):
        return []
    subject = f"{look.kind}/{look.name}"
    tags = ", ".join(tag.seen_from(look.namespace) for tag in look.tags)
    message = f"{look.message or 'not healthy'} (follows {tags})"
    return [Attention(look.namespace, subject, Problem.ROLLOUT, message, look.moved_at, look.command)]
