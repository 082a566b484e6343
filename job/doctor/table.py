"""What `doctor` found as a page for people, at most 100 columns wide but for what must not be broken."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TextIO

from rich.text import Text

from job.doctor.checks import Finding, Severity
from job.doctor.checks.gateway import Probed
from job.domain.text import clean
from job.views.tables import INDENT, console_for, lines_of

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def print_findings(
    findings: Sequence[Finding], looked_at: Mapping[str, int], probed: Probed | None, file: TextIO | None = None
) -> None:
    """Write the findings, the worst first, each with the commands that mend it on lines of their own."""
    console = console_for(file or sys.stdout)
    several = len({each.namespace for each in findings if each.namespace}) > 1
    for severity, group in groupby(findings, key=lambda each: each.severity):
        console.print(Text(f"{severity.upper()}S", style=f"{STYLES[severity]} underline"))
        console.print()
        for each in group:
            where = f"{each.namespace}/{each.where}" if several and each.namespace else each.where
            head = Text(clean(where), style="bold")
            head.append(f"  {each.check}", style="dim")
            console.print(head, soft_wrap=True)
            for line in _wrapped(each.message, console.width - len(INDENT)):
                console.print(Text(f"  {line}"))
            for command in each.mend:
                for line in lines_of(command, console.width):
                    # A terminal may fold a long word; a line break of ours would part it.
                    console.print(Text(line, style="green"), soft_wrap=True)
            console.print()
    console.print(Text(_summary(findings, looked_at), style="bold"), soft_wrap=True)
    if probed and probed.pushed and not probed.left:
        console.print(Text("(the gateway was pushed one group, which was removed again)", style="dim"))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text, 1000), width, break_on_hyphens=False)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _summary(findings: Sequence[Finding], looked_at: Mapping[str, int]) -> str:
    counts = Counter(each.severity for each in findings)
    told = ", ".join(_counted(counts[severity], severity) for severity in Severity if counts[severity])
    names = {"tags": "tag", "workloads": "workload", "cron_jobs": "CronJob"}
    seen = ", ".join(_counted(count, names[name]) for name, count in looked_at.items())
    return f"{told or 'nothing to mend'}; looked at {seen}"
