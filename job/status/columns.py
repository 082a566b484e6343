"""The columns of the tables of `status`. A new column is one record here."""

from __future__ import annotations

from datetime import datetime

from job.domain.model import Command
from job.domain.states import State
from job.domain.text import humanize
from job.journal.records import RunRecord
from job.journal.waiting import wait_of
from job.status.model import PastRun, StatusReport, TagStatus, WorkloadStatus, is_rolling_out
from job.status.punctuality import delay_of
from job.views.columns import Column
from job.views.tables import age, short_digest, span

ON_TIME = 60.0


def tag_columns(now: datetime) -> tuple[Column[TagStatus], ...]:
    """The columns about tags."""
    return (
        Column("TAG", lambda tag: str(tag.name), least=14, most=60, is_name=True),
        Column("STATE", _state_of_tag, least=9),
        Column("IMAGE", lambda tag: short_digest(tag.image), rank=4, least=12),
        Column("BUILT", lambda tag: age(tag.image.created if tag.image else None, now), rank=2, is_number=True),
        Column("IMPORTED", lambda tag: age(tag.image.imported_at if tag.image else None, now), rank=3, is_number=True),
        Column("REVISION", lambda tag: ((tag.image.revision if tag.image else None) or "-")[:9], rank=5, least=8),
        Column("NOTE", lambda tag: _note(tag, now), rank=1, least=18, is_text=True),
    )


def run_columns(now: datetime, *, several: bool) -> tuple[Column[PastRun], ...]:
    """The columns about past runs; with `several` namespaces, each run with its own."""
    namespace: Column[PastRun] = Column("NAMESPACE", lambda run: run.namespace, least=12, most=30, is_name=True)
    return (
        *([namespace] if several else []),
        Column("RUN", _kind_of_run, least=10, most=30, is_name=True),
        Column("OUTCOME", lambda run: run.record.outcome, least=9),
        Column("STARTED", lambda run: _started(run.record, now), rank=1, is_number=True),
        Column("LATE", lambda run: _late(run.record), rank=3, is_number=True),
        Column("TAGS", _counts_of_run, rank=2, least=12, is_text=True),
    )


def workload_columns(report: StatusReport) -> tuple[Column[WorkloadStatus], ...]:
    """The columns about workloads that do not run the image of their tag."""
    home = report.namespaces[0] if len(report.namespaces) == 1 else ""

    def name(workload: WorkloadStatus) -> str:
        where = "" if workload.namespace == home else f"{workload.namespace}/"
        return f"{where}{workload.kind}/{workload.name}"

    def follows(workload: WorkloadStatus) -> str:
        return ", ".join(tag.seen_from(workload.namespace) for tag in workload.tags)

    return (
        Column("WORKLOAD", name, least=16, most=50, is_name=True),
        Column("STATE", lambda workload: _state_of_workload(workload, report), least=9),
        Column("FOLLOWS", follows, rank=2, least=14, most=40, is_name=True),
        Column("WHY", lambda workload: workload.message or "", rank=1, least=20, is_text=True),
    )


def _state_of_tag(tag: TagStatus) -> str:
    return humanize(tag.reason) if tag.state is State.SKIPPED and tag.reason else str(tag.state)


def _note(tag: TagStatus, now: datetime) -> str:
    notes = []
    runs = f"{tag.failed_runs} runs failed" if tag.failed_runs > 1 else "last run failed"
    if tag.state is State.FAILED:
        notes.append(str(tag.reason))
        runs = f"{tag.failed_runs} run" + ("s" if tag.failed_runs > 1 else "")
    elif tag.state is State.BEHIND and tag.registry:
        notes.append(f"new: {short_digest(tag.registry)}")
    elif tag.waiting:
        notes.append(f"{tag.waiting.gate.replace('_', ' ')}: {wait_of(tag.waiting, now)}")
    elif tag.state is State.HELD and tag.hold:
        notes.append(f"for {age(tag.hold.at, now)}")
    elif tag.state is State.SKIPPED and tag.image is None:
        notes.append("no image")
    if tag.failed_runs:
        notes.append(runs)
    if tag.state is State.UNKNOWN and tag.last_success:
        notes.append(f"current {age(tag.last_success, now)} ago")
    if tag.is_old:
        notes.append("old")
    if tag.message and tag.state in (State.CURRENT, State.BEHIND, State.SKIPPED):
        notes.append(tag.message)
    return ", ".join(notes)


def _kind_of_run(run: PastRun) -> str:
    record = run.record
    kind: str = record.trigger if record.command is Command.RUN else record.command
    kind += ", partial" if record.command is Command.RUN and record.narrowed else ""
    shard = f" {record.shard.index}/{record.shard.count}" if record.shard else ""
    return " ".join(filter(None, (kind, record.deployment))) + shard


def _started(run: RunRecord, now: datetime) -> str:
    return f"{age(run.started_at, now)} ago" if run.started_at else "-"


def _late(run: RunRecord) -> str:
    late = delay_of(run)
    if late is None:
        return "-"
    return "no" if late <= ON_TIME else span(late)


def _counts_of_run(run: PastRun) -> str:
    return ", ".join(f"{count} {result.replace('_', ' ')}" for result, count in run.record.counts.items())


def _state_of_workload(workload: WorkloadStatus, report: StatusReport) -> str:
    if workload.result is not None:
        return humanize(workload.result)
    return "in progress" if is_rolling_out(workload, report.now, report.rollout_timeout) else "stuck"
