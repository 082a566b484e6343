"""The columns of the tables of `status`. A new column is one record here.

A table always fits its width: texts continue on the next line, names lose their middle, so that the tag at their end
stays, and where that is not enough, the columns of the highest rank are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from job.domain.model import Command
from job.domain.text import clean, humanize
from job.journal.records import RunRecord
from job.status.model import PastRun, State, StatusReport, TagStatus, WorkloadStatus, is_rolling_out
from job.status.punctuality import delay_of
from job.views.tables import age, new_table, short_digest, span

R = TypeVar("R")

ON_TIME = 60.0
# Between two columns.
GAP = 2
_LONG_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column.

    Attributes:
        title: its heading.
        cell: the text for a row.
        rank: columns of a higher rank are left out first where the table is too wide; 0: never.
        least: its smallest width, in characters.
        most: its largest width; None: as wide as its cells.
        is_name: whether a cell that is too long loses its middle.
        is_text: whether a cell that is too long continues on the next line.
        is_number: whether it is aligned to the right.
    """

    title: str
    cell: Callable[[R], str]
    rank: int = 0
    least: int = 4
    most: int | None = None
    is_name: bool = False
    is_text: bool = False
    is_number: bool = False


def shorten(text: str, width: int) -> str:
    """A text of at most that width: its middle gives way, so that a tag at its end stays."""
    if cell_len(text) <= width:
        return text
    # Twice as much of the end: streams differ at their end, and the tag is there.
    end = max(1, (width - 1) * 2 // 3)
    start = max(0, width - 1 - end)
    cut = f"{text[:start]}…{text[-end:]}"
    # Wide characters take two cells each.
    while cell_len(cut) > width and end > 1:
        end -= 1
        cut = f"{text[:start]}…{text[-end:]}"
    return cut


def table_of(columns: Sequence[Column[R]], rows: Sequence[tuple[R, str]], width: int) -> Table:
    """A table of the rows, each with its style, that fits the width."""
    texts = [[shown(column.cell(row)) for column in columns] for row, _ in rows]
    widths = [
        max(cell_len(column.title), *(min(cell_len(text[i]), column.most or width) for text in texts))
        for i, column in enumerate(columns)
    ]
    least = [min(have, max(column.least, cell_len(column.title))) for column, have in zip(columns, widths, strict=True)]
    kept = _kept(columns, least, width)
    spare = width - sum(least[i] for i in kept) - GAP * (len(kept) - 1)
    table = new_table()
    final: dict[int, int] = {}
    # Numbers and states are whole before names are, and names before texts.
    for i in sorted(kept, key=lambda i: (columns[i].is_text, columns[i].is_name, i)):
        more = min(max(0, spare), widths[i] - least[i])
        final[i] = least[i] + more
        spare -= more
    for i in kept:
        column = columns[i]
        table.add_column(
            column.title,
            width=final[i],
            no_wrap=not column.is_text,
            overflow="fold",
            justify="right" if column.is_number else "left",
        )
    for cells, (_, style) in zip(texts, rows, strict=True):
        # Text, so that nothing in a name is taken for markup.
        shortened = [shorten(cells[i], final[i]) if columns[i].is_name else cells[i] for i in kept]
        table.add_row(*(Text(cell, style=style) for cell in shortened))
    return table


def _kept(columns: Sequence[Column[R]], least: Sequence[int], width: int) -> list[int]:
    """The numbers of the columns that fit."""
    kept = list(range(len(columns)))
    while sum(least[i] for i in kept) + GAP * (len(kept) - 1) > width:
        droppable = [i for i in kept if columns[i].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda i: columns[i].rank))
    return kept


def shown(text: str, limit: int = 500) -> str:
    """A text as tables show it: bounded, without control characters, digests in short."""
    return _LONG_DIGEST.sub(r"\1", clean(text, limit))


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
