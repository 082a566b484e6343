"""What a rollback is about to do, as a page for the person who has to agree."""

from __future__ import annotations

from datetime import datetime
from typing import TextIO

from rich.text import Text

from job.commands.rollback_plan import RollbackPlan
from job.domain.model import Identity
from job.domain.shell import resuming
from job.domain.text import clean
from job.domain.times import iso
from job.views.columns import new_table
from job.views.tables import console_for, describe_hold, image_rows, print_identity


def print_undoing(plan: RollbackPlan, identity: Identity | None, now: datetime, file: TextIO) -> None:
    """Write what a rollback is about to do."""
    console = console_for(file)
    print_identity(identity, file)
    name = plan.name
    console.print(Text(clean(f"{name.namespace}/{name}"), style="bold"))
    if plan.hold:
        console.print(Text(clean(describe_hold(plan.hold, now)), style="yellow"))
    rows = [("from", plan.now.digest), *image_rows(plan.now, now)]
    rows += [("to", plan.to.digest), *image_rows(plan.to, now, plan.was_current_until)]
    there = {True: "has it", False: "no longer has it", None: "did not say whether it has it"}
    rows.append(("registry", there[plan.in_registry]))
    if plan.aliases:
        rows.append(("moves along", ", ".join(plan.aliases)))
    followers = [
        f"{follower.workload.namespace}/{follower.workload.resource.kind}/{follower.workload.name}"
        for follower in plan.followers
    ]
    rows.append(("redeploys", ", ".join(followers) or "nothing: no workload follows it"))
    ends = [f"until {iso(plan.until)}"] if plan.until else []
    ends += ["until the registry has something newer"] if plan.until_newer else []
    rows.append(("held", " or ".join(ends) or f"until you run: {resuming(name)}"))
    blocked = f"in every tag of {name.namespace}" if plan.blocks else "no: another tag may import it"
    rows.append(("blocked", blocked))
    rows.append(("reason", plan.reason or "none given"))
    table = new_table()
    table.show_header = False
    table.add_column("", style="dim", no_wrap=True)
    table.add_column("", overflow="fold")
    for label, text in rows:
        table.add_row(Text(f"  {label}"), Text(clean(text, 2000)))
    console.print(table)
    for warning in plan.warnings:
        console.print(Text(f"  ! {warning}", style="yellow"))
    console.print()
