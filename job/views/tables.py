"""A report as tables for people, as wide as the terminal."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from job.domain.model import (
    Command,
    GateVerdict,
    Hold,
    Identity,
    Image,
    Report,
    Result,
    Rollout,
    RolloutResult,
    Skip,
    TagResult,
    Verdict,
)
from job.domain.natural import natural
from job.domain.rollbacks import rollbacks_of
from job.domain.shell import ours
from job.domain.text import clean, humanize
from job.domain.times import iso
from job.domain.verdicts import refusals
from job.views.columns import Column, table_of
from job.views.documents import summary
from job.views.output import MOST_WIDTH, is_wide, width_of

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
    """The digest of an image as tables show it: its first digits, or all of it with `--output wide`."""
    return "-" if image is None else _short(image.digest)


def _short(digest: str) -> str:
    return digest if is_wide() else digest.removeprefix("sha256:")[:12]


def _why(tag: TagResult) -> str:
    if tag.moved_with:
        return "with " + ", ".join(tag.moved_with)
    if tag.reason is Skip.HELD and tag.hold and tag.hold.reason:
        return f"held: {tag.hold.reason}"
    if tag.gates and tag.reason is None:
        refused = [f"{verdict.verdict} by {verdict.gate}" for verdict in tag.gates if not verdict.passed]
        return ", ".join(refused) or _passed(tag.gates)
    return str(tag.reason or "")


def _passed(verdicts: Sequence[Verdict]) -> str:
    passed = [verdict.gate for verdict in verdicts if verdict.verdict is GateVerdict.PASSED]
    others = [verdict.gate for verdict in verdicts if verdict.verdict is not GateVerdict.PASSED]
    parts = (f"{what} {', '.join(gates)}" for what, gates in (("passed", passed), ("not asked:", others)) if gates)
    return "; ".join(parts)


def _tag_columns(report: Report) -> tuple[Column[TagResult], ...]:
    return (
        Column("TAG", lambda tag: f"{tag.stream}:{tag.tag}", least=14, is_name=True),
        Column("RESULT", lambda tag: _result(report, tag), least=12),
        Column("BEFORE", lambda tag: short_digest(tag.before), rank=4, least=12),
        Column("AFTER", lambda tag: short_digest(tag.after), rank=3, least=12),
        Column("BUILT", lambda tag: age(_shown(tag).created, report.finished_at), rank=2, is_number=True),
        Column("REVISION", lambda tag: (_shown(tag).revision or "-")[:9], rank=5, least=9),
        Column("WHY", _why, rank=1, least=8, most=40, is_text=True),
    )


_NOTHING = Image("", None, None, None, None)
# What failed comes first.
_URGENCY = (Result.FAILED, Result.ROLLED_BACK, Result.UPDATED, Result.UNCHANGED, Result.SKIPPED)


def _shown(tag: TagResult) -> Image:
    """The image that a row is about."""
    return tag.after or tag.before or _NOTHING


def _result(report: Report, tag: TagResult) -> str:
    would = report.command is Command.PLAN and tag.result is Result.UPDATED
    return "would update" if would else humanize(tag.result)


def _table(report: Report, namespace: str, width: int) -> Table:
    tags = [tag for tag in report.tags if tag.namespace == namespace]
    tags.sort(key=lambda tag: (_URGENCY.index(tag.result), natural(f"{tag.stream}:{tag.tag}")))
    return table_of(_tag_columns(report), [(tag, STYLES[tag.result]) for tag in tags], width)


ROLLOUT_STYLES = {RolloutResult.HEALTHY: "green", RolloutResult.PAUSED: "dim", RolloutResult.WAITING: "yellow"}


def _rollouts(report: Report, width: int) -> Table:
    own = report.namespaces[0] if len(report.namespaces) == 1 else None

    def name(rollout: Rollout) -> str:
        where = "" if rollout.namespace == own else f"{rollout.namespace}/"
        return f"{where}{rollout.kind}/{rollout.name}"

    columns: tuple[Column[Rollout], ...] = (
        Column("WORKLOAD", name, least=14, is_name=True),
        Column("ROLLOUT", lambda rollout: humanize(rollout.result), least=9),
        Column("AFTER", lambda r: "-" if r.seconds is None else f"{r.seconds:.0f}s", rank=2, is_number=True),
        Column("WHY", lambda rollout: rollout.message or "", rank=1, least=14, is_text=True),
    )
    rows = sorted(report.rollouts, key=lambda rollout: (not rollout.is_bad, natural(name(rollout))))
    return table_of(columns, [(row, ROLLOUT_STYLES.get(row.result, "bold red")) for row in rows], width)


_GATE_REASON = "WHY"
GATE_STYLES = {
    GateVerdict.PASSED: "green",
    GateVerdict.HELD: "yellow",
    GateVerdict.INCONCLUSIVE: "bold red",
    GateVerdict.NOT_ASKED: "dim",
}


def _gates(report: Report, width: int) -> Table:
    """What each gate says of the images that would be, or were, imported."""
    rows = [(tag, verdict) for tag in report.tags for verdict in tag.gates]
    columns: tuple[Column[tuple[TagResult, Verdict]], ...] = (
        Column("TAG", lambda row: f"{row[0].stream}:{row[0].tag}", least=14, is_name=True),
        Column("GATE", lambda row: row[1].gate, least=8),
        Column("VERDICT", lambda row: row[1].verdict, least=7),
        Column("IMAGE", lambda row: _short(row[1].digest), rank=2, least=12),
        Column(_GATE_REASON, lambda row: row[1].message or "", rank=1, least=14, is_text=True),
    )
    return table_of(columns, [(row, GATE_STYLES[row[1].verdict]) for row in rows], width)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the program.
        raise BrokenPipeError


def print_identity(identity: Identity | None, file: TextIO | None = None) -> None:
    """Write on which cluster this is, and as whom, to stdout or another file."""
    if identity is not None:
        console_for(file or sys.stdout).print(Text(clean(str(identity)), style="dim", overflow="fold"))


def print_report(report: Report, file: TextIO) -> None:
    """Write the tables of a report, what failed and why, and a summary."""
    console = console_for(file)
    width = console.width
    print_identity(report.identity, file)
    for namespace in report.namespaces:
        if not any(tag.namespace == namespace for tag in report.tags):
            continue
        if len(report.namespaces) > 1:
            console.print(Text(namespace, style="bold underline"))
        console.print(_table(report, namespace, width))
        console.print()
    gates = _gates(report, width) if any(tag.gates for tag in report.tags) else None
    if gates is not None:
        console.print(gates)
        console.print()
    if report.rollouts:
        console.print(_rollouts(report, width))
        console.print()
    # A narrow terminal has no room for that column.
    has_reasons = gates is not None and any(column.header == _GATE_REASON for column in gates.columns)
    _print_messages(console, report, with_refusals=not has_reasons)
    console.print(Text(summary(report), style="bold"))
    _print_rollbacks(console, report)


def _print_messages(console: Console, report: Report, *, with_refusals: bool) -> None:
    """Write the messages of single tags; those that the run did not get to share one line for each message.

    Args:
        console: where to.
        report: of the run.
        with_refusals: whether to repeat what gates say.
    """
    never_begun: dict[str, list[TagResult]] = {}
    for tag in report.tags:
        if tag.message and not tag.was_tried:
            never_begun.setdefault(tag.message, []).append(tag)
        elif tag.message and (with_refusals or tag.message != refusals(tag.gates)):
            details = ", ".join(filter(None, (str(tag.reason or ""), f"by {tag.by}" if tag.by else "")))
            result = f"{humanize(tag.result)} ({details})" if details else humanize(tag.result)
            _print_message(console, f"{tag.stream}:{tag.tag} {result}", tag.result, tag.message)
    for message, tags in never_begun.items():
        first = tags[0]
        names = f"{first.stream}:{first.tag}" if len(tags) == 1 else f"{len(tags)} tags"
        _print_message(console, f"{names} {humanize(first.result)}", first.result, message)


def _print_message(console: Console, heading: str, result: Result, message: str) -> None:
    console.print(Text(clean(f"{heading}:"), style=STYLES[result]))
    for line in textwrap.wrap(clean(message), console.width - 4):
        console.print(Text(f"    {line}"))


def _print_rollbacks(console: Console, report: Report) -> None:
    """Write the commands that undo the imports whose rollout is broken."""
    names = dict.fromkeys(name for rollout in report.rollouts for name in rollbacks_of(report, rollout))
    commands = [ours("rollback", tag.name) for tag in report.tags if tag.name in names]
    if commands:
        console.print(Text("To roll back:"))
        for line in (line for command in commands for line in lines_of(command, console.width)):
            console.print(Text(line))


def console_for(file: TextIO) -> Console:
    """What writes to a file: as wide as the terminal; with `--output wide` lines may be longer than that."""
    width = MOST_WIDTH if is_wide() else width_of(file)
    return _Console(file=file, width=width, highlight=False, soft_wrap=False)


def lines_of(command: str, width: int) -> list[str]:
    """A command on lines that can be pasted as they are: indented, broken between words, with a backslash."""
    # Names are untrusted. They are not cleaned like messages, so that the mask in place of a password stays.
    shown = "".join(character if character.isprintable() else "?" for character in command)
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


def describe_hold(hold: Hold, now: datetime) -> str:
    """A hold in words."""
    until = f", until {iso(hold.until)}" if hold.until else ""
    newer = ", until there is something newer" if hold.until_newer else ""
    by = f" by {hold.by}" if hold.by else ""
    return f"held for {age(hold.at, now)}{by}{until}{newer}: {hold.reason or 'no reason given'}"


def image_rows(image: Image, now: datetime, was_current_until: datetime | None = None) -> list[tuple[str, str]]:
    """A row that describes an image, if anything is known of it."""
    parts = [
        f"built {age(image.created, now)} ago" if image.created else None,
        f"revision {image.revision}" if image.revision else None,
        f"version {image.version}" if image.version else None,
        f"imported {age(image.imported_at, now)} ago" if image.imported_at else None,
        f"was current until {age(was_current_until, now)} ago" if was_current_until else None,
    ]
    return [("", ", ".join(filter(None, parts)))] if any(parts) else []
