"""The findings of `doctor` as a page for people: bounded, the most severe first, those of one cause together."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TextIO

from rich.console import Console
from rich.text import Text

from job.doctor.checks import Finding
from job.doctor.facts import Probed
from job.domain.states import Severity
from job.domain.text import clean
from job.views.tables import INDENT, console_for, lines_of

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
# A thousand tags may have one problem each; the whole list is in the document.
MOST_CAUSES = 4
MOST_NAMES = 8
MOST_SHOWN = 2
ALL = "all of them: --output json"


def print_findings(
    findings: Sequence[Finding], counts: Mapping[str, int], probed: Probed | None, file: TextIO | None = None
) -> None:
    """Write the findings, the most severe first, each with the commands that fix it on lines of their own.

    Args:
        findings: in the order of `in_order`.
        counts: how many objects were checked, by kind.
        probed: the result of probing the gateway, if it was probed.
        file: where to write; None: stdout.
    """
    console = console_for(file or sys.stdout)
    several = len({finding.namespace for finding in findings if finding.namespace}) > 1
    for severity, group in groupby(findings, key=lambda finding: finding.severity):
        console.print(Text(f"{severity.upper()}S", style=f"{STYLES[severity]} underline"))
        console.print()
        for together in _by_cause(group):
            _print_group(console, together, several=several)
            console.print()
    console.print(Text(_summary(findings, counts), style="bold"), soft_wrap=True)
    if probed and probed.pushed and not probed.leftover:
        console.print(Text("(one group was pushed to the gateway, and deleted again)", style="dim"))


def _by_cause(findings: Iterable[Finding]) -> list[list[Finding]]:
    """The findings of one severity: those of one check and cause together, and a check's rarest causes together."""
    by_check: dict[str, dict[str, list[Finding]]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, {}).setdefault(finding.cause or finding.message, []).append(finding)
    groups = []
    for by_cause in by_check.values():
        largest_first = sorted(by_cause.values(), key=len, reverse=True)
        most = MOST_CAUSES if len(largest_first) > MOST_CAUSES + 1 else len(largest_first)
        groups += largest_first[:most]
        rest = [finding for group in largest_first[most:] for finding in group]
        groups += [rest] if rest else []
    return groups


def _print_group(console: Console, group: Sequence[Finding], *, several: bool) -> None:
    first, number = group[0], len(group)
    names = [_where(finding, several=several) for finding in group]
    head = Text(names[0] if number == 1 else f"{number} findings", style="bold")
    head.append(f"  {first.check}", style="dim")
    console.print(head, soft_wrap=True)
    if number > 1:
        more = f" and {number - MOST_NAMES} more; {ALL}" if number > MOST_NAMES else ""
        _print_wrapped(console, ", ".join(names[:MOST_NAMES]) + more)
    # Commands are about one object each: the first few show how, the document has them all.
    shown = group if number <= MOST_SHOWN + 1 else group[:MOST_SHOWN]
    if len({finding.message for finding in group}) == 1:
        _print_wrapped(console, first.message)
        _print_commands(console, "To fix it:", (command for finding in shown for command in finding.fix))
        _print_commands(console, "To see more:", (command for finding in shown for command in finding.inspect))
        return
    for finding, name in zip(shown, names, strict=False):
        _print_wrapped(console, f"{name}: {finding.message}")
        _print_commands(console, "To fix it:", finding.fix)
        _print_commands(console, "To see more:", finding.inspect)
    if len(shown) < number:
        _print_wrapped(console, f"... and {number - len(shown)} more; {ALL}")


def _print_commands(console: Console, label: str, commands: Iterable[str]) -> None:
    different = dict.fromkeys(commands)
    if different:
        console.print(Text(f"  {label}", style="dim"))
    for command in different:
        for line in lines_of(command, console.width):
            # A terminal may fold a long word; a line break of ours would part it.
            console.print(Text(line, style="green"), soft_wrap=True)


def _where(finding: Finding, *, several: bool) -> str:
    return clean(f"{finding.namespace}/{finding.where}" if several and finding.namespace else finding.where)


def _print_wrapped(console: Console, text: str) -> None:
    for line in textwrap.wrap(clean(text, 1000), console.width - len(INDENT), break_on_hyphens=False):
        console.print(Text(f"  {line}"))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _summary(findings: Sequence[Finding], counts: Mapping[str, int]) -> str:
    by_severity = Counter(finding.severity for finding in findings)
    counted = ", ".join(_counted(by_severity[severity], severity) for severity in Severity if by_severity[severity])
    nouns = {"tags": "tag", "workloads": "workload", "cron_jobs": "CronJob"}
    checked = ", ".join(_counted(count, nouns[name]) for name, count in counts.items())
    return f"{counted or 'no problems found'}; checked {checked or 'nothing'}"
