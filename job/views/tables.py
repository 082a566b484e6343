"""A report as a table for people, at most 100 columns wide."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from job.domain.model import Command, Hold, Identity, Image, Report, Result, RolloutResult, Skip, TagResult
from job.domain.text import clean, humanize
from job.domain.times import iso
from job.views.documents import summary

WIDTH = 100
INDENT = "    "
STYLES = {
    Result.UPDATED: "green",
    Result.UNCHANGED: "",
    Result.FAILED: "bold red",
    Result.SKIPPED: "dim",
    Result.ROLLED_BACK: "yellow",
}
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def age(since: datetime | None, now: datetime) -> str:
    """How long ago."""
    return "-" if since is None else span((now - since).total_seconds())


def span(seconds: float) -> str:
    """A length of time in its largest whole unit: `3d`, `2h`."""
    whole = max(0, int(seconds))
    unit, size = next(((unit, size) for unit, size in _UNITS if whole >= size), ("s", 1))
    return f"{whole // size}{unit}"


def short_digest(image: Image | None) -> str:
    """The first digits of an image, as tables show it."""
    return image.digest.removeprefix("sha256:")[:12] if image else "-"


def _why(tag: TagResult) -> str:
    if tag.moved_with:
        return "with " + ", ".join(tag.moved_with)
    if tag.reason is Skip.HELD and tag.hold and tag.hold.reason:
        return f"held: {tag.hold.reason}"
    return str(tag.reason or "")


def new_table() -> Table:
    """An empty table without lines."""
    return Table(box=None, pad_edge=False, show_edge=False, header_style="bold", expand=False)


def _table(report: Report, namespace: str) -> Table:
    table = new_table()
    # Of a narrow terminal only the names and the reasons are cut.
    table.add_column("TAG", overflow="ellipsis", no_wrap=True, max_width=38)
    table.add_column("RESULT", no_wrap=True, min_width=12 if report.command is Command.PLAN else 9)
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
            "would update" if report.command is Command.PLAN and tag.result is Result.UPDATED else humanize(tag.result),
            short_digest(tag.before),
            short_digest(tag.after),
            age(shown.created if shown else None, report.finished_at),
            ((shown.revision if shown else None) or "-")[:9],
            _why(tag),
        )
        style = STYLES[tag.result]
        # Text, so that nothing in a name is taken for markup.
        table.add_row(*(Text(clean(cell), style=style) for cell in cells))
    return table


ROLLOUT_STYLES = {RolloutResult.HEALTHY: "green", RolloutResult.PAUSED: "dim", RolloutResult.WAITING: "yellow"}


def _rollouts(report: Report) -> Table:
    table = new_table()
    table.add_column("WORKLOAD", overflow="ellipsis", no_wrap=True, max_width=38)
    table.add_column("ROLLOUT", no_wrap=True, min_width=9)
    table.add_column("AFTER", no_wrap=True, justify="right", min_width=5)
    table.add_column("WHY", overflow="fold")
    for rollout in report.rollouts:
        where = (
            "" if len(report.namespaces) == 1 and rollout.namespace in report.namespaces else rollout.namespace + "/"
        )
        after = "-" if rollout.seconds is None else f"{rollout.seconds:.0f}s"
        cells = (f"{where}{rollout.kind}/{rollout.name}", humanize(rollout.result), after, rollout.message or "")
        style = ROLLOUT_STYLES.get(rollout.result, "bold red")
        table.add_row(*(Text(clean(cell), style=style) for cell in cells))
    return table


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the program.
        raise BrokenPipeError


def print_identity(console: Console, identity: Identity | None) -> None:
    """Write on which cluster this is, and as whom."""
    if identity is not None:
        console.print(Text(clean(str(identity)), style="dim", overflow="fold"))


def print_report(report: Report, file: TextIO) -> None:
    """Write the tables of a report, what failed and why, and a summary."""
    console = console_for(file)
    width = console.width
    print_identity(console, report.identity)
    for namespace in report.namespaces:
        if not any(tag.namespace == namespace for tag in report.tags):
            continue
        if len(report.namespaces) > 1:
            console.print(Text(namespace, style="bold underline"))
        console.print(_table(report, namespace))
        console.print()
    if report.rollouts:
        console.print(_rollouts(report))
        console.print()
    for tag in report.tags:
        if tag.message:
            told = f"{humanize(tag.result)} ({tag.reason}, by {tag.by})" if tag.by else humanize(tag.result)
            console.print(Text(clean(f"{tag.stream}:{tag.tag} {told}:"), style=STYLES[tag.result]))
            for line in textwrap.wrap(clean(tag.message), width - 4):
                console.print(Text(f"    {line}"))
    console.print(Text(summary(report), style="bold"))


def console_for(file: TextIO) -> Console:
    """What writes to a file: as wide as the terminal, at most `WIDTH`."""
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if file.isatty() else WIDTH
    return _Console(file=file, width=width, highlight=False)


def lines_of(command: str, width: int) -> list[str]:
    """A command on lines that can be pasted as they are: indented, broken between words, with a backslash."""
    # Names may come from anybody. Not as messages are cleaned: what is put for a password has to stay.
    shown = "".join(each if each.isprintable() else "?" for each in command)
    try:
        # No argument of a suggested command is a bare `|`: it joins two commands.
        words = [word if word == "|" else shlex.quote(word) for word in shlex.split(shown)]
    except ValueError:
        words = [shown]
    lines: list[str] = []
    line = INDENT
    for word in words:
        separate = "" if line == INDENT or line.endswith("  ") else " "
        if len(line) + len(separate) + len(word) + 2 > width and line.strip():
            lines.append(f"{line} \\")
            line, separate = INDENT + "  ", ""
        line += separate + word
    return [*lines, line]


def told_of_hold(hold: Hold, now: datetime) -> str:
    """A hold in words."""
    until = f", until {iso(hold.until)}" if hold.until else ""
    newer = ", until there is something newer" if hold.until_newer else ""
    by = f" by {hold.by}" if hold.by else ""
    return f"held for {age(hold.at, now)}{by}{until}{newer}: {hold.reason or 'no reason given'}"


def image_rows(image: Image, now: datetime) -> list[tuple[str, str]]:
    """A row that tells of an image, if there is something to tell."""
    told = [
        f"built {age(image.created, now)} ago" if image.created else None,
        f"revision {image.revision}" if image.revision else None,
        f"version {image.version}" if image.version else None,
        f"here since {age(image.imported_at, now)}" if image.imported_at else None,
    ]
    return [("", ", ".join(filter(None, told)))] if any(told) else []
