"""What is wrong with the CronJobs and the last runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from job.domain.model import Command, Outcome, Result, TriggerKind
from job.domain.shell import command
from job.domain.states import Problem, State
from job.domain.times import iso
from job.journal.records import RUNNING, Journal, RunRecord, belongs_to
from job.status.model import Attention, Facts, TagStatus
from job.status.punctuality import LONGEST_RUN, Punctuality, Timetable, punctuality

# It is a label of the pods, too.
LONGEST_JOB_NAME = 63


def concerns(deployment: str | None, facts: Facts) -> bool:
    """Whether a run or CronJob of that deployment (None: every tag) concerns what `status` was asked for."""
    return None in (deployment, facts.deployment) or deployment == facts.deployment


def punctuality_of(timetable: Timetable, facts: Facts) -> Punctuality:
    """How the runs of a CronJob kept to its schedule, by all journals."""
    journals = [journal for name, journal in facts.journals.items() if timetable.cron_job.imports(name)]
    runs = sorted((run for journal in journals for run in journal.runs), key=lambda run: run.id, reverse=True)
    return punctuality(timetable, runs if journals else None, facts.now)


def problems_of_schedule(schedule: Punctuality) -> list[Attention]:
    """What is wrong with a CronJob."""
    table, cron_job = schedule.timetable, schedule.timetable.cron_job
    namespace, subject, name = cron_job.namespace, str(cron_job), f"cronjob/{cron_job.name}"
    if table.suspended:
        resumed = command("oc", "patch", name, "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":false}}')
        return [Attention(namespace, subject, Problem.SUSPENDED, "suspended: no run starts", None, resumed)]
    if table.is_broken:
        message = f"its schedule cannot be read: {table.problem}"
        return [
            Attention(namespace, subject, Problem.SCHEDULE, message, None, command("oc", "edit", name, "-n", namespace))
        ]
    if schedule.missed:
        message = f"the run that was due at {iso(schedule.missed)} did not happen" + (
            ": its Job was created, but the journal has no run of it" if schedule.made else ""
        )
        suffix = f"-now-{schedule.missed:%m%d%H%M}"
        job = cron_job.name[: LONGEST_JOB_NAME - len(suffix)].rstrip("-.") + suffix
        made = command("oc", "create", "job", job, f"--from={name}", "-n", namespace)
        return [Attention(namespace, subject, Problem.RUN_MISSED, message, schedule.missed, made)]
    return []


def problems_of_runs(
    namespace: str,
    journal: Journal,
    facts: Facts,
    tags: Sequence[TagStatus],
    reported: Sequence[Attention],
) -> list[Attention]:
    """The last run of each kind in a namespace, where it failed and nothing else reports that.

    A run of only some tags (by hand, `rollback`, `resume`) says nothing about the run before it; it is judged by itself
    until the next complete run.

    Args:
        namespace: whose journal it is.
        journal: its last runs, newest first.
        facts: what was collected.
        tags: the status of all tags.
        reported: the problems of tags and workloads.
    """
    own_tags = [tag for tag in tags if tag.name.namespace == namespace]
    excused = _excused(namespace, facts, own_tags, reported)
    problems: list[Attention] = []
    done: set[tuple[Any, ...]] = set()
    for run in journal.runs:
        kind = run.deployment, run.shard
        is_complete = run.command is Command.RUN and not run.narrowed
        # A schedule narrows its runs in the same way each time, a person does not.
        part = kind if is_complete else (*kind, run.command, run.trigger is TriggerKind.SCHEDULED)
        if kind in done or part in done or not concerns(run.deployment, facts):
            continue
        if not any(belongs_to(namespace, (tag.name.stream, tag.name.tag), *kind) for tag in own_tags):
            continue
        if run.outcome == RUNNING and not _hangs(run, facts):
            continue
        done.add(part)
        if problem := _problem_of(namespace, run, facts, is_complete=is_complete, excused=excused):
            problems.append(problem)
    return problems


def _excused(
    namespace: str, facts: Facts, own_tags: Sequence[TagStatus], reported: Sequence[Attention]
) -> Mapping[str, bool]:
    """Whether an outcome is explained by a problem that is reported, or by one that is over."""
    problems = {attention.problem for attention in reported if attention.namespace == namespace}
    # What a gate holds back waits, unless the gate found that nodes cannot use it.
    is_current = all(
        tag.state in (State.CURRENT, State.HELD, State.SKIPPED) or (tag.state is State.GATED and not tag.failed_runs)
        for tag in own_tags
    )
    are_workloads_unknown = any(
        unread.part == "workloads" and unread.namespace == namespace for unread in facts.unknown
    )
    return {
        Outcome.PARTIAL: bool(problems - {Problem.ROLLOUT}) or is_current,
        Outcome.UNHEALTHY: Problem.ROLLOUT in problems or not are_workloads_unknown,
    }


def _problem_of(
    namespace: str, run: RunRecord, facts: Facts, *, is_complete: bool, excused: Mapping[str, bool]
) -> Attention | None:
    subject, log = f"run {run.id}", _log_of(run, facts)
    outcome, failed = run.outcome, run.counts.get(Result.FAILED)
    if outcome == Outcome.UNHEALTHY and failed and excused.get(outcome, True):
        # The rollouts are well again; the tags that failed in the same run may not be.
        outcome = Outcome.PARTIAL
    if run.outcome == RUNNING:
        message = "it started and has not finished: it was killed, or it hangs"
        return Attention(namespace, subject, Problem.RUN_HANGS, message, run.started_at, log)
    if outcome not in (Outcome.FAILURE, Outcome.ABORTED) and excused.get(outcome, True):
        return None
    what = run.command if is_complete or run.command is not Command.RUN else "partial run"
    message = f"the last {what} {_ENDED.get(outcome, f'ended as {outcome}')}"
    message += f", with {failed} failed" if failed else ""
    return Attention(namespace, subject, Problem.RUN_FAILED, message, run.finished_at, log)


_ENDED: Mapping[str, str] = {
    Outcome.FAILURE: "failed",
    Outcome.PARTIAL: "failed for some tags",
    Outcome.ABORTED: "was aborted",
    Outcome.UNHEALTHY: "left rollouts unhealthy",
}


def _hangs(run: RunRecord, facts: Facts) -> bool:
    longest = max((timetable.longest for timetable in facts.timetables), default=LONGEST_RUN)
    return run.started_at is not None and facts.now - run.started_at > longest


def _namespace_of_job(job: str, run: RunRecord, facts: Facts) -> str | None:
    """Where the Job of a run is; None where that is not known."""
    cron_jobs = [timetable.cron_job for timetable in facts.timetables]
    of_name = [c for c in cron_jobs if (c.name == run.cron_job if run.cron_job else job.startswith(f"{c.name}-"))]
    if of_name:
        return max(of_name, key=lambda cron_job: len(cron_job.name)).namespace
    is_known = all(unknown.part != "schedule" for unknown in facts.unknown)
    # One CronJob may import in many namespaces: its Job is where it is, not where it imports.
    is_elsewhere = run.cron_job is not None and is_known
    return facts.namespaces[0] if len(facts.namespaces) == 1 and not is_elsewhere else None


def _log_of(run: RunRecord, facts: Facts) -> str:
    if run.job and (where := _namespace_of_job(run.job, run, facts)):
        return command("oc", "logs", f"job/{run.job}", "-n", where)
    deployment = ("--deployment", run.deployment) if run.deployment else ()
    return command("import-images", "plan", *deployment, "-n", ",".join(facts.namespaces))
