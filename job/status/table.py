"""How things stand as a screen for people, at most 100 columns wide: first what needs them, then everything else."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from job.domain.model import Command, Outcome, RolloutResult, TriggerKind
from job.domain.shell import resuming
from job.domain.text import clean, humanize
from job.domain.times import iso
from job.journal.records import RUNNING, RunRecord
from job.status.model import (
    Attention,
    Look,
    PastRun,
    Problem,
    Standing,
    State,
    TagStanding,
    counts,
    is_rolling_out,
    verdict,
)
from job.status.punctuality import Punctuality, delay_of
from job.views.tables import age, console_for, lines_of, new_table, short_digest, span, told_of_hold

# One screen; whoever wants to see each of ten thousand takes the document.
MOST_TAGS = 40
MOST_ATTENTION = 10
MOST_RUNS = 5
ON_TIME = 60.0
_STYLES = {
    State.CURRENT: "",
    State.BEHIND: "green",
    State.FAILED: "bold red",
    State.UNKNOWN: "yellow",
    State.HELD: "yellow",
    State.SKIPPED: "dim",
}
_OUTCOMES = {Outcome.SUCCESS: "green", Outcome.FROZEN: "dim", RUNNING: "", Outcome.PARTIAL: "yellow"}
_LONG_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")


def print_status(standing: Standing, file: TextIO | None = None) -> None:
    """Write how things stand; the first line is the verdict."""
    console = console_for(file or sys.stdout)
    console.print(Text(_short(verdict(standing)), style="bold green" if standing.is_well else "bold red"))
    several = len(standing.namespaces) > 1
    for each in standing.attention[:MOST_ATTENTION]:
        _print_attention(console, each, standing.now, several=several)
    if len(standing.attention) > MOST_ATTENTION:
        console.print(Text(f"  and {len(standing.attention) - MOST_ATTENTION} more; all of them: --output json"))
    if not standing.is_well:
        _print_wrapped(console, f"Tags: {counts(standing) or 'none'}.", "  ", "bold")
    console.print()
    for namespace in standing.namespaces:
        _print_tags(console, namespace, standing, several=several)
    _print_runs(console, standing, several=several)
    _print_workloads(console, standing)
    for unknown in standing.unknown:
        where = f"{unknown.namespace}: " if unknown.namespace else ""
        _print_wrapped(console, f"? {where}{unknown.message}", "  ", "yellow")


def _short(text: str, limit: int = 500) -> str:
    return _LONG_DIGEST.sub(r"\1", clean(text, limit))


def _print_wrapped(console: Console, text: str, indent: str, style: str = "") -> None:
    for line in textwrap.wrap(_short(text), console.width, subsequent_indent=indent, break_on_hyphens=False):
        console.print(Text(line, style=style))


def _print_attention(console: Console, each: Attention, now: datetime, *, several: bool) -> None:
    # A namespace as a whole is named by its subject already.
    where = f"{each.namespace}/" if several and each.problem is not Problem.UNREAD else ""
    since = f" (for {age(each.since, now)})" if each.since else ""
    _print_wrapped(console, f"! {where}{each.subject}{since}: {each.message}", "  ", "red")
    if each.command:
        _print_command(console, each.command)


def _print_command(console: Console, text: str) -> None:
    for line in lines_of(text, console.width):
        # A terminal may fold a long word; a line break of ours would part it.
        console.print(Text(line, style="bold"), soft_wrap=True)


def _print_tags(console: Console, namespace: str, standing: Standing, *, several: bool) -> None:
    mine = [tag for tag in standing.tags if tag.name.namespace == namespace]
    if not mine:
        return
    shown = mine
    if len(standing.tags) > MOST_TAGS:
        shown = [tag for tag in mine if tag.state not in (State.CURRENT, State.SKIPPED)][:MOST_TAGS]
    if several:
        console.print(Text(namespace, style="bold underline"))
    if shown:
        console.print(_tag_table(shown, standing.now))
    if len(shown) < len(mine):
        console.print(Text(f"{len(mine) - len(shown)} more; all of them: --output json", style="dim"))
    for tag in shown:
        if tag.hold:
            more = f"; {tag.message}" if tag.message else ""
            _print_wrapped(console, f"{tag.name} {told_of_hold(tag.hold, standing.now)}{more}", "  ", "yellow")
            _print_command(console, resuming(tag.name))
    console.print()


def _tag_table(tags: Sequence[TagStanding], now: datetime) -> Table:
    table = new_table()
    # Of a narrow terminal the notes take more lines.
    table.add_column("TAG", overflow="ellipsis", no_wrap=True, max_width=30)
    table.add_column("STATE", no_wrap=True, min_width=9)
    table.add_column("IMAGE", no_wrap=True, min_width=12)
    table.add_column("BUILT", no_wrap=True, min_width=5, justify="right")
    table.add_column("CAME", no_wrap=True, min_width=4, justify="right")
    table.add_column("REVISION", no_wrap=True, overflow="ellipsis", min_width=9, max_width=9)
    table.add_column("NOTE", overflow="fold")
    for tag in tags:
        image = tag.image
        state = humanize(tag.reason) if tag.state is State.SKIPPED and tag.reason else str(tag.state)
        cells = (
            str(tag.name),
            state,
            short_digest(image),
            age(image.created if image else None, now),
            age(image.imported_at if image else None, now),
            ((image.revision if image else None) or "-")[:9],
            _note(tag, now),
        )
        # Text, so that nothing in a name is taken for markup.
        table.add_row(*(Text(_short(cell), style=_STYLES[tag.state]) for cell in cells))
    return table


def _note(tag: TagStanding, now: datetime) -> str:
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


def _print_runs(console: Console, standing: Standing, *, several: bool) -> None:
    for each in standing.schedules:
        _print_wrapped(console, _told_of_schedule(each, standing.now, several=several), "  ")
    silent = {each.namespace for each in standing.unknown if each.part == "schedule"}
    cron_jobs = [each.timetable.cron_job for each in standing.schedules]
    covered = {name for name in standing.namespaces if any(each.imports(name) for each in cron_jobs)}
    # A CronJob elsewhere runs for them.
    remote = {each.namespace for each in standing.runs if each.record.trigger is TriggerKind.SCHEDULED}
    lonely = [each for each in standing.namespaces if each not in covered | silent | remote]
    if lonely:
        told = ", ".join(lonely[:5]) + (" and others" if len(lonely) > 5 else "")
        _print_wrapped(console, f"Next run: not known; there is no CronJob import-images in {told}.", "  ")
    runs = _last_runs(standing.runs, 1 if several else MOST_RUNS)
    if not runs:
        if {each.namespace for each in standing.unknown if each.part == "journal"} != set(standing.namespaces):
            console.print(Text("No run is remembered.", style="dim"))
        console.print()
        return
    table = new_table()
    if several:
        table.add_column("NAMESPACE", no_wrap=True, overflow="ellipsis", max_width=30)
    table.add_column("RUN", no_wrap=True, overflow="ellipsis", max_width=22)
    table.add_column("OUTCOME", no_wrap=True, min_width=9)
    table.add_column("BEGAN", no_wrap=True, justify="right")
    table.add_column("LATE", no_wrap=True, justify="right", min_width=4)
    table.add_column("TAGS", overflow="fold")
    for past in runs:
        record = past.record
        kind: str = record.trigger if record.command is Command.RUN else record.command
        kind += ", some" if record.command is Command.RUN and record.narrowed else ""
        shard = f" {record.shard.index}/{record.shard.count}" if record.shard else ""
        cells = [
            *([past.namespace] if several else []),
            " ".join(filter(None, (kind, record.deployment))) + shard,
            record.outcome,
            f"{age(record.started_at, standing.now)} ago" if record.started_at else "-",
            _late(record),
            ", ".join(f"{count} {result.replace('_', ' ')}" for result, count in record.counts.items()),
        ]
        style = _OUTCOMES.get(record.outcome, "bold red")
        table.add_row(*(Text(clean(cell), style=style) for cell in cells))
    console.print(table)
    console.print()


def _last_runs(runs: Sequence[PastRun], most: int) -> list[PastRun]:
    shown: dict[str, list[PastRun]] = {}
    for each in runs:
        shown.setdefault(each.namespace, []).append(each)
    return [each for mine in shown.values() for each in mine[:most]]


def _late(run: RunRecord) -> str:
    late = delay_of(run)
    if late is None:
        return "-"
    return "no" if late <= ON_TIME else span(late)


def _told_of_schedule(each: Punctuality, now: datetime, *, several: bool) -> str:
    table, cron_job = each.timetable, each.timetable.cron_job
    zone = table.zone or "UTC"
    what = f"{cron_job.namespace}/{cron_job.name}" if several else str(cron_job)
    whose = f"{what}, {cron_job.deployment or 'every tag'}, {table.text}"
    if table.suspended:
        told = "none; the CronJob is suspended"
    elif each.next_due is None or table.schedule is None:
        told = f"not known: {table.problem}" if table.problem else "never"
    else:
        due = each.next_due.astimezone(table.schedule.zone)
        told = f"{due:%a %Y-%m-%d %H:%M} {zone}, in {span((each.next_due - now).total_seconds())}"
    late = delay_of(each.run) if each.run else None
    if each.missed:
        last = f" The one due at {iso(each.missed)} did not come."
    elif late is None:
        last = ""
    else:
        last = " The last one was on time." if late <= ON_TIME else f" The last one was {span(late)} late."
    return f"Next run: {told} ({whose}).{last}"


def _print_workloads(console: Console, standing: Standing) -> None:
    looks = standing.looks
    healthy = [look for look in looks if look.result is RolloutResult.HEALTHY]
    if not looks:
        if not any(each.part == "workloads" for each in standing.unknown):
            console.print(Text("No workload follows these tags."))
        return
    told = f"{len(healthy)} of {len(looks)} workloads that follow these tags run their images."
    console.print(Text(told, style="" if len(healthy) == len(looks) else "yellow"))
    others = [look for look in looks if look.result is not RolloutResult.HEALTHY]
    if not others:
        return
    home = standing.namespaces[0] if len(standing.namespaces) == 1 else ""
    table = new_table()
    table.add_column("WORKLOAD", overflow="ellipsis", no_wrap=True, max_width=34)
    table.add_column("STATE", no_wrap=True, min_width=9)
    table.add_column("FOLLOWS", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("WHY", overflow="fold")
    for look in others[:MOST_TAGS]:
        style = "" if look.result in (None, RolloutResult.PAUSED) else "red"
        where = "" if look.namespace == home else f"{look.namespace}/"
        names = ", ".join(name.seen_from(look.namespace) for name in look.tags)
        cells = (f"{where}{look.kind}/{look.name}", _state(look, standing), names, look.message or "")
        table.add_row(*(Text(_short(cell), style=style) for cell in cells))
    console.print(table)
    if len(others) > MOST_TAGS:
        console.print(Text(f"{len(others) - MOST_TAGS} more; all of them: --output json", style="dim"))


def _state(look: Look, standing: Standing) -> str:
    if look.result is not None:
        return humanize(look.result)
    return "under way" if is_rolling_out(look, standing.now, standing.rollout_timeout) else "stuck"
