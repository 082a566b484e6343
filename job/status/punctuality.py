"""When a CronJob of this program is due, and whether its runs were on time, by the journal.

A due time counts as missed once its starting deadline is over (`startingDeadlineSeconds`, at least ten minutes) and no
run of a Job has started since. A run from a shell does not count, nor a Job made by hand for some of the tags: what the
schedule should have imported may still be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from job.cluster.unstructured import object_in
from job.domain.model import Command, TriggerKind
from job.domain.records import dataclass
from job.domain.schedule import Schedule, UnsupportedScheduleError
from job.domain.text import clean
from job.domain.times import parse_time
from job.journal.records import RunRecord
from job.workloads.cronjob import CronJob, cron_job_from

LEAST_PATIENCE = timedelta(minutes=10)
# More than the manifests allow a run.
LONGEST_RUN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a CronJob of ours runs.

    Attributes:
        text: its schedule as written.
        zone: the name of its time zone; None: UTC.
        suspended: whether it is suspended, so that no run starts.
        schedule: None where `problem` says why it has no due times.
        problem: what is wrong with the schedule.
        is_broken: whether Kubernetes cannot parse it either.
        patience: how long after a due time a run may still begin.
        longest: how long a run may take.
        since: when the CronJob was created.
        last_made: the due time of the last Job that it created.
    """

    cron_job: CronJob
    text: str
    zone: str | None
    suspended: bool
    schedule: Schedule | None
    problem: str | None
    is_broken: bool
    patience: timedelta
    longest: timedelta
    since: datetime | None
    last_made: datetime | None


def timetable_from(data: Mapping[str, Any], zone: str | None = None) -> Timetable | None:
    """The timetable of a CronJob, from its JSON; None when it is not one of this program.

    Args:
        data: the CronJob.
        zone: the time zone of the schedule, instead of the CronJob's.
    """
    cron_job = cron_job_from(data)
    if cron_job is None:
        return None
    spec, text = cron_job.spec, str(cron_job.spec.get("schedule") or "")
    zone = zone or str(spec.get("timeZone") or "") or None
    schedule, problem, is_broken = _schedule(text, zone)
    return Timetable(
        cron_job=cron_job,
        text=text,
        zone=zone,
        suspended=spec.get("suspend") is True,
        schedule=schedule,
        problem=problem,
        is_broken=is_broken,
        patience=max(LEAST_PATIENCE, _seconds(spec.get("startingDeadlineSeconds")) or LEAST_PATIENCE),
        longest=_seconds(object_in(spec, "jobTemplate", "spec").get("activeDeadlineSeconds")) or LONGEST_RUN,
        since=parse_time(object_in(data, "metadata").get("creationTimestamp")),
        last_made=parse_time(object_in(data, "status").get("lastScheduleTime")),
    )


def _seconds(value: object) -> timedelta | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9
    return timedelta(seconds=value) if is_number and isinstance(value, int) else None


def _schedule(text: str, zone: str | None) -> tuple[Schedule | None, str | None, bool]:
    try:
        return Schedule.parse(text, zone), None, False
    except UnsupportedScheduleError as error:
        return None, clean(str(error)), False
    except ValueError as error:
        return None, clean(str(error)), True


@dataclass(frozen=True, slots=True)
class Punctuality:
    """Whether the runs of a CronJob were on time.

    Attributes:
        next_due: None where it is not known, or never occurs.
        missed: the due time for which no run started.
        made: whether a Job was created for it nevertheless, so that its pod failed.
        run: the last scheduled run.
    """

    timetable: Timetable
    next_due: datetime | None = None
    missed: datetime | None = None
    made: bool = False
    run: RunRecord | None = None


def delay_of(run: RunRecord) -> float | None:
    """Seconds from when a run was due to when it began; None where it was not on a schedule."""
    if run.scheduled_at is None or run.started_at is None:
        return None
    return max(0.0, (run.started_at - run.scheduled_at).total_seconds())


def punctuality(timetable: Timetable, runs: Sequence[RunRecord] | None, now: datetime) -> Punctuality:
    """Judge a CronJob by the runs in the journal, newest first; None where no journal can be read."""
    own_runs = [run for run in runs or () if run.command is Command.RUN and _is_of(timetable, run)]
    last = next((run for run in own_runs if run.trigger is TriggerKind.SCHEDULED), None)
    schedule = timetable.schedule
    if schedule is None or timetable.suspended:
        return Punctuality(timetable, run=last)
    due = schedule.last_before(now - timetable.patience)
    if due is None or (timetable.since and due < timetable.since) or any(_was_after(due, run) for run in own_runs):
        return Punctuality(timetable, schedule.next_after(now), run=last)
    made = timetable.last_made is not None and timetable.last_made >= due
    # Without a journal, a Job that was created is the only evidence.
    missed = None if made and runs is None else due
    return Punctuality(timetable, schedule.next_after(now), missed, made and missed is not None, last)


def _is_of(timetable: Timetable, run: RunRecord) -> bool:
    cron_job = timetable.cron_job
    if run.cron_job not in (None, cron_job.name):
        # Of another one, which may split the deployment with it by SELECTOR.
        return False
    if run.deployment in (None, cron_job.deployment):
        return True
    # Its deployment may come from a ConfigMap or Secret, which is not read here.
    return cron_job.deployment is None and (run.job or "").startswith(f"{cron_job.name}-")


def _was_after(due: datetime, run: RunRecord) -> bool:
    # A scheduled run may be narrowed by the CronJob's own arguments.
    counts = run.trigger is TriggerKind.SCHEDULED or (run.trigger is not TriggerKind.LOCAL and not run.narrowed)
    # A run still in progress at the due time locked the scheduled one out.
    moments = (run.started_at, run.finished_at)
    return counts and any(moment is not None and moment >= due for moment in moments)


def two_due_times_ago(timetable: Timetable, now: datetime) -> datetime | None:
    """The second-to-last due time that can no longer start; None where the CronJob is younger, or has none."""
    if timetable.schedule is None or timetable.suspended:
        return None
    last = timetable.schedule.last_before(now - timetable.patience)
    before = last and timetable.schedule.last_before(last - timedelta(seconds=1))
    return None if before is None or (timetable.since and before < timetable.since) else before
