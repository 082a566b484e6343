"""The status as one screen for people: first what needs attention, then everything else."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TextIO

from rich.console import Console
from rich.text import Text

from job.domain.model import Outcome, RolloutResult, TriggerKind
from job.domain.natural import natural
from job.domain.rules import Rules
from job.domain.shell import resuming
from job.domain.states import Problem, State
from job.domain.times import iso
from job.journal.records import RUNNING
from job.status.columns import ON_TIME, run_columns, tag_columns, workload_columns
from job.status.model import Attention, PastRun, StatusReport, counts, verdict
from job.status.punctuality import Punctuality, delay_of
from job.views.columns import shown, table_of
from job.views.tables import age, console_for, describe_hold, lines_of, span
from job.workloads.cronjob import planning

# One screen; the document has each of ten thousand tags.
MOST_TAGS = 40
MOST_ATTENTION = 10
MOST_RUNS = 5
_STYLES = {
    State.CURRENT: "",
    State.BEHIND: "green",
    State.GATED: "yellow",
    State.FAILED: "bold red",
    State.UNKNOWN: "yellow",
    State.HELD: "yellow",
    State.SKIPPED: "dim",
}
_OUTCOMES = {Outcome.SUCCESS: "green", Outcome.FROZEN: "dim", RUNNING: "", Outcome.PARTIAL: "yellow"}
# What failed comes first.
_URGENCY = (State.FAILED, State.UNKNOWN, State.HELD, State.GATED, State.BEHIND, State.CURRENT, State.SKIPPED)


class Most(NamedTuple):
    """How many tags (and workloads), problems, and runs of each namespace are shown."""

    tags: int
    attention: int
    runs: int


_ALL = Most(sys.maxsize, sys.maxsize, sys.maxsize)


def print_status(report: StatusReport, file: TextIO | None = None, *, everything: bool = False) -> None:
    """Write the status; the first line sums it up. `everything` leaves nothing out, however long it is."""
    print_page(console_for(file or sys.stdout), report, everything=everything)


def print_page(console: Console, report: StatusReport, *, everything: bool) -> None:
    """See `print_status`."""
    console.print(Text(shown(verdict(report)), style="bold green" if report.is_well else "bold red"))
    several = len(report.namespaces) > 1
    most = _ALL if everything else Most(MOST_TAGS, MOST_ATTENTION, 1 if several else MOST_RUNS)
    for attention in report.attention[: most.attention]:
        _print_attention(console, attention, report.now, several=several)
    if len(report.attention) > most.attention:
        console.print(Text(f"  and {len(report.attention) - most.attention} more; all of them: --all"))
    for namespace, rules in report.rules.items():
        _print_rules(console, rules, f"{namespace}: " if several else "", report.now, most.attention)
    if not report.is_well:
        _print_wrapped(console, f"Tags: {counts(report) or 'none'}.", "  ", "bold")
    console.print()
    for namespace in report.namespaces:
        _print_tags(console, namespace, report, most.tags, several=several)
    _print_runs(console, report, most.runs, several=several)
    _print_workloads(console, report, most.tags)
    for unknown in report.unknown:
        where = f"{unknown.namespace}: " if unknown.namespace else ""
        _print_wrapped(console, f"? {where}{unknown.message}", "  ", "yellow")


def _print_rules(console: Console, rules: Rules, where: str, now: datetime, most: int) -> None:
    if freeze := rules.freeze:
        ends = f", for another {span((freeze.until - now).total_seconds())}" if freeze.until else ""
        _print_wrapped(console, f"{where}{freeze}{ends}", "  ", "yellow")
    for rule in rules.blocked[:most]:
        _print_wrapped(console, f"{where}{rule}", "  ", "yellow")
    if len(rules.blocked) > most:
        console.print(Text(f"{where}{len(rules.blocked) - most} more images are blocked; all of them: --all"))


def _print_wrapped(console: Console, text: str, indent: str, style: str = "") -> None:
    for line in textwrap.wrap(shown(text), console.width, subsequent_indent=indent, break_on_hyphens=False):
        console.print(Text(line, style=style))


def _print_attention(console: Console, attention: Attention, now: datetime, *, several: bool) -> None:
    # A namespace as a whole is named by its subject already.
    where = f"{attention.namespace}/" if several and attention.problem is not Problem.UNREAD else ""
    since = f" (for {age(attention.since, now)})" if attention.since else ""
    _print_wrapped(console, f"! {where}{attention.subject}{since}: {attention.message}", "  ", "red")
    if attention.command:
        _print_command(console, attention.command)


def _print_command(console: Console, text: str) -> None:
    for line in lines_of(text, console.width):
        # A terminal may fold a long word; a line break of ours would part it.
        console.print(Text(line, style="bold"), soft_wrap=True)


def _print_tags(console: Console, namespace: str, report: StatusReport, most: int, *, several: bool) -> None:
    own_tags = sorted(
        (tag for tag in report.tags if tag.name.namespace == namespace),
        key=lambda tag: (_URGENCY.index(tag.state), natural(str(tag.name))),
    )
    if not own_tags:
        return
    shown_tags = own_tags
    if len(report.tags) > most:
        shown_tags = [tag for tag in own_tags if tag.state not in (State.CURRENT, State.SKIPPED)][:most]
    if several:
        console.print(Text(namespace, style="bold underline"))
    if shown_tags:
        rows = [(tag, _STYLES[tag.state]) for tag in shown_tags]
        console.print(table_of(tag_columns(report.now), rows, console.width))
    if len(shown_tags) < len(own_tags):
        console.print(Text(f"{len(own_tags) - len(shown_tags)} more; all of them: --all", style="dim"))
    for tag in shown_tags:
        if tag.hold:
            more = f"; {tag.message}" if tag.message else ""
            _print_wrapped(console, f"{tag.name} {describe_hold(tag.hold, report.now)}{more}", "  ", "yellow")
            _print_command(console, resuming(tag.name))
    console.print()


def _print_runs(console: Console, report: StatusReport, most: int, *, several: bool) -> None:
    for schedule in report.schedules:
        _print_wrapped(console, _describe_schedule(schedule, report.now, several=several), "  ")
        cron_job = schedule.timetable.cron_job
        if plan := planning(cron_job):
            gates = ", ".join(cron_job.settings.gates.gates)
            _print_wrapped(console, f"It has gates: {gates}. What they say of the next run:", "  ")
            _print_command(console, plan)
    silent = {unread.namespace for unread in report.unknown if unread.part == "schedule"}
    cron_jobs = [schedule.timetable.cron_job for schedule in report.schedules]
    covered = {name for name in report.namespaces if any(cron_job.imports(name) for cron_job in cron_jobs)}
    # A CronJob elsewhere runs for them.
    remote = {past_run.namespace for past_run in report.runs if past_run.record.trigger is TriggerKind.SCHEDULED}
    uncovered = [namespace for namespace in report.namespaces if namespace not in covered | silent | remote]
    if uncovered:
        names = ", ".join(uncovered[:5]) + (" and others" if len(uncovered) > 5 else "")
        _print_wrapped(console, f"Next run: not known; there is no CronJob of import-images in {names}.", "  ")
    runs = _last_runs(report.runs, most)
    if not runs:
        if {unread.namespace for unread in report.unknown if unread.part == "journal"} != set(report.namespaces):
            console.print(Text("The journal has no runs.", style="dim"))
        console.print()
        return
    rows = [(run, _OUTCOMES.get(run.record.outcome, "bold red")) for run in runs]
    console.print(table_of(run_columns(report.now, several=several), rows, console.width))
    console.print()


def _last_runs(runs: Sequence[PastRun], most: int) -> list[PastRun]:
    shown: dict[str, list[PastRun]] = {}
    for past_run in runs:
        shown.setdefault(past_run.namespace, []).append(past_run)
    return [past_run for runs in shown.values() for past_run in runs[:most]]


def _describe_schedule(schedule: Punctuality, now: datetime, *, several: bool) -> str:
    table, cron_job = schedule.timetable, schedule.timetable.cron_job
    zone = table.zone or "UTC"
    what = f"{cron_job.namespace}/{cron_job.name}" if several else str(cron_job)
    whose = f"{what}, {cron_job.deployment or 'every tag'}, {table.text}"
    if table.suspended:
        due = "none; the CronJob is suspended"
    elif schedule.next_due is None or table.schedule is None:
        due = f"not known: {table.problem}" if table.problem else "never"
    else:
        time = schedule.next_due.astimezone(table.schedule.zone)
        due = f"{time:%a %Y-%m-%d %H:%M} {zone}, in {span((schedule.next_due - now).total_seconds())}"
    late = delay_of(schedule.run) if schedule.run else None
    if schedule.missed:
        last = f" The one due at {iso(schedule.missed)} did not happen."
    elif late is None:
        last = ""
    else:
        last = " The last one was on time." if late <= ON_TIME else f" The last one was {span(late)} late."
    return f"Next run: {due} ({whose}).{last}"


def _print_workloads(console: Console, report: StatusReport, most: int) -> None:
    workloads = report.workloads
    healthy = [workload for workload in workloads if workload.result is RolloutResult.HEALTHY]
    if not workloads:
        if not any(unread.part == "workloads" for unread in report.unknown):
            console.print(Text("No workload follows these tags."))
        return
    summary = f"{len(healthy)} of {len(workloads)} workloads that follow these tags run their images."
    console.print(Text(summary, style="" if len(healthy) == len(workloads) else "yellow"))
    others = [workload for workload in workloads if workload.result is not RolloutResult.HEALTHY]
    if not others:
        return
    rows = [(other, "" if other.result in (None, RolloutResult.PAUSED) else "red") for other in others[:most]]
    console.print(table_of(workload_columns(report), rows, console.width))
    if len(others) > most:
        console.print(Text(f"{len(others) - most} more; all of them: --all", style="dim"))
