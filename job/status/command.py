"""`status`: the state of each tag, the last runs, and what needs attention."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from job.config.settings import Settings
from job.domain.errors import ClusterError, StoppedError
from job.domain.exit_status import ExitStatus
from job.domain.model import Command
from job.domain.rules import BlockRule
from job.domain.times import from_unix, iso
from job.journal.waiting import Waiting
from job.run.context import IDENTITY_SECONDS, Context
from job.run.engine import start
from job.run.session import place
from job.runtime.clock import SYSTEM
from job.runtime.progress import SILENT, Progress
from job.runtime.shutdown import Stop
from job.status.assess import assess
from job.status.collect import collect
from job.status.model import Attention, PastRun, StatusReport, TagStatus, WorkloadStatus
from job.status.punctuality import Punctuality, delay_of
from job.views.documents import hold_document, image_document
from job.views.output import document, write
from job.views.rules_document import rules_document

WATCH_SECONDS = 5.0


def status(settings: Settings, stop: Stop, *, as_table: bool, everything: bool = False) -> int:
    """Show the status; returns 0 where nothing needs attention, as far as could be checked, else 1.

    `everything` leaves nothing out of the tables.
    """
    with place(settings, stop) as where:
        report = _read(where, where.progress)
        identity = where.identify(IDENTITY_SECONDS)
    if as_table:
        from job.status.table import print_status
        from job.views.tables import print_identity

        write(lambda: print_identity(identity))
        write(lambda: print_status(report, everything=everything))
    else:
        document("Status", status_document(report))
    return 0 if report.is_well else 1


def _read(where: Context, progress: Progress) -> StatusReport:
    # As a dry run, so that nothing is written.
    run = start(where, command=Command.STATUS, dry_run=True, environment=os.environ, progress=progress)
    return assess(collect(run))


def watch(settings: Settings, stop: Stop, *, everything: bool) -> int:
    """Draw the status again and again until Ctrl-C, which returns 0.

    Raises:
        ImportImagesError: the first read failed; a later one that fails is shown instead.
        StoppedError: stopped by something else than Ctrl-C.
    """
    from job.status.screen import Screen

    stop.is_quiet = True
    try:
        with place(settings, stop) as where:
            report = _read(where, where.progress)
            where.progress.end()
            screen = Screen(sys.stdout, everything=everything)
            problem: str | None = None
            while not stop:
                write(functools.partial(screen.draw, report, where.identify(0.0), problem, WATCH_SECONDS))
                SYSTEM.pause(WATCH_SECONDS, where.stopping)
                if not stop:
                    try:
                        report, problem = _read(where, SILENT), None
                    except ClusterError as error:
                        problem = str(error)
    except StoppedError:
        pass
    if stop.reason == "SIGINT":
        return ExitStatus.SUCCESS
    raise StoppedError(f"stopped by {stop.reason}")


def status_document(report: StatusReport) -> dict[str, Any]:
    """The status as a JSON document."""
    return {
        "at": iso(report.now),
        "well": report.is_well,
        "deployment": report.deployment,
        "namespaces": list(report.namespaces),
        "attention": [_attention(attention) for attention in report.attention],
        "unknown": [
            {"namespace": part.namespace or None, "part": part.part, "message": part.message} for part in report.unknown
        ],
        "tags": [_tag(tag) for tag in report.tags],
        "schedules": [_schedule(schedule) for schedule in report.schedules],
        "runs": [_run(run) for run in report.runs],
        "workloads": [_workload(workload) for workload in report.workloads],
        "rules": [_rules(name, report) for name in report.rules],
    }


def _rules(namespace: str, report: StatusReport) -> dict[str, Any]:
    def tags_with(rule: BlockRule) -> list[str]:
        own = (tag for tag in report.tags if tag.name.namespace == namespace and tag.image)
        return [str(tag.name) for tag in own if tag.image and rule.matches(tag.image.digest, tag.image.revision)]

    return rules_document(namespace, report.rules[namespace], tags_with)


def _attention(attention: Attention) -> dict[str, Any]:
    return {
        "namespace": attention.namespace,
        "subject": attention.subject,
        "problem": attention.problem,
        "message": attention.message,
        "since": iso(attention.since),
        "command": attention.command,
    }


def _tag(tag: TagStatus) -> dict[str, Any]:
    return {
        "namespace": tag.name.namespace,
        "stream": tag.name.stream,
        "tag": tag.name.tag,
        "source": tag.source,
        "state": tag.state,
        "reason": tag.reason,
        "by": tag.by,
        "message": tag.message,
        "image": image_document(tag.image),
        "registry": image_document(tag.registry),
        "old": tag.is_old,
        "hold": hold_document(tag.hold),
        "last_success": iso(tag.last_success),
        "failed_runs": tag.failed_runs,
        "failing_since": iso(tag.failing_since),
        "gate": _gate(tag.waiting),
    }


def _gate(waiting: Waiting | None) -> dict[str, Any] | None:
    if waiting is None:
        return None
    return {
        "gate": waiting.gate,
        "verdict": waiting.verdict,
        "digest": waiting.digest,
        "message": waiting.message,
        "where": waiting.where,
        "held_since": iso(from_unix(waiting.held_since)),
        "until": None if waiting.until is None else iso(from_unix(waiting.until)),
    }


def _schedule(schedule: Punctuality) -> dict[str, Any]:
    table, cron_job = schedule.timetable, schedule.timetable.cron_job
    return {
        "namespace": cron_job.namespace,
        "cronjob": cron_job.name,
        "deployment": cron_job.deployment,
        "namespaces": list(cron_job.namespaces),
        "schedule": table.text,
        "time_zone": table.zone,
        "suspended": table.suspended,
        "gates": list(cron_job.settings.gates.gates),
        "next_due": iso(schedule.next_due),
        "missed": iso(schedule.missed),
        "last_run": schedule.run.id if schedule.run else None,
        "last_run_delay": delay_of(schedule.run) if schedule.run else None,
        "message": table.problem,
    }


def _run(run: PastRun) -> dict[str, Any]:
    record = run.record
    return {
        "namespace": run.namespace,
        "id": record.id,
        "command": record.command,
        "narrowed": record.narrowed,
        "trigger": record.trigger,
        "job": record.job,
        "deployment": record.deployment,
        "shard": {"index": record.shard.index, "count": record.shard.count} if record.shard else None,
        "outcome": record.outcome,
        "exit_status": record.exit_status,
        "scheduled_at": iso(record.scheduled_at),
        "started_at": iso(record.started_at),
        "finished_at": iso(record.finished_at),
        "delay": delay_of(record),
        "tags": dict(record.counts),
    }


def _workload(workload: WorkloadStatus) -> dict[str, Any]:
    return {
        "namespace": workload.namespace,
        "kind": workload.kind,
        "name": workload.name,
        "tags": [name.seen_from(workload.namespace) for name in workload.tags],
        "result": workload.result or "under_way",
        "message": workload.message,
        "command": workload.command,
    }
