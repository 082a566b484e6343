"""The rules of namespaces as a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.text import Text

from job.commands.rules import RulesNow
from job.domain.model import Identity
from job.domain.shell import ours
from job.domain.text import clean
from job.views.tables import console_for, print_identity


def print_rules(shown: Sequence[RulesNow], identity: Identity | None) -> None:
    """Write what is frozen and blocked, and where a blocked image already is."""
    console = console_for(sys.stdout)
    print_identity(identity, sys.stdout)
    for now in shown:
        unchanged = "" if now.changed else " (nothing had to be changed)"
        console.print(Text(clean(now.namespace) + unchanged, style="bold"))
        lines = [str(freeze) for freeze in now.rules.freezes] or ["not frozen by a rule"]
        lines += [str(rule) for rule in now.rules.blocked] or ["no image is blocked"]
        for line in lines:
            console.print(Text(f"  {clean(line, 2000)}"), soft_wrap=True)
        for running in now.running or ():
            text = f"  ! {running.name} has {running.digest}: {ours('rollback', running.name)}"
            console.print(Text(clean(text, 2000), style="yellow"), soft_wrap=True)
    console.print()
