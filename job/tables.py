"""A report as a table for people, at most 100 columns wide."""

from __future__ import annotations

import shutil
import textwrap
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from job.model import Image, Report, Result, Skip, TagResult
from job.reasons import clean
from job.reporting import summary

WIDTH = 100
STYLES = {
    Result.UPDATED: "green",
    Result.UNCHANGED: "",
    Result.FAILED: "bold red",
    Result.SKIPPED: "dim",
    Result.ROLLED_BACK: "yellow",
}
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def age(since: datetime | None, now: datetime) -> str:
    """How long ago, in its largest whole unit: `3d`, `2h`."""
    if since is None:
        return "-"
    seconds = max(0, int((now - since).total_seconds()))
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("s", 1))
    return f"{seconds // size}{unit}"


def _digest(image: Image | None) -> str:
    return image.digest.removeprefix("sha256:")[:12] if image else "-"


def _why(tag: TagResult) -> str:
    if tag.moved_with:
        return "with " + ", ".join(tag.moved_with)
    if tag.reason is Skip.HELD and tag.hold and tag.hold.reason:
        return f"held: {tag.hold.reason}"
    return str(tag.reason or "")


def _table(report: Report, namespace: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", expand=False)
    # Of a narrow terminal only the names and the reasons are cut.
    table.add_column("TAG", overflow="ellipsis", no_wrap=True, max_width=38)
    table.add_column("RESULT", no_wrap=True, min_width=12 if report.command == "plan" else 9)
    table.add_column("BEFORE", no_wrap=True, min_width=12)
    table.add_column("AFTER", no_wrap=True, min_width=12)
    table.add_column("BUILT", no_wrap=True, min_width=5, justify="right")
    table.add_column("REVISION", no_wrap=True, overflow="ellipsis", min_width=9, max_width=9)
    table.add_column("WHY", overflow="ellipsis", no_wrap=True, max_width=24)
    for tag in report.tags:
        if tag.namespace != namespace:
            continue
        shown = tag.after or tag.before
        cells = (
            f"{tag.stream}:{tag.tag}",
            "would update" if report.command == "plan" and tag.result is Result.UPDATED else tag.result,
            _digest(tag.before),
            _digest(tag.after),
            age(shown.created if shown else None, report.finished_at),
            ((shown.revision if shown else None) or "-")[:9],
            _why(tag),
        )
        style = STYLES[tag.result]
        # Text, so that nothing in a name is taken for markup.
        table.add_row(*(Text(clean(cell), style=style) for cell in cells))
    return table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the program.
        raise BrokenPipeError


def print_report(report: Report, file: TextIO) -> None:
    """Write the tables of a report, what failed and why, and a summary."""
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if file.isatty() else WIDTH
    console = _Console(file=file, width=width, highlight=False)
    for namespace in report.namespaces:
        if not any(tag.namespace == namespace for tag in report.tags):
            continue
        if len(report.namespaces) > 1:
            console.print(Text(namespace, style="bold underline"))
        console.print(_table(report, namespace))
        console.print()
    for tag in report.tags:
        if tag.message:
            told = f"{tag.result} ({tag.reason}, by {tag.by})" if tag.by else f"{tag.result}"
            console.print(Text(clean(f"{tag.stream}:{tag.tag} {told}:"), style=STYLES[tag.result]))
            for line in textwrap.wrap(clean(tag.message), width - 4):
                console.print(Text(f"    {line}"))
    console.print(Text(summary(report), style="bold"))
