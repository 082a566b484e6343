"""From the facts to the status: every tag, CronJob, run and workload, and which of them need attention."""

from __future__ import annotations

from job.domain.model import RolloutResult, RunError
from job.domain.shell import command
from job.domain.states import Problem
from job.status.model import Attention, Facts, PastRun, StatusReport, WorkloadStatus, is_rolling_out
from job.status.rules import problems_of_rules
from job.status.runs import concerns, problems_of_runs, problems_of_schedule, punctuality_of
from job.status.tags import problems_of, tag_status, without_right

RUNS_KEPT = 10


def assess(facts: Facts) -> StatusReport:
    """The status, from everything that was collected."""
    tags = [tag_status(tag, facts) for tag in facts.tags]
    schedules = [
        punctuality_of(timetable, facts)
        for timetable in facts.timetables
        if concerns(timetable.cron_job.deployment, facts)
    ]
    of_tags = [problem for tag in tags for problem in problems_of(tag, facts)]
    of_workloads = [problem for workload in facts.workloads for problem in _problems_of_workload(workload, facts)]
    of_runs = [
        problem
        for namespace, journal in facts.journals.items()
        for problem in problems_of_runs(namespace, journal, facts, tags, [*of_tags, *of_workloads])
    ]
    attention = [
        *map(_unread, facts.errors),
        *(problem for schedule in schedules for problem in problems_of_schedule(schedule)),
        *of_runs,
        *of_tags,
        *problems_of_rules(facts, tags),
        *of_workloads,
    ]
    return StatusReport(
        now=facts.now,
        deployment=facts.deployment,
        namespaces=facts.namespaces,
        attention=tuple(attention),
        unknown=(*facts.unknown, *without_right(facts.tags)),
        tags=tuple(tags),
        runs=_past_runs(facts),
        schedules=tuple(schedules),
        workloads=tuple(facts.workloads),
        rollout_timeout=facts.rollout_timeout,
        rules=facts.rules,
    )


def _past_runs(facts: Facts) -> tuple[PastRun, ...]:
    return tuple(
        PastRun(namespace, record)
        for namespace, journal in facts.journals.items()
        for record in [run for run in journal.runs if concerns(run.deployment, facts)][:RUNS_KEPT]
    )


def _unread(error: RunError) -> Attention:
    namespace, listed = error.namespace, command("oc", "get", "imagestreams", "-n", error.namespace)
    return Attention(namespace, f"namespace {namespace}", Problem.UNREAD, error.message, command=listed)


def _problems_of_workload(workload: WorkloadStatus, facts: Facts) -> list[Attention]:
    is_fine = workload.result in (RolloutResult.HEALTHY, RolloutResult.PAUSED)
    if is_fine or is_rolling_out(workload, facts.now, facts.rollout_timeout):
        return []
    subject = f"{workload.kind}/{workload.name}"
    tags = ", ".join(tag.seen_from(workload.namespace) for tag in workload.tags)
    message = f"{workload.message or 'not healthy'} (follows {tags})"
    return [Attention(workload.namespace, subject, Problem.ROLLOUT, message, workload.moved_at, workload.command)]
