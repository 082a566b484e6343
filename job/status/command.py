"""`status`: how things stand, and what needs attention."""

from __future__ import annotations

import os
from typing import Any

from job.config.settings import Settings
from job.domain.model import Command
from job.domain.times import iso
from job.run.engine import start
from job.run.session import place
from job.runtime.shutdown import Stop
from job.status.assess import judge
from job.status.collect import take_stock
from job.status.model import Attention, Look, PastRun, Standing, TagStanding
from job.status.punctuality import Punctuality, delay_of
from job.views.documents import hold_document, image_document
from job.views.output import document, write


def status(settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Show how things stand; returns 0 where all is well, as far as can be told, and 1 where something is not."""
    with place(settings, stop) as where:
        # Asked as a plan asks, so that nothing is written.
        run = start(where, command=Command.STATUS, dry_run=True, environment=os.environ, progress=where.progress.show)
        standing = judge(take_stock(run))
    if as_table:
        from job.status.table import print_status

        write(lambda: print_status(standing))
    else:
        document("Status", status_document(standing))
    return 0 if standing.is_well else 1


def status_document(standing: Standing) -> dict[str, Any]:
    """How things stand as JSON."""
    return {
        "at": iso(standing.now),
        "well": standing.is_well,
        "deployment": standing.deployment,
        "namespaces": list(standing.namespaces),
        "attention": [_attention(each) for each in standing.attention],
        "unknown": [
            {"namespace": each.namespace or None, "part": each.part, "message": each.message}
            for each in standing.unknown
        ],
        "tags": [_tag(tag) for tag in standing.tags],
        "schedules": [_schedule(each) for each in standing.schedules],
        "runs": [_run(each) for each in standing.runs],
        "workloads": [_workload(look) for look in standing.looks],
    }


def _attention(each: Attention) -> dict[str, Any]:
    return {
        "namespace": each.namespace,
        "subject": each.subject,
        "problem": each.problem,
        "message": each.message,
        "since": iso(each.since),
        "command": each.command,
    }


def _tag(tag: TagStanding) -> dict[str, Any]:
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
    }


def _schedule(each: Punctuality) -> dict[str, Any]:
    table, cron_job = each.timetable, each.timetable.cron_job
    return {
        "namespace": cron_job.namespace,
        "cronjob": cron_job.name,
        "deployment": cron_job.deployment,
        "namespaces": list(cron_job.namespaces),
        "schedule": table.text,
        "time_zone": table.zone,
        "suspended": table.suspended,
        "next_due": iso(each.next_due),
        "missed": iso(each.missed),
        "last_run": each.run.id if each.run else None,
        "last_run_delay": delay_of(each.run) if each.run else None,
        "message": table.problem,
    }


def _run(each: PastRun) -> dict[str, Any]:
    record = each.record
    return {
        "namespace": each.namespace,
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


def _workload(look: Look) -> dict[str, Any]:
    return {
        "namespace": look.namespace,
        "kind": look.kind,
        "name": look.name,
        "tags": [name.seen_from(look.namespace) for name in look.tags],
        "result": look.result or "under_way",
        "message": look.message,
        "command": look.command,
    }
