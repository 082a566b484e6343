"""The images that a tag has had, as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from job.commands.history_runs import Moved, PastRun
from job.domain.history import Entry, TagHistory
from job.domain.model import Identity
from job.domain.text import clean
from job.views.columns import Column, table_of
from job.views.tables import age, console_for, describe_hold, print_identity, short_digest


def print_histories(histories: Sequence[TagHistory], now: datetime, file: TextIO | None = None) -> None:
    """Write the history of each tag."""
    console = console_for(file or sys.stdout)
    for number, shown in enumerate(histories):
        if number:
            console.print()
        name = shown.name
        console.print(Text(clean(f"{name.namespace}/{name}  {shown.source}"), style="bold"))
        if shown.hold:
            console.print(Text(clean(describe_hold(shown.hold, now)), style="yellow"))
        if shown.hold_is_over:
            console.print(Text("a hold was on it and is over: the tag was moved since", style="yellow"))
        if shown.problem:
            reason, message, since = shown.problem
            console.print(Text(clean(f"import failed {age(since, now)} ago ({reason}): {message}"), style="bold red"))
        if not shown.entries:
            console.print(Text("no image yet", style="dim"))
            continue
        console.print(_history_table(shown, now, console.width))


def _history_table(shown: TagHistory, now: datetime, width: int) -> Table:
    def imported(entry: Entry) -> str:
        when = entry.tenure.item.imported_at
        return f"{age(when, now)} ago" if when else "-"

    def built(entry: Entry) -> str:
        return f"{age(entry.image.created, now)} ago" if entry.image.created else "-"

    registry: Column[Entry] = Column(
        "REGISTRY", lambda entry: {True: "there", False: "gone", None: "?"}[entry.in_registry], rank=1
    )
    columns: tuple[Column[Entry], ...] = (
        Column("DIGEST", lambda entry: short_digest(entry.image), least=12),
        Column("IMPORTED", imported, rank=2, least=8, is_number=True),
        Column(
            "STAYED",
            lambda entry: age(entry.tenure.item.imported_at, entry.tenure.until or now),
            rank=3,
            is_number=True,
        ),
        Column("BUILT", built, rank=4, least=6, is_number=True),
        Column("REVISION", lambda entry: entry.image.revision or "-", rank=5, least=9, most=12),
        Column("VERSION", lambda entry: entry.image.version or "-", rank=6, most=16),
        *((registry,) if shown.checked else ()),
        Column("NOTE", _note, least=16, is_text=True),
    )
    return table_of(columns, [(entry, _style(entry)) for entry in shown.entries], width)


def _style(entry: Entry) -> str:
    return "bold" if entry.tenure.is_current else "red" if entry.tenure.rolled_back_from else ""


def _note(entry: Entry) -> str:
    tenure = entry.tenure
    note = ["current"] if tenure.is_current else []
    note += ["held"] if entry.held else []
    # A hold implies it.
    note += ["restored by rollback"] if tenure.restored and not entry.held else []
    note += ["bad: rolled back"] if tenure.rolled_back_from else []
    return ", ".join(note)


def print_runs(
    runs: Sequence[PastRun], now: datetime, identity: Identity | None = None, file: TextIO | None = None
) -> None:
    """Write the runs, each with the tags that it moved."""
    console = console_for(file or sys.stdout)
    print_identity(identity, file)
    if not runs:
        console.print(Text("no run yet", style="dim"))
    for run in runs:
        record = run.record
        who = f"{record.trigger} {record.job or ''}".strip()
        started = f"{age(record.started_at, now)} ago" if record.started_at else "unknown"
        text = f"{record.id}  {record.command}  {record.outcome}  {started}  {who}  {', '.join(run.namespaces)}"
        console.print(Text(clean(text), style="bold"))
        width = max((len(str(moved.name)) for moved in run.moved), default=0)
        for moved in run.moved:
            versions = [revision or short(digest) for revision, digest in _ends(moved)]
            note = "  rolled back since" if moved.rolled_back else ""
            line = clean(f"{moved.name!s:{width}}  {versions[0]} -> {versions[1]}{note}")
            console.print(Padding(Text(line), (0, 0, 0, 2)))
            if moved.link:
                # A terminal may fold a long address; a line break of ours would part it.
                console.print(Text(f"    {clean(moved.link)}", style="dim"), soft_wrap=True)


def _ends(moved: Moved) -> tuple[tuple[str | None, str | None], tuple[str | None, str | None]]:
    """Revision and digest before and after."""
    before, after = moved.images
    return (before.revision if before else None, moved.move.before), (after.revision, moved.move.after)


def short(digest: str | None) -> str:
    """The beginning of a digest, as tables show it."""
    return digest.removeprefix("sha256:")[:12] if digest else "nothing"
